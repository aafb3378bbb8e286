//! Other tiers, the end, and the way back.

use jiff::ToSpan as _;
use oc_domain::{TenantId, TierId};
use oc_platform_token::Purpose;
use oc_sandbox::billing::{INTERNAL, Page, Stack};
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::support::{
    a_month_before, catch_up, customer, notices, periods, quiet, said, sql, start_ago, until,
    until_notices,
};

async fn recent(tier: TierId) -> (Stack, Page, TenantId) {
    let stack = start_ago(|now| now.checked_sub(3.days()).unwrap()).await;
    let (page, tenant) = customer(&stack, "Ana", tier).await;
    quiet(&stack).await;
    catch_up(&stack);
    (stack, page, tenant)
}

async fn cancel(stack: &Stack, page: &Page, when: &str) -> Value {
    let body = json!({"account": page.account, "when": when});
    stack.tell("/internal/cancel", &body).await.unwrap()
}

async fn tier(stack: &Stack, page: &Page, tier: TierId) -> Value {
    let body = json!({"account": page.account, "tier": tier});
    stack.tell("/internal/tier", &body).await.unwrap()
}

/// Where a short link leads to.
async fn follow(stack: &Stack, purpose: Purpose, tenant: &TenantId) -> String {
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let answer = client.get(stack.link(purpose, tenant).unwrap()).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    answer.headers()["location"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_holds_at_once_and_within_the_period() {
    let (stack, page, tenant) = recent(TierId::Starter).await;
    let before = periods(&stack, &page.account).await;
    assert_eq!(tier(&stack, &page, TierId::Pro).await, json!("now"));
    until(&stack, &tenant, "tier", "pro").await;
    quiet(&stack).await;
    let after = periods(&stack, &page.account).await;
    assert_eq!((before[0].limit, after[0].limit), (1_000_000, 5_000_000));
    assert_eq!((before[0].id, before[0].ends_at), (after[0].id, after[0].ends_at));
    let paid = stack.stripe.with(|engine| engine.invoices().filter(|one| one.due > 0).count());
    assert_eq!(paid, 2, "the difference is paid at once");
    // What is dearer and cannot be paid is no change.
    let customer = stack.customer(&page.account).unwrap();
    stack.at_stripe(&format!("card={customer}:declines")).unwrap();
    let body = json!({"account": page.account, "tier": "team"});
    let asked = stack.ask(0, "/internal/tier", INTERNAL, &body).await.unwrap();
    assert_eq!(asked.0, 402, "{}", asked.1);
    quiet(&stack).await;
    assert_eq!(said(&stack, &tenant, "tier"), "pro");
    assert_eq!(periods(&stack, &page.account).await, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_downgrade_holds_from_the_next_period_on() {
    let stack = start_ago(a_month_before).await;
    let (page, tenant) = customer(&stack, "Ana", TierId::Pro).await;
    let effective = tier(&stack, &page, TierId::Starter).await;
    assert!(effective["at"].is_string(), "{effective}");
    quiet(&stack).await;
    assert_eq!(said(&stack, &tenant, "tier"), "pro");
    // By the time of day the next period, made in advance, has begun.
    assert_eq!(periods(&stack, &page.account).await[0].limit, 1_000_000);
    let limits = "select string_agg(token_limit::text, ' ' order by starts_at) from periods";
    assert_eq!(sql(&stack, limits).await, "1000000");
    catch_up(&stack);
    until(&stack, &tenant, "tier", "starter").await;
    quiet(&stack).await;
    assert_eq!(sql(&stack, limits).await, "1000000 1000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_with_the_period_can_be_taken_back() {
    let (stack, page, tenant) = recent(TierId::Starter).await;
    assert!(cancel(&stack, &page, "period_end").await["at"].is_string());
    until_notices(&stack, &page.account, "ending welcome").await;
    assert_eq!(periods(&stack, &page.account).await.len(), 1, "nothing follows");
    cancel(&stack, &page, "undo").await;
    until_notices(&stack, &page.account, "welcome").await;
    assert_eq!(periods(&stack, &page.account).await.len(), 2);
    quiet(&stack).await;
    assert_eq!(said(&stack, &tenant, "state"), "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_with_the_period_comes_with_it() {
    let stack = start_ago(a_month_before).await;
    let (page, tenant) = customer(&stack, "Ana", TierId::Starter).await;
    cancel(&stack, &page, "period_end").await;
    quiet(&stack).await;
    assert_eq!(said(&stack, &tenant, "state"), "active");
    catch_up(&stack);
    until(&stack, &tenant, "state", "suspended").await;
    assert_eq!(periods(&stack, &page.account).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_at_once_may_be_asked_for_again() {
    let (stack, page, tenant) = recent(TierId::Starter).await;
    assert_eq!(cancel(&stack, &page, "now").await, json!("now"));
    until(&stack, &tenant, "state", "suspended").await;
    // By who never heard the answer.
    assert_eq!(cancel(&stack, &page, "now").await, json!("now"));
    for when in ["undo", "period_end"] {
        let body = json!({"account": page.account, "when": when});
        let asked = stack.ask(0, "/internal/cancel", INTERNAL, &body).await.unwrap();
        assert_eq!(asked.0, 409, "{when}: {}", asked.1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_left_comes_back_to_the_same_agent_by_a_short_link() {
    let (stack, page, tenant) = recent(TierId::Pro).await;
    let portal = follow(&stack, Purpose::Upgrade, &tenant).await;
    assert!(portal.contains("/p/session/"), "who has a subscription sees the portal: {portal}");
    assert_eq!(cancel(&stack, &page, "now").await, json!("now"));
    until(&stack, &tenant, "state", "suspended").await;
    quiet(&stack).await;
    assert_eq!(periods(&stack, &page.account).await, [], "nothing is left to use");
    assert_eq!(notices(&stack, &page.account).await, "suspended");

    let checkout = follow(&stack, Purpose::Upgrade, &tenant).await;
    let session = checkout.rsplit('/').next().unwrap();
    stack.at_stripe(&format!("checkout={session}:works")).unwrap();
    until(&stack, &tenant, "state", "active").await;
    quiet(&stack).await;
    assert_eq!(sql(&stack, "select count(*) from tenants").await, "1");
    assert_eq!(sql(&stack, "select count(*) from subscriptions").await, "2");
    assert_eq!(said(&stack, &tenant, "tier"), "pro");
    assert_eq!(periods(&stack, &page.account).await.len(), 2);

    for path in ["u/nonsense", &format!("u/{}", "A".repeat(48))] {
        let answer = reqwest::get(format!("{}/{path}", stack.services[0].url)).await.unwrap();
        assert_eq!(answer.status(), 404);
    }
}
