use std::slice;

use jiff::ToSpan;
use oc_domain::{NicheId, TierId};
use oc_store::{
    Error, accounts, audit, events,
    periods::Wanted,
    reviews::{self, Outcome, Review},
    usage,
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{
    change, connect, customer, database, event, load, new_tenant, notice, now, period, review, sql,
    stripe_event, subscription, tenant,
};

/// A sign-up: everything at once.
async fn sign_up(store: &oc_store::Store) -> Review {
    let one = customer(store, "one").await;
    events::receive(store, &stripe_event("evt_1", "one"), now()).await.unwrap();
    let entry = audit::Entry {
        actor: "billing".to_owned(),
        action: "subscription.began".to_owned(),
        account: Some(one.clone()),
        tenant: Some(tenant("c-1")),
        trace: Some("review".to_owned()),
        details: json!({ "events": ["evt_1"] }),
    };
    Review {
        subscriptions: vec![subscription("sub_1")],
        periods: vec![Wanted {
            starts_at: now(),
            ends_at: now() + 720.hours(),
            limit: 5,
            messages: None,
        }],
        tenants: vec![new_tenant("c-1")],
        changes: vec![change("c-1", "/spec/state", Some(json!("active")))],
        notices: vec![notice("welcome", "welcome:sub_1")],
        kinds: vec!["welcome".to_owned()],
        audit: vec![entry],
        events: vec!["evt_1".to_owned()],
        ..review(&one, load(store, &one).await.version)
    }
}

#[tokio::test]
async fn a_review_is_remembered_as_it_was_committed() {
    let (store, _) = database().await;
    let review = sign_up(&store).await;
    let done = Outcome::Committed { changes: 1, periods: true };
    assert_eq!(reviews::commit(&store, &review).await.unwrap(), done);
    let known = load(&store, &review.account).await;
    assert_eq!((known.version, known.customer.as_deref()), (1, Some("cus_one")));
    assert_eq!(known.subscriptions, review.subscriptions);
    assert_eq!((known.periods.len(), known.periods[0].limit), (1, 5));
    assert_eq!(known.notices, review.notices);
    assert_eq!(known.events, []);
    let one = &known.tenants[0];
    assert_eq!(
        (&one.id, one.niche, one.tier),
        (&tenant("c-1"), Some(NicheId::Pharmacy), TierId::Pro)
    );
    assert_eq!(one.last_change.as_ref().unwrap().wanted, review.changes[0]);
    let log = audit::by_trace(&store, "review").await.unwrap();
    assert_eq!((&log[0].entry, log[0].at), (&review.audit[0], now()));

    // The same again finds nothing to do but to say so.
    let again = Review { version: 1, tenants: vec![], audit: vec![], ..review };
    let done = Outcome::Committed { changes: 0, periods: false };
    assert_eq!(reviews::commit(&store, &again).await.unwrap(), done);
}

#[tokio::test]
async fn of_reviews_at_the_same_time_one_is_committed() {
    let (store, url) = database().await;
    let review = sign_up(&store).await;
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let (store, review) = (connect(&url), review.clone());
        workers.spawn(async move { reviews::commit(&store, &review).await.unwrap() });
    }
    let outcomes = workers.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome != Outcome::Moved).count(), 1);
    let counts =
        "select concat_ws(' ', (select count(*) from tenants), (select count(*) from periods),
        (select count(*) from outbox), (select count(*) from spec_changes),
        (select count(*) from audit_log), (select count(*) from subscriptions))";
    assert_eq!(sql(&url, counts).await, "1 1 1 1 1 1");
}

#[tokio::test]
async fn a_review_that_cannot_be_is_no_part_of_anything() {
    let (store, url) = database().await;
    let good = sign_up(&store).await;
    customer(&store, "two").await;
    reviews::commit(
        &store,
        &Review {
            subscriptions: vec![subscription("sub_2")],
            ..review(&"a-two".parse().unwrap(), 0)
        },
    )
    .await
    .unwrap();
    let dump = "select jsonb_agg(to_jsonb(accounts) order by id)::text from accounts";
    let before = sql(&url, dump).await;
    let overlapping = [&good.periods[..], &good.periods[..]].concat();
    let nameless = audit::Entry { actor: "\0".to_owned(), ..good.audit[0].clone() };
    let unknown = change("c-9", "/spec/state", None);
    for bad in [
        Review { periods: overlapping, ..good.clone() },
        Review { audit: vec![nameless], ..good.clone() },
        Review { changes: vec![unknown], ..good.clone() },
        Review { subscriptions: vec![subscription("sub_2")], ..good.clone() },
        Review {
            subscriptions: vec![subscription("sub_1"), subscription("sub_3")],
            ..good.clone()
        },
    ] {
        let error = reviews::commit(&store, &bad).await.unwrap_err();
        assert!(!error.is_transient(), "{error:?}");
        assert_eq!(sql(&url, dump).await, before);
    }
    let foreign = Review { subscriptions: vec![subscription("sub_2")], ..good.clone() };
    let foreign = reviews::commit(&store, &foreign).await.unwrap_err();
    assert!(matches!(foreign, Error::ForeignSubscription(_)));
    assert_ne!(reviews::commit(&store, &good).await.unwrap(), Outcome::Moved);
}

#[tokio::test]
async fn a_subscription_may_follow_one_that_ends_in_the_same_review() {
    let (store, _) = database().await;
    let first = sign_up(&store).await;
    reviews::commit(&store, &first).await.unwrap();
    let mut ended = subscription("sub_1");
    ended.status = "canceled".to_owned();
    ended.ended_at = Some(now());
    let mut follows = subscription("sub_2");
    follows.updated_at = now() + 1.second();
    let both = vec![follows.clone(), ended.clone()];
    let second = Review { subscriptions: both, ..review(&first.account, 1) };
    assert_ne!(reviews::commit(&store, &second).await.unwrap(), Outcome::Moved);
    assert_eq!(load(&store, &first.account).await.subscriptions, [ended, follows]);
}

/// The ledger locks periods and tells the outbox; a review locks the account first.
#[tokio::test]
async fn reviews_and_the_ledger_do_not_wait_for_each_other_for_ever() {
    let (store, url) = database().await;
    let one = period(&store, "one", 4000).await;
    let account = "a-one".parse().unwrap();
    let recording = async {
        for batch in 0..40_u64 {
            let events: Vec<_> = (0..10).map(|number| event(one, batch * 10 + number)).collect();
            usage::record(&store, &events).await.unwrap();
        }
    };
    let other = connect(&url);
    let reviewing = async {
        for round in 0..40_i64 {
            let wanted = Wanted {
                starts_at: now() - 240.hours(),
                ends_at: now() + 240.hours() + round.minutes(),
                limit: 4000,
                messages: None,
            };
            let review = Review {
                agents: None,
                customer: Some("cus_one".to_owned()),
                periods: slice::from_ref(&wanted).to_vec(),
                notices: vec![notice("welcome", "welcome")],
                ..review(&account, round)
            };
            assert_ne!(reviews::commit(&other, &review).await.unwrap(), Outcome::Moved);
        }
    };
    tokio::join!(recording, reviewing);
    let known = load(&store, &account).await;
    assert_eq!((known.periods[0].id, known.periods[0].used), (one, 4000));
    assert_eq!(sql(&url, "select count(*) from outbox where kind = 'quota'").await, "3");
    let clear = accounts::clear(&store, &account, now()).await;
    clear.unwrap();
}
