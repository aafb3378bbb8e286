use std::time::Duration;

use jiff::ToSpan;
use oc_domain::usage::UsageEvent;
use oc_store::{
    events::{self, Receipt},
    periods::Wanted,
    reviews::{self, Outcome, Review},
    usage,
};
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use crate::support::{
    change, connect, customer, database, event, load, new_tenant, notice, now, period, review, sql,
    stripe_event, subscription, used,
};

/// Far below what a machine does that has nothing else to do, so that a busy one passes too.
const LEAST_PER_SECOND: f64 = 2000.0;

#[tokio::test]
async fn a_recorder_keeps_up_with_the_platform() {
    let (store, _) = database().await;
    let one = period(&store, "one", 1 << 40).await;
    let events: Vec<UsageEvent> = (0..40_000).map(|number| event(one, number)).collect();
    let begun = Instant::now();
    for batch in events.chunks(1000) {
        usage::record(&store, batch).await.unwrap();
    }
    let seconds = begun.elapsed().as_secs_f64();
    let rate = 40_000.0 / seconds;
    println!("{rate:.0} rows a second, {:.1} ms a batch of 1000", seconds * 1000.0 / 40.0);
    assert!(rate > LEAST_PER_SECOND, "{rate}");
    assert_eq!(used(&store, "one").await, 400_000);
}

/// Ten times what a whole acknowledgement may take, for machines that do much else.
const MOST_RECEIVING: Duration = Duration::from_millis(500);

#[tokio::test]
async fn an_inbox_with_many_events_takes_the_next_one_at_once() {
    let (_, url) = database().await;
    sql(
        &url,
        "insert into accounts (id, stripe_customer_id)
        select 'a-' || n, 'cus_' || n from generate_series(1, 1000) as n;
        insert into stripe_events (id, type, customer, account_id, created_at, received_at, trace_id,
            status, next_attempt_at)
        select 'evt_old_' || n, 'x', 'cus_' || n, 'a-' || (1 + n % 1000), now(), now(), n, 'done', now()
        from generate_series(1, 20000) as n",
    )
    .await;
    let mut webhooks = JoinSet::new();
    for replica in 0..4 {
        let store = connect(&url);
        webhooks.spawn(async move {
            let mut times = Vec::new();
            for number in 0..500 {
                let event =
                    stripe_event(&format!("evt_{replica}_{number}"), &format!("{}", number % 50));
                let begun = Instant::now();
                assert_eq!(events::receive(&store, &event, now()).await.unwrap(), Receipt::New);
                times.push(begun.elapsed());
            }
            times
        });
    }
    let mut times: Vec<Duration> = webhooks.join_all().await.into_iter().flatten().collect();
    times.sort_unstable();
    let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("receive, 4 at once: p50 {median:?}, p99 {p99:?}, most {:?}", times[times.len() - 1]);
    assert!(p99 < MOST_RECEIVING, "{p99:?}");
}

#[tokio::test]
async fn a_review_costs_milliseconds() {
    /// Far below, as above; Stripe allows 100 reads a second, and a review makes several.
    const LEAST: f64 = 5.0;
    const ROUNDS: i64 = 300;
    let (store, _) = database().await;
    let one = customer(&store, "one").await;
    let first = Review { tenants: vec![new_tenant("c-1")], ..review(&one, 0) };
    reviews::commit(&store, &first).await.unwrap();
    let begun = Instant::now();
    for round in 1..=ROUNDS {
        let known = load(&store, &one).await;
        assert_eq!(known.version, round);
        // Everything changes each time.
        let state = if round % 2 == 0 { "active" } else { "suspended" };
        let limit = round.cast_unsigned();
        let next = Review {
            subscriptions: vec![subscription("sub_1")],
            periods: vec![wanted(0, limit), wanted(720, limit)],
            changes: vec![change("c-1", "/spec/state", Some(json!(state)))],
            notices: vec![notice("welcome", "welcome")],
            kinds: vec!["welcome".to_owned()],
            events: vec![format!("evt_{round}")],
            next: Some(now() + 1.hour()),
            ..review(&one, round)
        };
        assert_ne!(reviews::commit(&store, &next).await.unwrap(), Outcome::Moved);
    }
    let rate = f64::from(i32::try_from(ROUNDS).unwrap()) / begun.elapsed().as_secs_f64();
    println!("{rate:.0} reviews a second, loaded and committed one after the other");
    assert!(rate > LEAST, "{rate}");
}

/// A month that begins so many hours from now.
fn wanted(hours: i64, limit: u64) -> Wanted {
    let starts_at = now() + hours.hours();
    Wanted { starts_at, ends_at: starts_at + 720.hours(), limit, messages: Some(1000) }
}
