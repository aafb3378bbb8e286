//! Events that nobody can make sense of until people have.

use std::collections::BTreeMap;

use oc_domain::{AccountId, TierId};
use oc_sandbox::{
    billing::Stack,
    stripe::{CheckoutCard, Order, Profile},
};
use serde_json::Value;

use crate::support::{customer, quiet, sql, start, tenant, until, until_sql};

const QUARANTINED: &str = "select count(*) > 0 from stripe_events where status = 'quarantined'";

async fn quarantined(stack: &Stack) -> Vec<Value> {
    let json = ["events", "--status", "quarantined", "--json"];
    serde_json::from_str(&stack.succeed(&json).await.unwrap()).unwrap()
}

/// Somebody who bought past us: by hand at Stripe, for an account of ours or none.
fn by_hand(stack: &Stack, account: Option<&AccountId>) -> (String, String) {
    stack.stripe.with(|engine| {
        let known = |id: &AccountId| id.to_string();
        let mine = account.map(known).unwrap_or_default();
        let customer = engine
            .customers()
            .find(|one| one.profile.metadata.get("openclaw_customer_id") == Some(&mine));
        let customer = customer.map(|one| one.id.clone());
        let customer = customer.unwrap_or_else(|| engine.create_customer(Profile::default()));
        let price = engine.prices().find(|one| one.unit_amount == 1900).unwrap().clone();
        let order = Order::new(Some(customer.clone()), price.into(), "http://x");
        let session = engine.create_checkout(order).unwrap();
        engine.pay_checkout(&session, CheckoutCard::Works).unwrap();
        let subscription = engine.session(&session).unwrap().subscription.clone().unwrap();
        (customer.to_string(), subscription.to_string())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_of_nobody_is_set_aside_and_seen_to_later() {
    let stack = start().await;
    let (customer, _) = by_hand(&stack, None);
    until_sql(&stack, QUARANTINED, "t").await;
    quiet(&stack).await;
    let events = quarantined(&stack).await;
    for event in &events {
        assert_eq!(event["error"], "no account of ours is concerned");
        assert_eq!(event["customer"], customer.as_str());
    }
    let id = events[0]["id"].as_str().unwrap();
    // Still nobody's.
    stack.succeed(&["retry", id]).await.unwrap();
    let status = format!("select status, error is not null from stripe_events where id = '{id}'");
    until_sql(&stack, &status, "quarantined|t").await;
    // Somebody says whose it is.
    let page = stack.checkout(0, "Ana", TierId::Starter).await.unwrap();
    let account = page.account.to_string();
    stack.stripe.with(|engine| {
        let mark = |profile: &mut Profile| {
            let metadata = BTreeMap::from([("openclaw_customer_id".to_owned(), account.clone())]);
            profile.metadata = metadata.into();
        };
        engine.update_customer(&customer, mark).unwrap();
    });
    sql(&stack, "update accounts set stripe_customer_id = null").await;
    stack.succeed(&["retry", id]).await.unwrap();
    let owner = format!("select account_id from stripe_events where id = '{id}'");
    until_sql(&stack, &owner, &account).await;
    let unknown = stack.verb(&["retry", "evt_unknown"]).await.unwrap();
    assert_eq!(unknown.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_without_a_niche_waits_for_people_and_is_made_then() {
    let stack = start().await;
    let page = stack.checkout(0, "Ana", TierId::Starter).await.unwrap();
    let (_, subscription) = by_hand(&stack, Some(&page.account));
    until_sql(&stack, QUARANTINED, "t").await;
    let name = "openclaw_billing_quarantined_events_total";
    assert!(stack.services[0].metric(name).await.unwrap() > 0.5);
    let pending = "select count(*) from stripe_events where status = 'pending'";
    until_sql(&stack, pending, "0").await;
    let events = quarantined(&stack).await;
    let error = events[0]["error"].as_str().unwrap();
    assert!(error.contains(&subscription) && error.contains("set metadata `niche`"), "{error}");
    let tried = sql(&stack, "select review_attempts, review_error from accounts").await;
    assert!(tried.contains("niche"), "{tried}");
    // Others are served meanwhile.
    customer(&stack, "Bia", TierId::Starter).await;

    let niche = BTreeMap::from([("niche".to_owned(), "legal".to_owned())]);
    stack.at_stripe("pause").unwrap();
    stack.stripe.with(|engine| engine.annotate(&subscription, &niche).unwrap());
    let id = events[0]["id"].as_str().unwrap();
    stack.succeed(&["retry", id]).await.unwrap();
    let made = tenant(&stack, &page.account).await;
    until(&stack, &made, "niche", "legal").await;
    let status = format!("select status from stripe_events where id = '{id}'");
    until_sql(&stack, &status, "done").await;
    stack.at_stripe("resume").unwrap();
}
