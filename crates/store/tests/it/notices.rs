use jiff::{SignedDuration, Timestamp, ToSpan};
use oc_store::{
    Error, Store,
    outbox::{self, Notice},
    reviews::{self, Review},
    usage,
};
use serde_json::json;

use crate::support::{customer, database, event, load, notice, now, period, review, sql};

const FRESH: SignedDuration = SignedDuration::from_mins(10);

async fn confirm(store: &Store, name: &str, at: Timestamp, notices: Vec<Notice>) {
    let account = format!("a-{name}").parse().unwrap();
    let version = load(store, &account).await.version;
    let kinds = vec!["overdue".to_owned(), "ended".to_owned()];
    let review = Review { now: at, notices, kinds, agents: None, ..review(&account, version) };
    reviews::commit(store, &review).await.unwrap();
}

/// The keys of what is to be sent at `at`.
async fn keys(store: &Store, at: Timestamp) -> Vec<String> {
    let kinds = ["overdue", "ended", "quota"].map(str::to_owned);
    let due = outbox::due(store, &kinds, FRESH, at, 100).await.unwrap();
    due.into_iter().map(|due| due.notice.dedup_key).collect()
}

#[tokio::test]
async fn a_notice_is_told_once_while_it_is_true_and_never_afterwards() {
    let (store, _) = database().await;
    customer(&store, "one").await;
    let overdue = || notice("overdue", "overdue:in_1");
    confirm(&store, "one", now(), vec![overdue(), notice("ended", "ended"), overdue()]).await;
    assert_eq!(keys(&store, now()).await, ["ended", "overdue:in_1"]);
    // Paid before it was sent; and then the payment is charged back.
    confirm(&store, "one", now(), vec![notice("ended", "ended")]).await;
    assert_eq!(keys(&store, now()).await, ["ended"]);
    let changed = Notice { payload: json!({ "days": 3 }), ..overdue() };
    confirm(&store, "one", now(), vec![changed.clone()]).await;
    let kinds = ["overdue".to_owned()];
    let due = outbox::due(&store, &kinds, FRESH, now(), 100).await.unwrap();
    assert_eq!((&due[0].notice, due[0].created_at), (&changed, now()));

    outbox::delivered(&store, due[0].id, now()).await.unwrap();
    outbox::delivered(&store, due[0].id, now()).await.unwrap();
    for notices in [vec![overdue()], vec![], vec![overdue()]] {
        confirm(&store, "one", now(), notices).await;
        assert_eq!(keys(&store, now()).await, [""; 0], "it has been told");
    }
    let unknown = outbox::delivered(&store, 999, now()).await.unwrap_err();
    assert!(matches!(unknown, Error::Unknown { what: "notice", .. }));
}

#[tokio::test]
async fn accounts_do_not_take_each_others_notices() {
    let (store, url) = database().await;
    for name in ["one", "two"] {
        customer(&store, name).await;
        confirm(&store, name, now(), vec![notice("ended", "ended")]).await;
    }
    confirm(&store, "one", now(), vec![]).await;
    let left = "select account_id from outbox where withdrawn_at is null";
    assert_eq!(sql(&url, left).await, "a-two");
}

#[tokio::test]
async fn what_was_confirmed_long_ago_is_asked_about_and_not_sent() {
    let (store, url) = database().await;
    for name in ["one", "two", "three"] {
        customer(&store, name).await;
        confirm(&store, name, now(), vec![notice("ended", "ended")]).await;
    }
    let later = now() + 11.minutes();
    confirm(&store, "two", later, vec![notice("ended", "ended")]).await;
    // Its reviews fail: it is put off all the same.
    reviews::failed(&store, &"a-three".parse().unwrap(), later + 1.hour(), "?").await.unwrap();
    assert_eq!(keys(&store, later).await, ["ended"]);
    let claimed = reviews::claim_due(&store, later, later + 1.minute(), 9).await.unwrap();
    let claimed: Vec<_> = claimed.iter().map(|claimed| claimed.account.as_str()).collect();
    assert_eq!(claimed, ["a-one"]);
    // While it is being reviewed it is not asked for again.
    assert_eq!(keys(&store, later + 1.second()).await, ["ended"]);
    confirm(&store, "one", later, vec![notice("ended", "ended")]).await;
    let due = "select coalesce(review_at::text, 'never') from accounts where id = 'a-one'";
    assert_eq!(sql(&url, due).await, "never");
    assert_eq!(keys(&store, later + 1.second()).await, ["ended", "ended"]);
}

#[tokio::test]
async fn what_the_ledger_has_reached_needs_no_confirmation() {
    let (store, _) = database().await;
    let one = period(&store, "one", 10).await;
    usage::record(&store, &[event(one, 1)]).await.unwrap();
    assert_eq!(keys(&store, now() + 24.hours()).await.len(), 3);
    confirm(&store, "one", now(), vec![]).await;
    assert_eq!(keys(&store, now() + 24.hours()).await.len(), 3, "its kind is not billing's");
}

#[tokio::test]
async fn what_is_told_needs_no_confirmation_and_is_told_once() {
    let (store, url) = database().await;
    let (one, two) = (customer(&store, "one").await, customer(&store, "two").await);
    let told = |days| Notice { payload: json!({ "days": days }), ..notice("quota", "restarted:1") };
    let null = Notice { payload: json!(null), ..notice("quota", "restarted:2") };
    outbox::tell(&store, &one, &[told(1), null.clone(), told(2)], now()).await.unwrap();
    outbox::tell(&store, &one, &[told(3)], now() + 1.hour()).await.unwrap();
    outbox::tell(&store, &two, &[told(4)], now()).await.unwrap();
    outbox::tell(&store, &two, &[], now()).await.unwrap();

    let due = async || {
        let quota = ["quota".to_owned()];
        outbox::due(&store, &quota, FRESH, now() + 24.hours(), 100).await.unwrap()
    };
    let found: Vec<_> = due().await.into_iter().map(|due| (due.account, due.notice)).collect();
    assert_eq!(found, [(one.clone(), told(1)), (one.clone(), null), (two, told(4))]);
    assert_eq!(due().await[0].created_at, now());
    outbox::delivered(&store, due().await[0].id, now()).await.unwrap();
    outbox::tell(&store, &one, &[told(5)], now()).await.unwrap();
    assert_eq!(due().await.len(), 2, "it has been told");
    assert_eq!(sql(&url, "select count(*) from accounts where review_at is not null").await, "0");

    let nobody = outbox::tell(&store, &"a-nobody".parse().unwrap(), &[told(1)], now()).await;
    assert!(!nobody.unwrap_err().is_transient());
}
