//! Any history, heard of in any way, ends the same.

use std::collections::BTreeMap;

use jiff::Timestamp;
use oc_sandbox::stripe::{DisputeState, Engine, Settings, Status};
use proptest::{collection::vec, prelude::*};

use crate::{
    book::Book,
    shop::{START, Shop, Step, settings, step},
    standing::{standing, time},
};

/// How the news of one event comes: after so long, so often; or never until asked for.
#[derive(Clone, Debug)]
struct News {
    delays: Vec<i64>,
}

fn news() -> impl Strategy<Value = News> {
    let delay = prop_oneof![3 => 0..5_i64, 1 => 0..7200_i64, 1 => 0..3 * 86_400_i64];
    // None at all: it is lost. More than one: it is a duplicate.
    vec(delay, 0..3).prop_map(|delays| News { delays })
}

/// One history, and two who hear of it: one at once and of everything, one as it may be.
struct Race {
    shop: Shop,
    told: Book,
    heard: Book,
    /// When news of something come to the second.
    coming: BTreeMap<i64, u32>,
    seen: usize,
    news: Vec<News>,
}

impl Race {
    fn new(settings: Settings, news: Vec<News>) -> Self {
        let shop = Shop::new(settings);
        let (told, heard) = (Book::new(), Book::new());
        Self { shop, told, heard, coming: BTreeMap::new(), seen: 0, news }
    }

    fn now(&self) -> i64 {
        self.shop.engine.now()
    }

    fn take(&mut self, step: &Step, number: usize) {
        match step {
            Step::Wait(seconds) => self.wait(self.now() + seconds),
            Step::Clear => {
                for book in [&mut self.told, &mut self.heard] {
                    book.remembered.cleared_at = Some(time(self.shop.engine.now()));
                }
                self.look(true);
            }
            step => self.shop.take(step, &self.tenant(number)),
        }
        self.happened();
    }

    /// The tenant that a checkout names: the one that there is, or a new one.
    fn tenant(&self, number: usize) -> String {
        let kept = self.told.remembered.tenants.iter().find(|one| one.deleted_at.is_none());
        kept.map_or_else(|| format!("c-{number:0>8}"), |tenant| tenant.id.to_string())
    }

    /// Lets time pass, and stops wherever something happens or somebody looks.
    fn wait(&mut self, until: i64) {
        loop {
            let next = [
                self.shop.engine.next_due(),
                self.told.next.map(Timestamp::as_second),
                self.heard.next.map(Timestamp::as_second),
                self.coming.keys().next().copied(),
            ];
            let now = self.now();
            let next = next.into_iter().flatten().map(|at| at.max(now)).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.shop.engine.advance_to(next);
            self.happened();
            let due = |book: &Book| book.next.is_some_and(|at| at.as_second() <= next);
            let (told, heard) = (due(&self.told), due(&self.heard));
            let news = self.coming.range(..=next).count() > 0;
            self.coming = self.coming.split_off(&(next + 1));
            let now = time(next);
            let standing = standing(&self.shop.engine);
            if told {
                self.told.review(&standing, now);
            }
            if heard || news {
                self.heard.review(&standing, now);
            }
            self.check();
        }
        self.shop.engine.advance_to(until);
    }

    /// What is new is told to one at once, and to the other as its news come.
    fn happened(&mut self) {
        let new = self.shop.engine.events().len() - self.seen;
        let now = self.now();
        for number in self.seen..self.seen + new {
            let News { delays } = &self.news[number % self.news.len()];
            for delay in delays {
                *self.coming.entry(now + delay).or_default() += 1;
            }
        }
        self.seen += new;
        if new > 0 {
            self.look(false);
        }
        self.check();
    }

    fn look(&mut self, both: bool) {
        let (now, standing) = (time(self.now()), standing(&self.shop.engine));
        self.told.review(&standing, now);
        if both {
            self.heard.review(&standing, now);
        }
    }

    /// The sender asks for what is true now, and sends it.
    fn send(&mut self) {
        let (now, standing) = (time(self.now()), standing(&self.shop.engine));
        for book in [&mut self.told, &mut self.heard] {
            book.review(&standing, now);
            for notice in book.send() {
                assert!(is_true(&self.shop.engine, &notice.kind), "{notice:?} is false");
            }
        }
    }

    /// No service without payment, no payment without service, and no gap.
    fn check(&self) {
        let engine = &self.shop.engine;
        let active = self.told.files.values().filter(|(_, state)| state == "active").count();
        let (pays, taken_back) = (pays(engine), taken_back(engine));
        if active > 0 {
            assert!(pays || past_due(engine), "service without payment");
            let now = time(self.now());
            let covered =
                self.told.periods.iter().any(|one| one.starts_at <= now && now < one.ends_at);
            assert!(covered, "a gap at {now}: {:?}", self.told.periods);
        }
        assert!(active > 0 || !pays || taken_back, "payment without service");
    }

    /// What was lost comes after all.
    fn end(&mut self) {
        self.look(true);
        let now = time(self.now());
        assert_eq!(self.told.outcome(now), self.heard.outcome(now));
    }
}

fn pays(engine: &Engine) -> bool {
    engine.subscriptions().any(|one| matches!(one.status, Status::Active | Status::Trialing))
}

fn past_due(engine: &Engine) -> bool {
    engine.subscriptions().any(|one| one.status == Status::PastDue)
}

fn taken_back(engine: &Engine) -> bool {
    engine.disputes().any(|dispute| dispute.state != DisputeState::Won)
        || engine.charges().any(|charge| charge.refunded >= charge.amount)
}

fn is_true(engine: &Engine, kind: &str) -> bool {
    let live = |what: &dyn Fn(&oc_sandbox::stripe::Subscription) -> bool| {
        engine.subscriptions().any(|one| one.ended_at.is_none() && what(one))
    };
    match kind {
        "welcome" | "reactivated" => pays(engine) || past_due(engine),
        "payment_failed" => past_due(engine),
        "suspended" => !pays(engine) || taken_back(engine),
        "ending" => live(&|one| one.cancel_at_period_end || one.cancel_at.is_some()),
        "deletion" => !pays(engine),
        "partial_refund" => {
            engine.charges().any(|one| one.refunded > 0 && one.refunded < one.amount)
        }
        "dispute_opened" => engine.disputes().any(|one| one.state == DisputeState::NeedsResponse),
        other => panic!("{other} is never true here"),
    }
}

/// Uses some of what it may, so that periods cannot just go.
fn consume(race: &mut Race) {
    let now = time(race.now());
    for book in [&mut race.told, &mut race.heard] {
        for period in &mut book.periods {
            if period.starts_at <= now && now < period.ends_at {
                period.used = period.used.max(1);
            }
        }
    }
}

proptest! {
    // What is promised.
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn however_it_is_heard_of_a_history_ends_the_same(
        settings in settings(),
        steps in vec((step(), 0..4_u8), 1..25),
        news in vec(news(), 1..12),
    ) {
        let mut race = Race::new(settings, news);
        prop_assert_eq!(race.now(), START);
        for (number, (step, what)) in steps.iter().enumerate() {
            race.take(step, number);
            match what {
                0 => race.send(),
                1 => consume(&mut race),
                _ => {}
            }
        }
        race.end();
    }
}
