//! The end of a period, paid and not.

use jiff::ToSpan as _;
use oc_domain::TierId;
use oc_sandbox::{
    billing::{Page, Stack},
    stripe::InvoiceState,
};

use crate::support::{
    a_month_before, catch_up, customer, now, periods, quiet, said, sql, start_ago, tenant, until,
    until_notices, until_sql,
};

/// Somebody whose card works at checkout and never again.
async fn poor(stack: &Stack) -> Page {
    let page = stack.checkout(0, "Ana", TierId::Pro).await.unwrap();
    stack.at_stripe(&format!("checkout={}:works_once", page.session)).unwrap();
    page
}

/// Pays what the customer owes, with a card that works.
fn pay(stack: &Stack, page: &Page) {
    let customer = stack.customer(&page.account).unwrap();
    stack.at_stripe(&format!("card={customer}:works")).unwrap();
    stack.stripe.with(|engine| {
        let owed = |one: &&oc_sandbox::stripe::Invoice| {
            *one.customer == *customer && one.state == InvoiceState::Open
        };
        let owed = engine.invoices().find(owed).unwrap().id.clone();
        engine.pay_invoice(&owed).unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_leaves_no_gap() {
    let stack = start_ago(a_month_before).await;
    let (page, tenant) = customer(&stack, "Ana", TierId::Pro).await;
    quiet(&stack).await;
    // The new period has begun three hours ago, and Stripe knows nothing of it yet.
    let before = periods(&stack, &page.account).await;
    assert_eq!(before.len(), 1);
    assert!(before[0].starts_at < now());
    catch_up(&stack);
    quiet(&stack).await;
    let after = periods(&stack, &page.account).await;
    assert_eq!(after[0], before[0], "the period that was made in advance is the renewed one");
    assert_eq!(after[1].starts_at, after[0].ends_at);
    let gaps = "select count(*) from periods as one join periods as next
        on next.starts_at > one.starts_at where one.ends_at <> next.starts_at
        and not exists (select from periods where starts_at = one.ends_at)";
    assert_eq!(sql(&stack, gaps).await, "0");
    assert_eq!(said(&stack, &tenant, "state"), "active");
    let commits = stack.remote.git(&["rev-list", "--count", "main"]).unwrap();
    assert_eq!(commits, "2", "a renewal changes no file");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_renewal_is_borne_then_suspends_and_is_paid_in_the_end() {
    // Stripe tries again after one, three and five days: the third attempt is three days old now.
    let stack = start_ago(|now| a_month_before(now).checked_sub(4.days()).unwrap()).await;
    stack.stripe.with(|engine| engine.settings_mut().retries = [1, 3, 8].map(days).into());
    let page = poor(&stack).await;
    let tenant = tenant(&stack, &page.account).await;
    until(&stack, &tenant, "state", "active").await;
    quiet(&stack).await;
    let ends = sql(&stack, "select extract(epoch from current_end)::bigint from subscriptions");
    let ends: i64 = ends.await.parse().unwrap();

    stack.at_stripe(&format!("clock={}", ends + days(1) / 2)).unwrap();
    until_notices(&stack, &page.account, "payment_failed welcome").await;
    quiet(&stack).await;
    assert_eq!(said(&stack, &tenant, "state"), "active", "in grace");
    let since = "select past_due_since is not null from subscriptions";
    assert_eq!(sql(&stack, since).await, "t");

    catch_up(&stack);
    until(&stack, &tenant, "state", "suspended").await;
    until_notices(&stack, &page.account, "suspended").await;
    let kept = "select delete_after > now() + interval '20 days' from subscriptions";
    assert_eq!(sql(&stack, kept).await, "t");

    pay(&stack, &page);
    until(&stack, &tenant, "state", "active").await;
    until_notices(&stack, &page.account, "reactivated").await;
    quiet(&stack).await;
    let [current, next] = periods(&stack, &page.account).await.try_into().unwrap();
    assert_eq!((current.limit, current.used, current.ends_at), (5_000_000, 0, next.starts_at));
    let record = "select past_due_since is null and delete_after is null from subscriptions";
    assert_eq!(sql(&stack, record).await, "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_within_the_grace_leaves_no_trace_in_git() {
    let stack = start_ago(a_month_before).await;
    let page = poor(&stack).await;
    let tenant = tenant(&stack, &page.account).await;
    catch_up(&stack);
    until_notices(&stack, &page.account, "payment_failed welcome").await;
    pay(&stack, &page);
    until_notices(&stack, &page.account, "welcome").await;
    quiet(&stack).await;
    assert_eq!(said(&stack, &tenant, "state"), "active");
    assert_eq!(stack.remote.git(&["rev-list", "--count", "main"]).unwrap(), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_pays_for_is_kept_for_thirty_days() {
    let stack = start_ago(|now| now.checked_sub(35.days()).unwrap()).await;
    let (old, of_old) = customer(&stack, "Ana", TierId::Starter).await;
    let (late, of_late) = customer(&stack, "Bia", TierId::Starter).await;
    let cancel = |page: &Page| {
        let customer = stack.customer(&page.account).unwrap();
        stack.stripe.with(|engine| {
            let mine = engine.subscriptions().find(|one| *one.customer == *customer);
            let id = mine.unwrap().id.clone();
            engine.cancel(&id, oc_sandbox::stripe::Cancellation::default()).unwrap();
        });
    };
    stack.at_stripe("clock=+3d").unwrap();
    cancel(&old);
    stack.at_stripe("clock=+7d").unwrap();
    cancel(&late);
    until(&stack, &of_late, "state", "suspended").await;
    until_notices(&stack, &late.account, "deletion suspended").await;
    until(&stack, &of_old, "state", "deleted").await;
    until_sql(&stack, "select count(*) from tenants where deleted_at is not null", "1").await;
    let audit = format!("select action from audit_log where tenant_id = '{of_old}' order by id");
    assert_eq!(sql(&stack, &audit).await, "tenant.created\ntenant.deleted");
}

fn days(count: i64) -> i64 {
    count * 24 * 3600
}
