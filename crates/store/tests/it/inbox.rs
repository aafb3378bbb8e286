use jiff::ToSpan;
use oc_store::{
    Error, accounts,
    events::{self, Event, Filter, Receipt, Status},
    reviews,
};
use tokio::task::JoinSet;

use crate::support::{account, connect, customer, database, load, now, review, sql, stripe_event};

async fn find(store: &oc_store::Store, id: &str) -> Event {
    let filter = Filter { id: Some(id.to_owned()), ..Filter::default() };
    events::list(store, &filter, 1).await.unwrap().remove(0)
}

#[tokio::test]
async fn an_event_that_comes_often_and_at_once_is_new_once() {
    let (store, url) = database().await;
    let one = customer(&store, "one").await;
    let mut deliveries = JoinSet::new();
    for _ in 0..16 {
        let store = connect(&url);
        deliveries.spawn(async move {
            events::receive(&store, &stripe_event("evt_1", "one"), now()).await.unwrap()
        });
    }
    let new = deliveries.join_all().await;
    assert_eq!(new.iter().filter(|receipt| **receipt == Receipt::New).count(), 1);
    let event = find(&store, "evt_1").await;
    assert_eq!((event.account, event.status), (Some(one), Status::Pending));
    assert_eq!((event.created_at, event.received_at), (now() - 1.second(), now()));
}

#[tokio::test]
async fn a_type_that_means_nothing_is_kept_and_makes_nobody_due() {
    let (store, url) = database().await;
    customer(&store, "one").await;
    let mut event = stripe_event("evt_1", "one");
    event.ignored = true;
    assert_eq!(events::receive(&store, &event, now()).await.unwrap(), Receipt::New);
    assert_eq!(find(&store, "evt_1").await.status, Status::Ignored);
    assert_eq!(sql(&url, "select review_at is null from accounts").await, "t");
}

#[tokio::test]
async fn an_event_of_an_unknown_customer_waits_until_somebody_knows_whose_it_is() {
    let (store, _) = database().await;
    let one = account("one");
    accounts::insert(&store, &one).await.unwrap();
    events::receive(&store, &stripe_event("evt_1", "one"), now()).await.unwrap();
    let waiting = async |at| {
        let found = events::unattributed(&store, at, 9).await.unwrap();
        found.into_iter().map(|event| (event.id, event.attempts)).collect::<Vec<_>>()
    };
    assert_eq!(waiting(now()).await, [("evt_1".to_owned(), 0)]);
    let later = now() + 1.minute();
    events::postpone(&store, "evt_1", later, "Stripe: 500").await.unwrap();
    assert_eq!(waiting(now()).await, []);
    assert_eq!(waiting(later).await, [("evt_1".to_owned(), 1)]);
    events::attribute(&store, "evt_1", &one, now()).await.unwrap();
    assert_eq!(waiting(later).await, []);
    let known = load(&store, &one).await;
    assert_eq!(known.events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["evt_1"]);
    assert_eq!(reviews::claim_due(&store, now(), later, 9).await.unwrap()[0].account, one);
}

#[tokio::test]
async fn poison_is_set_aside_with_its_reason_and_can_be_tried_again() {
    let (store, _) = database().await;
    let one = customer(&store, "one").await;
    events::receive(&store, &stripe_event("evt_1", "one"), now()).await.unwrap();
    events::quarantine(&store, "evt_1", "the customer is gone").await.unwrap();
    let event = find(&store, "evt_1").await;
    let reason = event.error.as_deref();
    assert_eq!((event.status, reason), (Status::Quarantined, Some("the customer is gone")));
    assert_eq!(load(&store, &one).await.events, []);
    for refused in [
        events::quarantine(&store, "evt_1", "again").await,
        events::postpone(&store, "evt_1", now(), "again").await,
        events::attribute(&store, "evt_1", &one, now()).await,
        events::retry(&store, "evt_2", now()).await,
    ] {
        assert!(matches!(refused.unwrap_err(), Error::Unknown { .. }));
    }

    events::retry(&store, "evt_1", now()).await.unwrap();
    let known = load(&store, &one).await;
    let mut answer = review(&one, known.version);
    answer.events = vec![known.events[0].id.clone()];
    reviews::commit(&store, &answer).await.unwrap();
    let event = find(&store, "evt_1").await;
    assert_eq!((event.status, event.error, event.done_at), (Status::Done, None, Some(now())));
    assert_eq!(
        (event.trace.as_str(), event.review_trace.as_deref()),
        ("trace-evt_1", Some("review"))
    );
    events::retry(&store, "evt_1", now()).await.unwrap();
    assert_eq!(load(&store, &one).await.events.len(), 1, "what is done can be done again");
}

#[tokio::test]
async fn listings_show_what_was_asked_for_and_old_ones_go() {
    let (store, _) = database().await;
    let one = customer(&store, "one").await;
    for (number, name) in ["one", "one", "nobody", "one"].into_iter().enumerate() {
        let mut event = stripe_event(&format!("evt_{number}"), name);
        event.ignored = number == 3;
        let at = now() + i64::try_from(number).unwrap().seconds();
        events::receive(&store, &event, at).await.unwrap();
    }
    let listed = async |filter: Filter| {
        let found = events::list(&store, &filter, 3).await.unwrap();
        found.iter().map(|event| event.id[4..].to_owned()).collect::<String>()
    };
    let any = Filter::default;
    assert_eq!(listed(any()).await, "321");
    assert_eq!(listed(Filter { status: Some(Status::Pending), ..any() }).await, "210");
    assert_eq!(listed(Filter { account: Some(one), ..any() }).await, "310");
    assert_eq!(listed(Filter { kind: Some("x".to_owned()), ..any() }).await, "");
    assert_eq!(listed(Filter { trace: Some("trace-evt_2".to_owned()), ..any() }).await, "2");

    events::quarantine(&store, "evt_0", "?").await.unwrap();
    assert_eq!(events::prune(&store, now() + 3.seconds()).await.unwrap(), 0);
    assert_eq!(events::prune(&store, now() + 4.seconds()).await.unwrap(), 1);
    assert_eq!(listed(any()).await, "210", "what waits stays");
}
