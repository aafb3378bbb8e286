//! Two replicas, killed at random while accounts live their lives and Stripe delivers badly.
//!
//! The size is the small one unless `OPENCLAW_CRASH` is `large`, see `scripts/crash-billing`.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use futures::future::join_all;
use jiff::{SignedDuration, ToSpan as _};
use oc_domain::{AccountId, TierId};
use oc_sandbox::{
    billing::{Setup, Stack},
    signal,
    stripe::{Card, InvoiceState, NewRefund},
};
use oc_store::outbox;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::{
    sync::RwLock,
    time::{Instant, sleep},
};

use crate::{
    check::converged,
    support::{a_month_before, catch_up, now, setup, sql},
};

/// How much of everything.
struct Size {
    accounts: usize,
    kills: usize,
}

const SMALL: Size = Size { accounts: 8, kills: 8 };
const LARGE: Size = Size { accounts: 40, kills: 100 };

/// What the accounts go through, one after the other.
const CHAPTERS: usize = 6;

/// All that is shared by those who act.
struct Story {
    stack: RwLock<Stack>,
    kills: AtomicUsize,
    over: AtomicBool,
    sent: std::sync::Mutex<BTreeMap<(AccountId, String), usize>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn all_converges_whatever_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "a test has no options")]
    let large = std::env::var("OPENCLAW_CRASH").is_ok_and(|size| size == "large");
    let size = if large { LARGE } else { SMALL };
    let began = Instant::now();
    let two_months = now().to_zoned(jiff::tz::TimeZone::UTC);
    let then = a_month_before(two_months).checked_sub(1.month()).unwrap().timestamp();
    let ago = now().as_second() - then.as_second();
    let stack = Stack::start(Setup { replicas: 2, ago, ..setup() }).await.unwrap();
    stack.at_stripe("duplicate=0.1 reorder=0.2 retry=100ms fail=500:0.02 lost=0.02").unwrap();
    let story = Story {
        stack: RwLock::new(stack),
        kills: AtomicUsize::new(0),
        over: AtomicBool::new(false),
        sent: std::sync::Mutex::default(),
    };
    let (accounts, (), ()) = tokio::join!(story.live(&size), story.kill(), story.send());
    let mut stack = story.stack.into_inner();
    for number in 0..2 {
        stack.services[number].kill().unwrap();
        stack.restart(number).await.unwrap();
    }
    stack.at_stripe("fail=500:0 lost=0 duplicate=0 reorder=0").unwrap();
    // The claims of the dead pass after 45 seconds, which need not be waited for.
    sql(&stack, "update accounts set review_at = now(), claimed_until = now()").await;
    converged(&stack).await;
    let sent = story.sent.into_inner().unwrap();
    for (notice, times) in &sent {
        assert_eq!(*times, 1, "{notice:?}");
    }
    let welcomes = sent.keys().filter(|(_, key)| key.starts_with("welcome:")).count();
    let events = sql(&stack, "select count(*) from stripe_events where status = 'done'").await;
    let commits = stack.remote.changes().unwrap().len();
    assert!(welcomes <= accounts.len());
    let decided = "select string_agg(status || ' ' || decided_state, ', ' order by id) from
        (select distinct on (account_id) * from subscriptions order by account_id, updated_at desc) as last";
    println!("{}", sql(&stack, decided).await);
    println!(
        "{} accounts, {} kills, {events} events, {commits} commits, {} notices sent: {:.1} s",
        accounts.len(),
        story.kills.into_inner(),
        sent.len(),
        began.elapsed().as_secs_f64(),
    );
}

impl Story {
    /// All accounts, chapter by chapter; each chapter has its share of kills.
    async fn live(&self, size: &Size) -> Vec<AccountId> {
        let names: Vec<usize> = (0..size.accounts).collect();
        let accounts = join_all(names.iter().map(|number| self.sign_up(*number))).await;
        for chapter in 1..CHAPTERS {
            while self.kills.load(Relaxed) < size.kills * chapter / CHAPTERS {
                sleep(Duration::from_millis(50)).await;
            }
            if chapter == 2 {
                self.stack.read().await.at_stripe("clock=+32d").unwrap();
            }
            if chapter == 4 {
                catch_up(&*self.stack.read().await);
            }
            let pages = accounts.iter().enumerate();
            join_all(pages.map(|(number, account)| self.chapter(chapter, number % 4, account)))
                .await;
        }
        while self.kills.load(Relaxed) < size.kills {
            sleep(Duration::from_millis(50)).await;
        }
        self.over.store(true, Relaxed);
        accounts
    }

    /// A page, asked for until there is one, and paid.
    async fn sign_up(&self, number: usize) -> AccountId {
        let card = if matches!(number % 4, 0 | 3) { "works" } else { "works_once" };
        loop {
            let stack = self.stack.read().await;
            let tier = if number.is_multiple_of(2) { TierId::Starter } else { TierId::Pro };
            if let Ok(page) = stack.checkout(number % 2, &format!("c{number}"), tier).await {
                let paid = stack.at_stripe(&format!("checkout={}:{card}", page.session));
                if paid.is_ok() {
                    return page.account;
                }
            }
            drop(stack);
            sleep(between(20, 200)).await;
        }
    }

    /// What an account of this kind does in this chapter.
    async fn chapter(&self, chapter: usize, kind: usize, account: &AccountId) {
        sleep(between(0, 500)).await;
        match (chapter, kind) {
            (1, 0) => self.ask("tier", account, json!({"tier": "pro"})).await,
            (1, 3) => {
                self.ask("cancel", account, json!({"when": "period_end"})).await;
                self.ask("cancel", account, json!({"when": "undo"})).await;
            }
            // A month later the cards of kinds 1 and 2 are declined.
            (3, 1) => self.pay(account).await,
            (5, 0) => self.ask("cancel", account, json!({"when": "now"})).await,
            (5, 1) => self.refund(account).await,
            (5, 3) => self.ask("tier", account, json!({"tier": "team"})).await,
            _ => {}
        }
    }

    /// Asks until somebody has understood.
    async fn ask(&self, path: &str, account: &AccountId, mut body: Value) {
        body["account"] = json!(account);
        let once = format!("{path}-{account}-{}", rand::random::<u64>());
        for number in 0.. {
            let stack = self.stack.read().await;
            let path = format!("/internal/{path}");
            match stack.ask_once(number % 2, &path, &once, &body).await {
                Ok((200, _)) => return,
                Ok((status @ 400..500, answer)) => panic!("{path}: {status} {answer}"),
                _ => {}
            }
            drop(stack);
            sleep(between(20, 200)).await;
        }
    }

    async fn pay(&self, account: &AccountId) {
        let stack = self.stack.read().await;
        let customer = stack.customer(account).unwrap();
        stack.stripe.with(|engine| {
            engine.set_card(&customer, Card::Works).unwrap();
            let mine = engine.invoices().filter(|one| *one.customer == *customer);
            let owed = mine.filter(|one| one.state == InvoiceState::Open);
            for id in owed.map(|one| one.id.clone()).collect::<Vec<_>>() {
                engine.pay_invoice(&id).unwrap();
            }
        });
    }

    async fn refund(&self, account: &AccountId) {
        let stack = self.stack.read().await;
        let customer = stack.customer(account).unwrap();
        stack.stripe.with(|engine| {
            let mine = |one: &&oc_sandbox::stripe::Charge| *one.customer == *customer && one.paid;
            let last = engine.charges().rev().find(mine).unwrap().id.to_string();
            engine.create_refund(NewRefund { of: last, ..NewRefund::default() }).unwrap();
        });
    }

    /// One replica after the other, at moments that nobody knows.
    async fn kill(&self) {
        while !self.over.load(Relaxed) {
            sleep(between(0, 700)).await;
            let victim = usize::from(rand::random::<bool>());
            // Those who are asking it see it die.
            signal(self.stack.read().await.services[victim].pid(), "KILL").unwrap();
            sleep(between(0, 200)).await;
            let mut stack = self.stack.write().await;
            stack.services[victim].kill().unwrap();
            stack.restart(victim).await.unwrap();
            // Claims of the dead pass by themselves; that much time is not there.
            sql(
                &stack,
                "update accounts set claimed_until = now()
                where claimed_until < now() + interval '44 seconds'",
            )
            .await;
            self.kills.fetch_add(1, Relaxed);
        }
    }

    /// The channel: sends what is confirmed, and says so.
    async fn send(&self) {
        let kinds = [
            "welcome",
            "payment_failed",
            "suspended",
            "reactivated",
            "ending",
            "deletion",
            "partial_refund",
            "dispute_opened",
            "second_subscription",
        ];
        let kinds: Vec<String> = kinds.map(str::to_owned).into();
        let store = self.stack.read().await.store.clone();
        while !self.over.load(Relaxed) {
            let fresh = SignedDuration::from_secs(30);
            for due in outbox::due(&store, &kinds, fresh, now(), 100).await.unwrap() {
                let key = (due.account, due.notice.dedup_key);
                *self.sent.lock().unwrap().entry(key).or_default() += 1;
                outbox::delivered(&store, due.id, now()).await.unwrap();
            }
            sleep(between(50, 400)).await;
        }
    }
}

fn between(least_ms: u64, most_ms: u64) -> Duration {
    Duration::from_millis(rand::rng().random_range(least_ms..most_ms))
}
