use std::collections::BTreeSet;

use jiff::ToSpan;
use oc_domain::{Locale, TierId};
use oc_store::{
    Error, accounts,
    events::{self, Receipt},
    reviews::{self, Claimed, Outcome, claim_due},
};
use tokio::task::JoinSet;

use crate::support::{account, connect, customer, database, load, now, review, sql, stripe_event};

const DUE: &str =
    "select coalesce(extract(epoch from review_at)::bigint::text, 'never') from accounts";

fn seconds(offset: i64) -> String {
    (now() + offset.seconds()).as_second().to_string()
}

#[tokio::test]
async fn workers_share_what_is_due_and_none_gets_what_another_has() {
    let (store, url) = database().await;
    sql(
        &url,
        "insert into accounts (id, review_at)
        select 'a-' || n, '2026-11-21T11:00:00Z'::timestamptz + n * interval '1 minute'
        from generate_series(1, 60) as n",
    )
    .await;
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let store = connect(&url);
        workers.spawn(async move {
            let mut all = Vec::new();
            loop {
                let claimed = claim_due(&store, now(), now() + 1.minute(), 3).await.unwrap();
                if claimed.is_empty() {
                    return all;
                }
                all.extend(claimed.into_iter().map(|one| one.account));
            }
        });
    }
    let claimed: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 60);
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), 60);
    // Their workers died.
    let later = now() + 1.minute();
    assert_eq!(claim_due(&store, later, later + 1.minute(), 100).await.unwrap().len(), 60);
}

#[tokio::test]
async fn what_comes_while_a_review_runs_makes_the_account_due_again() {
    let (store, url) = database().await;
    let one = customer(&store, "one").await;
    let next = now() + 1.hour();
    let commit = async |version: i64| {
        let mut review = review(&one, version);
        review.next = Some(next);
        reviews::commit(&store, &review).await.unwrap()
    };
    let claim = async || {
        reviews::due(&store, &one, now()).await.unwrap();
        let claimed = claim_due(&store, now(), now() + 1.minute(), 9).await.unwrap();
        assert_eq!(claimed, [Claimed { account: one.clone(), attempts: 0 }]);
        load(&store, &one).await.version
    };
    let version = claim().await;
    assert_ne!(commit(version).await, Outcome::Moved);
    assert_eq!(sql(&url, DUE).await, seconds(3600));

    let version = claim().await;
    let event = stripe_event("evt_1", "one");
    assert_eq!(events::receive(&store, &event, now()).await.unwrap(), Receipt::New);
    let other = claim_due(&store, now(), now() + 1.minute(), 9).await.unwrap();
    assert_eq!(other, [], "it is still claimed");
    assert_ne!(commit(version).await, Outcome::Moved);
    assert_eq!(sql(&url, DUE).await, seconds(0));

    let version = claim().await;
    assert_ne!(commit(version).await, Outcome::Moved);
    assert_eq!(sql(&url, DUE).await, seconds(3600), "what was known when it was claimed is done");
    assert_eq!(commit(version).await, Outcome::Moved);
    assert_eq!(commit(version + 2).await, Outcome::Moved);
}

/// A receipt whose transaction is open while a review is committed, and the other way round.
#[tokio::test]
async fn no_event_is_missed_by_a_review_that_ends_at_the_same_time() {
    let (store, url) = database().await;
    let one = customer(&store, "one").await;
    for round in 0..60 {
        reviews::due(&store, &one, now()).await.unwrap();
        assert_eq!(claim_due(&store, now(), now() + 1.minute(), 1).await.unwrap().len(), 1);
        let loaded = load(&store, &one).await;
        let mut review = review(&one, loaded.version);
        review.events = loaded.events.iter().map(|event| event.id.clone()).collect();
        let event = stripe_event(&format!("evt_{round}"), "one");
        let (committed, received) =
            tokio::join!(reviews::commit(&store, &review), events::receive(&store, &event, now()));
        assert_ne!(committed.unwrap(), Outcome::Moved);
        assert_eq!(received.unwrap(), Receipt::New);
        assert_eq!(sql(&url, DUE).await, seconds(0), "round {round}");
    }
}

#[tokio::test]
async fn a_review_that_is_given_up_is_counted_and_put_off_until_something_comes() {
    let (store, url) = database().await;
    let one = customer(&store, "one").await;
    reviews::due(&store, &one, now()).await.unwrap();
    for attempt in 1..=2 {
        let claimed = claim_due(&store, now(), now() + 1.minute(), 1).await.unwrap();
        assert_eq!(claimed, [Claimed { account: one.clone(), attempts: attempt - 1 }]);
        let again = if attempt == 1 { now() } else { now() + 1.hour() };
        assert_eq!(reviews::failed(&store, &one, again, "Stripe: 500").await.unwrap(), attempt);
    }
    assert_eq!(claim_due(&store, now(), now() + 1.minute(), 1).await.unwrap(), []);
    assert_eq!(sql(&url, "select review_error from accounts").await, "Stripe: 500");
    events::receive(&store, &stripe_event("evt_1", "one"), now()).await.unwrap();
    assert_eq!(claim_due(&store, now(), now() + 1.minute(), 1).await.unwrap().len(), 1);
    reviews::commit(&store, &review(&one, 0)).await.unwrap();
    let reset = "select concat_ws('|', review_attempts, review_error, claimed_until) from accounts";
    assert_eq!(sql(&url, reset).await, "0");
}

#[tokio::test]
async fn what_people_decide_ends_reviews_that_have_not_seen_it() {
    let (store, url) = database().await;
    let one = customer(&store, "one").await;
    let version = load(&store, &one).await.version;
    accounts::clear(&store, &one, now()).await.unwrap();
    assert_eq!(reviews::commit(&store, &review(&one, version)).await.unwrap(), Outcome::Moved);
    let tier = Some(TierId::Team);
    accounts::set_complimentary(&store, &one, tier, now()).await.unwrap();
    let known = load(&store, &one).await;
    assert_eq!((known.cleared_at, known.complimentary), (Some(now()), tier));
    assert_eq!((known.locale, known.agents), (Locale::PtBr, Some(0)));
    assert_eq!(sql(&url, DUE).await, seconds(0));

    let unknown = [
        accounts::clear(&store, &account("no"), now()).await.unwrap_err(),
        accounts::set_complimentary(&store, &account("no"), None, now()).await.unwrap_err(),
        accounts::set_customer(&store, &account("no"), "cus_no").await.unwrap_err(),
        reviews::due(&store, &account("no"), now()).await.unwrap_err(),
        reviews::failed(&store, &account("no"), now(), "x").await.unwrap_err(),
    ];
    assert!(unknown.iter().all(|error| matches!(error, Error::Unknown { what: "account", .. })));
    assert_eq!(reviews::load(&store, &account("no"), now()).await.unwrap(), None);
}

#[tokio::test]
async fn an_account_becomes_one_customer_of_stripes_and_stays_it() {
    let (store, _) = database().await;
    let one = customer(&store, "one").await;
    assert_eq!(accounts::set_customer(&store, &one, "cus_other").await.unwrap(), "cus_one");
    let mut found = review(&one, load(&store, &one).await.version);
    found.customer = Some("cus_other".to_owned());
    reviews::commit(&store, &found).await.unwrap();
    assert_eq!(load(&store, &one).await.customer.as_deref(), Some("cus_one"));
    let two = account("two");
    accounts::insert(&store, &two).await.unwrap();
    let taken = accounts::set_customer(&store, &two, "cus_one").await.unwrap_err();
    assert!(!taken.is_transient());
    assert_eq!(accounts::find_by_customer(&store, "cus_one").await.unwrap(), Some(one));
    assert_eq!(accounts::find_by_customer(&store, "cus_two").await.unwrap(), None);
}
