//! Deliveries, good and bad.

use jiff::Timestamp;
use oc_domain::TierId;
use oc_sandbox::{
    billing::{SECRETS, Stack},
    stripe::sign,
};
use serde_json::{Value, json};

use crate::support::{customer, now, quiet, sql, start, tenant, until};

/// An event of nobody, of a type that means nothing.
fn event(id: &str) -> Value {
    json!({"id": id, "object": "event", "type": "product.updated", "created": now().as_second(),
        "api_version": "2026-09-30.endive", "data": {"object": {"id": "prod_1", "object": "product"}}})
}

async fn send(stack: &Stack, header: Option<&str>, body: impl Into<Vec<u8>>) -> u16 {
    let url = format!("{}/webhooks/stripe", stack.services[0].url);
    let mut request = reqwest::Client::new().post(url).body(body.into());
    if let Some(header) = header {
        request = request.header("stripe-signature", header);
    }
    request.send().await.unwrap().status().as_u16()
}

fn signed(secret: &str, at: Timestamp, body: &str) -> String {
    sign(&[secret], at.as_second(), body)
}

async fn good(stack: &Stack, body: &str) -> u16 {
    send(stack, Some(&signed(SECRETS[0], now(), body)), body).await
}

async fn refused(stack: &Stack) -> f64 {
    let name = "openclaw_billing_deliveries_total{outcome=\"refused\"}";
    stack.services[0].metric(name).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_stripes_is_refused_and_leaves_nothing_but_a_count() {
    let stack = start().await;
    let stored = sql(&stack, "select count(*) from stripe_events").await;
    let body = event("evt_bad").to_string();
    let minutes = jiff::SignedDuration::from_mins(6);
    let genuine = signed(SECRETS[0], now(), &body);
    let large = json!({"id": "evt_bad", "type": "x", "created": 1, "fill": "x".repeat(1 << 20)});
    let (large, half) = (large.to_string(), body[..body.len() / 2].to_owned());
    let cases: [(&str, Option<String>, String); 10] = [
        ("tampered", Some(genuine.clone()), body.replace("prod_1", "prod_2")),
        ("unsigned", None, body.clone()),
        ("an empty signature", Some(String::new()), body.clone()),
        ("another's", Some(signed("whsec_other", now(), &body)), body.clone()),
        ("expired", Some(signed(SECRETS[0], now() - minutes, &body)), body.clone()),
        ("of the future", Some(signed(SECRETS[0], now() + minutes, &body)), body.clone()),
        ("oversized", Some(signed(SECRETS[0], now(), &large)), large),
        ("half", Some(signed(SECRETS[0], now(), &half)), half),
        ("no event", Some(signed(SECRETS[0], now(), "{}")), "{}".to_owned()),
        ("nothing", Some(signed(SECRETS[0], now(), "")), String::new()),
    ];
    let before = refused(&stack).await;
    let count = f64::from(u32::try_from(cases.len()).unwrap());
    for (what, header, body) in cases {
        assert_eq!(send(&stack, header.as_deref(), body).await, 400, "{what}");
    }
    let counted = refused(&stack).await - before;
    assert!((counted - count).abs() < 0.5, "{counted} of {count}");
    assert_eq!(sql(&stack, "select count(*) from stripe_events").await, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_types_are_kept_and_ignored_and_a_duplicate_has_no_effect() {
    let stack = start().await;
    let body = event("evt_ignored").to_string();
    assert_eq!(good(&stack, &body).await, 200);
    let row = "select type, status, api_version, received_at from stripe_events
        where id = 'evt_ignored'";
    let kept = sql(&stack, row).await;
    assert!(kept.starts_with("product.updated|ignored|2026-09-30.endive|"), "{kept}");
    assert_eq!(good(&stack, &body).await, 200);
    assert_eq!(sql(&stack, row).await, kept);

    customer(&stack, "Ana", TierId::Starter).await;
    quiet(&stack).await;
    let state = "select (select version from accounts), (select count(*) from stripe_events),
        (select count(*) from spec_changes), (select count(*) from outbox)";
    let before = sql(&stack, state).await;
    let all = stack.stripe.with(|engine| engine.events().to_vec());
    let all = all.into_iter().zip(stack.stripe.deliveries());
    let events: Vec<_> = all.filter(|(_, delivery)| delivery.taken).map(|(one, _)| one).collect();
    assert!(events.len() > 10);
    for event in &events {
        let body = event.json(oc_sandbox::stripe::Shape::New, 1).to_string();
        assert_eq!(good(&stack, &body).await, 200);
    }
    quiet(&stack).await;
    assert_eq!(sql(&stack, state).await, before, "{} duplicates", events.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_hold_while_they_change() {
    let stack = start().await;
    for (number, secret) in SECRETS.iter().enumerate() {
        let body = event(&format!("evt_{number}")).to_string();
        assert_eq!(send(&stack, Some(&signed(secret, now(), &body)), body).await, 200);
    }
    let body = event("evt_both").to_string();
    let both = sign(&["whsec_newest", SECRETS[1]], now().as_second(), &body);
    assert_eq!(send(&stack, Some(&both), body).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shape_of_events_means_the_same() {
    let stack = start().await;
    for (shape, version) in [
        ("old", "2025-02-24.acacia"),
        ("new", "2026-09-30.endive"),
        ("unknown", "2027-09-29.unheard-of"),
    ] {
        stack.at_stripe(&format!("shape={shape}")).unwrap();
        let page = stack.buy(shape, TierId::Starter).await.unwrap();
        let tenant = tenant(&stack, &page.account).await;
        until(&stack, &tenant, "state", "active").await;
        let statement = format!(
            "select distinct api_version from stripe_events
            where account_id = '{}'",
            page.account
        );
        assert_eq!(sql(&stack, &statement).await, version);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn order_number_and_loss_of_deliveries_do_not_matter() {
    let stack = start().await;
    stack.at_stripe("duplicate=0.3 reorder=0.5 lose=0.5 delay=0ms..50ms").unwrap();
    let (page, tenant) = customer(&stack, "Ana", TierId::Starter).await;
    stack.at_stripe("redeliver").unwrap();
    let body = json!({"account": page.account, "tier": "pro"});
    stack.tell("/internal/tier", &body).await.unwrap();
    stack.at_stripe("redeliver").unwrap();
    until(&stack, &tenant, "tier", "pro").await;
    quiet(&stack).await;
    assert_eq!(sql(&stack, "select count(*) from tenants").await, "1");
    assert_eq!(stack.remote.git(&["rev-list", "--count", "main"]).unwrap(), "3");
}
