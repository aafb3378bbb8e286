//! Twenty events a second, on a repository with many tenants.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use oc_domain::{TenantId, TierId};
use oc_sandbox::{
    billing::{SECRETS, Stack},
    stripe::{CheckoutCard, Event, Id, Order, Profile, Shape, sign},
};
use oc_testkit::Postgres;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, interval},
};

use super::size;
use crate::support::{now, setup, sql, until_sql_within};

const PER_SECOND: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_events_a_second_among_many_tenants() {
    let (tenants, seconds) = (size(200, 10_000, 10_000), size(2, 10, 60));
    let events = PER_SECOND * seconds;
    let stack = Stack::start(setup()).await.unwrap();
    // Deliveries are made and measured here.
    stack.stripe.set_endpoint(None);
    let subscriptions = populate(&stack, tenants, events).await;
    let url = format!("{}/webhooks/stripe", stack.services[0].url);
    let client = reqwest::Client::new();
    let mut beat = interval(Duration::from_millis(1000 / PER_SECOND));
    let mut sending = JoinSet::new();
    let mut happened = BTreeMap::new();
    for subscription in &subscriptions {
        beat.tick().await;
        let event = cancel(&stack, subscription);
        happened.insert(event.id.to_string(), now());
        let (client, url) = (client.clone(), url.clone());
        sending.spawn(async move { deliver(&client, &url, &event).await });
    }
    let acknowledged = sending.join_all().await;
    let done = "select count(*) from spec_changes where status = 'committed'";
    let patience = Duration::from_mins(1);
    until_sql_within(&stack, done, &events.to_string(), patience).await;
    let rows = "select event_id, extract(epoch from created_at), extract(epoch from done_at)
        from spec_changes";
    let (mut decided, mut pushed) = (Vec::new(), Vec::new());
    for row in sql(&stack, rows).await.lines() {
        let [event, wanted, done] = row.split('|').collect::<Vec<_>>().try_into().unwrap();
        let began = happened[event].as_duration().as_secs_f64();
        decided.push(wanted.parse::<f64>().unwrap() - began);
        pushed.push(done.parse::<f64>().unwrap() - began);
    }
    let acknowledged = acknowledged.into_iter().map(|time| time.as_secs_f64()).collect();
    let report = json!({"tenants": tenants, "events": events, "per_second": PER_SECOND,
        "acknowledged_ms": quantiles(acknowledged), "decided_ms": quantiles(decided),
        "pushed_ms": quantiles(pushed)});
    println!("bench {report}");
}

/// So many tenants in Postgres and in git, the first of them of customers with a subscription; gives
/// these subscriptions.
async fn populate(stack: &Stack, tenants: usize, customers: u64) -> Vec<Id> {
    let customers = usize::try_from(customers).unwrap();
    let ids: Vec<(String, TenantId)> = (0..tenants)
        .map(|number| {
            let bits = (number as u64).wrapping_mul(0x9e_3779_b97f).to_be_bytes();
            (format!("a-{number}"), TenantId::draw(*bits.last_chunk().unwrap()))
        })
        .collect();
    let bought = stack.stripe.with(|engine| {
        let price = engine.prices().find(|one| one.unit_amount == 1900).unwrap().clone();
        let buy = |(account, tenant): &(String, TenantId)| {
            let metadata = BTreeMap::from([
                ("openclaw_customer_id".to_owned(), account.clone()),
                ("openclaw_tenant_id".to_owned(), tenant.to_string()),
                ("niche".to_owned(), "pharmacy".to_owned()),
                ("locale".to_owned(), "pt-BR".to_owned()),
            ]);
            let profile = Profile { metadata: metadata.clone().into(), ..Profile::default() };
            let customer = engine.create_customer(profile);
            let mut order = Order::new(Some(customer.clone()), price.clone().into(), "http://x");
            order.subscription_metadata = metadata.into();
            let session = engine.create_checkout(order).unwrap();
            engine.pay_checkout(&session, CheckoutCard::Works).unwrap();
            (customer, engine.session(&session).unwrap().subscription.clone().unwrap())
        };
        ids.iter().take(customers).map(buy).collect::<Vec<_>>()
    });
    let (mut accounts, mut rows) = (Vec::new(), Vec::new());
    for (number, (account, tenant)) in ids.iter().enumerate() {
        let customer = bought.get(number).map_or("null".to_owned(), |(id, _)| format!("'{id}'"));
        accounts.push(format!("('{account}', {customer})"));
        rows.push(format!(
            "('{tenant}', '{account}', 'starter', 'pt-BR', 'kimi-coding/k2p5',
            'medium', 'active', 1, 'pharmacy')"
        ));
    }
    let postgres = Postgres::shared().await.unwrap();
    for (accounts, rows) in accounts.chunks(500).zip(rows.chunks(500)) {
        let mut statement = String::new();
        write!(
            statement,
            "insert into accounts (id, stripe_customer_id) values {};
            insert into tenants (id, account_id, tier, locale, model, thinking, state, generation,
                niche) values {}",
            accounts.join(","),
            rows.join(",")
        )
        .unwrap();
        postgres.execute(&stack.database, &statement).await.unwrap();
    }
    let files: Vec<(String, String)> = ids.iter().map(|(_, tenant)| file(tenant)).collect();
    stack.remote.import(&files).unwrap();
    bought.into_iter().map(|(_, subscription)| subscription).collect()
}

fn file(tenant: &TenantId) -> (String, String) {
    let text: Value = json!({"apiVersion": "openclaw.cloud/v1alpha1", "kind": "Tenant",
        "metadata": {"name": tenant}, "spec": {"tier": TierId::Starter, "niche": "pharmacy",
        "locale": "pt-BR", "channels": {"telegram": {"enabled": true}}, "connections": [],
        "state": "active"}});
    let folder = &tenant.as_str()[2..4];
    (format!("tenants/{folder}/{tenant}.json"), format!("{text:#}\n"))
}

/// Ends a subscription; gives the one event that says so.
fn cancel(stack: &Stack, subscription: &Id) -> std::sync::Arc<Event> {
    stack.stripe.with(|engine| {
        engine.cancel(subscription, oc_sandbox::stripe::Cancellation::default()).unwrap();
        let deleted =
            |event: &&std::sync::Arc<Event>| event.kind == "customer.subscription.deleted";
        engine.events().iter().rev().find(deleted).unwrap().clone()
    })
}

/// How long it takes to be acknowledged.
async fn deliver(client: &reqwest::Client, url: &str, event: &Event) -> Duration {
    let body = event.json(Shape::New, 1).to_string();
    let header = sign(&SECRETS[..1], now().as_second(), &body);
    let began = Instant::now();
    let request = client.post(url).header("stripe-signature", header).body(body);
    let status = request.send().await.unwrap().status();
    assert_eq!(status, 200);
    began.elapsed()
}

fn quantiles(mut seconds: Vec<f64>) -> Value {
    seconds.sort_by(f64::total_cmp);
    let at = |part: usize| seconds[(seconds.len() * part / 1000).min(seconds.len() - 1)] * 1000.0;
    json!({"p50": at(500), "p90": at(900), "p99": at(990), "most": at(1000)})
}
