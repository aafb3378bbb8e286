use std::sync::{
    LazyLock,
    atomic::{AtomicU32, Ordering},
};

use jiff::{Timestamp, ToSpan};
use oc_domain::AccountId;
use oc_store::{
    Store,
    periods::{self, Period, PeriodChange, Wanted, plan},
    reviews::{self, Review},
};
use proptest::{collection::vec, prelude::*};
use tokio::runtime::Runtime;

use crate::support::{customer, database, load, now, review, sql};

/// A day that is so many after today.
fn day(offset: i64) -> Timestamp {
    now() + (24 * offset).hours()
}

fn wanted(from: i64, to: i64, limit: u64) -> Wanted {
    Wanted { starts_at: day(from), ends_at: day(to), limit, messages: messages(limit) }
}

/// Some tiers count messages.
fn messages(limit: u64) -> Option<u64> {
    (limit % 2 == 1).then_some(limit * 100)
}

fn period(id: i64, from: i64, to: i64) -> Period {
    let (starts_at, ends_at) = (day(from), day(to));
    Period { id, starts_at, ends_at, limit: 5, used: 0, messages: messages(5) }
}

/// What is there once a plan is carried out; the rules hold after each of its steps.
fn carried_out(existing: &[Period], changes: &[PeriodChange], today: i64) -> Vec<Period> {
    let mut periods = existing.to_vec();
    for change in changes {
        match change {
            PeriodChange::Delete { id } => {
                let gone = periods.iter().position(|period| period.id == *id).unwrap();
                let gone = periods.remove(gone);
                assert!(gone.starts_at > day(today) && gone.used == 0, "{gone:?}");
            }
            PeriodChange::Update { id, ends_at, limit, messages } => {
                let period = periods.iter_mut().find(|period| period.id == *id).unwrap();
                (period.ends_at, period.limit, period.messages) = (*ends_at, *limit, *messages);
            }
            PeriodChange::Insert(wanted) => {
                let id = periods.iter().map(|period| period.id).max().unwrap_or_default() + 1;
                let Wanted { starts_at, ends_at, limit, messages } = *wanted;
                periods.push(Period { id, starts_at, ends_at, limit, used: 0, messages });
            }
        }
        periods.sort_by_key(|period| period.starts_at);
        assert!(periods.iter().all(|period| period.starts_at < period.ends_at), "{periods:?}");
        let apart = periods.is_sorted_by(|one, next| one.ends_at <= next.starts_at);
        assert!(apart, "{periods:?}");
    }
    periods
}

/// The limits of the period at `at`.
fn limits_at(periods: &[Period], at: Timestamp) -> Option<(u64, Option<u64>)> {
    let found = periods.iter().find(|period| period.starts_at <= at && at < period.ends_at);
    found.map(|period| (period.limit, period.messages))
}

#[test]
fn renewal_upgrade_and_end_are_the_least_change() {
    let current = period(1, -10, 20);
    let next = period(2, 20, 50);
    let update = |id, to, limit| PeriodChange::Update {
        id,
        ends_at: day(to),
        limit,
        messages: messages(limit),
    };
    for (existing, wants, expected) in [
        // A sign-up, with the next one in advance.
        (
            vec![],
            vec![wanted(0, 30, 5), wanted(30, 60, 5)],
            vec![PeriodChange::Insert(wanted(0, 30, 5)), PeriodChange::Insert(wanted(30, 60, 5))],
        ),
        (vec![current], vec![wanted(-10, 20, 5)], vec![]),
        (
            vec![current],
            vec![wanted(-10, 20, 5), wanted(20, 50, 5)],
            vec![PeriodChange::Insert(wanted(20, 50, 5))],
        ),
        (
            vec![current, next],
            vec![wanted(-10, 20, 9), wanted(20, 50, 9)],
            vec![update(1, 20, 9), update(2, 50, 9)],
        ),
        // It will not be renewed; it is over now; there was none.
        (vec![current, next], vec![wanted(-10, 20, 5)], vec![PeriodChange::Delete { id: 2 }]),
        (vec![current, next], vec![], vec![update(1, 0, 5), PeriodChange::Delete { id: 2 }]),
        (vec![], vec![], vec![]),
        // Other dates: a new one cuts the old one off.
        (
            vec![current, next],
            vec![wanted(-1, 29, 5)],
            vec![
                update(1, -1, 5),
                PeriodChange::Delete { id: 2 },
                PeriodChange::Insert(wanted(-1, 29, 5)),
            ],
        ),
        // Suspended, and back in the same period.
        (vec![period(1, -10, -2)], vec![wanted(-10, 20, 5)], vec![update(1, 20, 5)]),
        // What is over stays as it was.
        (vec![period(3, -40, -10), current], vec![wanted(-40, -10, 9), wanted(-10, 20, 5)], vec![]),
    ] {
        let planned = plan(&existing, &wants, day(0)).unwrap();
        assert_eq!(planned, expected, "{existing:?} {wants:?}");
    }
    for wrong in [vec![wanted(0, 2, 1), wanted(1, 3, 1)], vec![wanted(1, 1, 1)]] {
        plan(&[], &wrong, day(0)).unwrap_err();
    }
}

/// Neighbours and gaps within 24 days around today.
fn spans() -> impl Strategy<Value = Vec<(i64, i64, u64)>> {
    vec((0..4_i64, 1..6_i64, 0..4_u64), 0..5).prop_map(|spans| {
        let mut at = -12;
        let follow = |(gap, length, limit): (i64, i64, u64)| {
            let from = at + gap;
            at = from + length;
            (from, at, limit)
        };
        spans.into_iter().map(follow).collect()
    })
}

/// Reviews that follow each other: the days between them, and what they want.
fn history() -> impl Strategy<Value = Vec<(i64, Vec<Wanted>)>> {
    let wants = spans().prop_map(|spans| {
        spans.into_iter().map(|(from, to, limit)| wanted(from, to, limit)).collect()
    });
    vec((0..3_i64, wants), 1..6)
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn from_now_on_there_is_what_is_wanted_and_what_has_begun_stays(
        spans in spans(), used in vec(any::<bool>(), 5), wants in spans(), today in -13..13_i64,
    ) {
        let existing: Vec<Period> = spans.iter().zip(used).zip(1..).map(|((span, used), id)| {
            let (from, to, limit) = *span;
            let period = Period { limit, messages: messages(limit), ..period(id, from, to) };
            // Sometimes also in the future: another clock is ahead of ours.
            Period { used: u64::from(used && from <= today + 1), ..period }
        }).collect();
        let wants: Vec<Wanted> =
            wants.into_iter().map(|(from, to, limit)| wanted(from, to, limit)).collect();
        let ahead = existing.iter().filter(|period| period.used > 0).map(|period| period.starts_at);
        let seen = ahead.fold(day(today), Timestamp::max);

        let periods = carried_out(&existing, &plan(&existing, &wants, day(today)).unwrap(), today);
        for days in 0..30 {
            let at = seen + (24 * days).hours() + 1.microsecond();
            let should = wants.iter().find(|one| one.starts_at <= at && at < one.ends_at);
            prop_assert_eq!(limits_at(&periods, at), should.map(|one| (one.limit, one.messages)));
        }
        for begun in existing.iter().filter(|period| period.starts_at <= seen) {
            let kept = periods.iter().find(|period| period.id == begun.id).unwrap();
            prop_assert_eq!((kept.starts_at, kept.used), (begun.starts_at, begun.used));
        }
        for later in [day(today), seen, seen + 1.hour(), seen + 100.hours(), seen + 1000.hours()] {
            prop_assert_eq!(plan(&periods, &wants, later).unwrap(), vec![], "at {}", later);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn postgres_takes_every_plan(history in history()) {
        RUNTIME.block_on(async {
            static DATABASE: tokio::sync::OnceCell<(Store, String)> =
                tokio::sync::OnceCell::const_new();
            static CASE: AtomicU32 = AtomicU32::new(0);
            let (store, url) = DATABASE.get_or_init(database).await;
            let name = CASE.fetch_add(1, Ordering::Relaxed).to_string();
            let account = customer(store, &name).await;
            let mut today = -13;
            for (days, wants) in history {
                today += days;
                reviewed(store, url, &account, today, wants).await;
            }
        });
    }
}

/// A review on the day `today` leads from what was there to what its plan says.
async fn reviewed(store: &Store, url: &str, account: &AccountId, today: i64, wants: Vec<Wanted>) {
    let known = load(store, account).await;
    let changes = plan(&known.periods, &wants, day(today)).unwrap();
    let expected = carried_out(&known.periods, &changes, today);
    let review = Review { now: day(today), periods: wants, ..review(account, known.version) };
    let done = reviews::commit(store, &review).await.unwrap();
    assert_eq!(done, reviews::Outcome::Committed { changes: 0, periods: !changes.is_empty() });
    let parts = |periods: &[Period]| -> Vec<_> {
        let part = |one: &Period| (one.starts_at, one.ends_at, one.limit, one.used, one.messages);
        periods.iter().map(part).collect()
    };
    assert_eq!(parts(&load(store, account).await.periods), parts(&expected));
    if changes.is_empty() {
        let used = "update periods set used_tokens = 1 where starts_at <=";
        sql(url, &format!("{used} '{}' and account_id = '{account}'", day(today))).await;
    }
    assert!(periods::current_and_next(store, account, day(today)).await.unwrap().len() <= 2);
}
