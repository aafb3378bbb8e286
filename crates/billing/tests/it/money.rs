//! Money that goes back.

use jiff::ToSpan as _;
use oc_domain::{TenantId, TierId};
use oc_sandbox::billing::{Page, Stack};

use crate::support::{catch_up, customer, notices, quiet, said, start_ago, until, until_notices};

async fn paid() -> (Stack, Page, TenantId, String) {
    let stack = start_ago(|now| now.checked_sub(3.days()).unwrap()).await;
    let (page, tenant) = customer(&stack, "Ana", TierId::Starter).await;
    quiet(&stack).await;
    catch_up(&stack);
    let charge = stack.stripe.with(|engine| engine.charges().next().unwrap().id.to_string());
    (stack, page, tenant, charge)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_refund_suspends_until_people_clear_it() {
    let (stack, page, tenant, charge) = paid().await;
    stack.at_stripe(&format!("refund={charge}:500")).unwrap();
    until_notices(&stack, &page.account, "partial_refund welcome").await;
    assert_eq!(said(&stack, &tenant, "state"), "active", "a partial one tells ops alone");
    stack.at_stripe(&format!("refund={charge}")).unwrap();
    until(&stack, &tenant, "state", "suspended").await;
    quiet(&stack).await;
    assert_eq!(notices(&stack, &page.account).await, "suspended");
    stack.succeed(&["clear", tenant.as_str()]).await.unwrap();
    until(&stack, &tenant, "state", "active").await;
    until_notices(&stack, &page.account, "reactivated").await;
    let unknown = stack.verb(&["clear", "c-aaaaaaaa"]).await.unwrap();
    assert_eq!(unknown.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_suspends_until_it_is_won() {
    let (stack, page, tenant, charge) = paid().await;
    let dispute = stack.at_stripe(&format!("dispute={charge}")).unwrap();
    until(&stack, &tenant, "state", "suspended").await;
    until_notices(&stack, &page.account, "dispute_opened suspended").await;
    stack.at_stripe(&format!("close={}:won", dispute.trim())).unwrap();
    until(&stack, &tenant, "state", "active").await;
    until_notices(&stack, &page.account, "reactivated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_dispute_stays_one_until_something_is_paid() {
    let (stack, page, tenant, charge) = paid().await;
    let dispute = stack.at_stripe(&format!("dispute={charge}")).unwrap();
    until(&stack, &tenant, "state", "suspended").await;
    stack.at_stripe(&format!("close={}:lost", dispute.trim())).unwrap();
    quiet(&stack).await;
    assert_eq!(said(&stack, &tenant, "state"), "suspended");
    // A second later, so that it is later in Stripe's whole seconds too.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let body = serde_json::json!({"account": page.account, "tier": "pro"});
    stack.tell("/internal/tier", &body).await.unwrap();
    until(&stack, &tenant, "state", "active").await;
}
