//! A stack, and what it has come to.

use std::time::Duration;

use jiff::{Timestamp, ToSpan as _, Zoned, tz::TimeZone};
use oc_domain::{AccountId, TenantId, TierId};
use oc_sandbox::billing::{Page, Setup, Stack};
use oc_service::Clock;
use oc_store::periods::{Period, current_and_next};
use oc_testkit::{Postgres, wait_for};
use serde_json::Value;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn setup() -> Setup {
    Setup::new(env!("CARGO_BIN_EXE_oc-billing"))
}

pub(crate) async fn start() -> Stack {
    Stack::start(setup()).await.unwrap()
}

/// With Stripe's clock where `then` says that it was at a moment before now.
pub(crate) async fn start_ago(then: impl FnOnce(Zoned) -> Zoned) -> Stack {
    let now = now();
    let then = then(now.to_zoned(TimeZone::UTC)).timestamp();
    let ago = now.as_second() - then.as_second();
    Stack::start(Setup { ago, ..setup() }).await.unwrap()
}

/// So long before a moment that a month, then renewed, has been paid by then.
#[expect(clippy::needless_pass_by_value, reason = "for start_ago")]
pub(crate) fn a_month_before(now: Zoned) -> Zoned {
    now.checked_sub(3.hours()).unwrap().checked_sub(1.month()).unwrap()
}

pub(crate) fn now() -> Timestamp {
    Clock::system().now()
}

/// Lets Stripe's clock catch up with the time of day.
pub(crate) fn catch_up(stack: &Stack) {
    stack.at_stripe(&format!("clock={}", now().as_second())).unwrap();
}

/// What a statement returns, in a database of the shared server.
pub(crate) async fn sql(stack: &Stack, statement: &str) -> String {
    let postgres = Postgres::shared().await.unwrap();
    postgres.execute(&stack.database, statement).await.unwrap()
}

/// Waits until a statement returns this.
pub(crate) async fn until_sql(stack: &Stack, statement: &str, expected: &str) {
    until_sql_within(stack, statement, expected, PATIENCE).await;
}

/// As [`until_sql`], so long at most.
pub(crate) async fn until_sql_within(
    stack: &Stack,
    statement: &str,
    expected: &str,
    patience: Duration,
) {
    let mut last = String::new();
    let done = wait_for(patience, expected, async || {
        last = sql(stack, statement).await;
        Ok((last == expected).then_some(()))
    });
    let done = done.await;
    assert!(done.is_ok(), "{statement}: {last}, expected {expected}\n{}", stack.log(0).unwrap());
}

/// Waits until nothing is to be done any more.
pub(crate) async fn quiet(stack: &Stack) {
    let taken = async || Ok((stack.stripe.under_way() == 0).then_some(()));
    wait_for(PATIENCE, "Stripe's deliveries", taken).await.unwrap();
    let waiting = "select (select count(*) from stripe_events where status = 'pending')
        + (select count(*) from accounts where review_at <= now() or claimed_until is not null)
        + (select count(*) from spec_changes where status = 'pending')";
    until_sql(stack, waiting, "0").await;
}

/// The oldest tenant of an account, once there is one.
pub(crate) async fn tenant(stack: &Stack, account: &AccountId) -> TenantId {
    let statement = format!(
        "select id from tenants where account_id = '{account}' order by created_at, id limit 1"
    );
    let found = wait_for(PATIENCE, "a tenant", async || {
        let found = sql(stack, &statement).await;
        Ok((!found.is_empty()).then_some(found))
    });
    let found = found.await.unwrap_or_else(|error| panic!("{error}\n{}", stack.log(0).unwrap()));
    found.parse().unwrap()
}

/// Somebody who has bought a tier, and the tenant that came of it.
pub(crate) async fn customer(stack: &Stack, name: &str, tier: TierId) -> (Page, TenantId) {
    let page = stack.buy(name, tier).await.unwrap();
    let tenant = tenant(stack, &page.account).await;
    until(stack, &tenant, "state", "active").await;
    (page, tenant)
}

/// Waits until the tenant's file says so.
pub(crate) async fn until(stack: &Stack, tenant: &TenantId, field: &str, value: &str) {
    let mut last = None;
    let done = wait_for(PATIENCE, value, async || {
        last = stack.remote.tenant(tenant)?;
        Ok(last.as_ref().is_some_and(|file| spec(file, field) == value).then_some(()))
    });
    let done = done.await;
    assert!(done.is_ok(), "{tenant}: no {field} {value} in {last:?}\n{}", stack.log(0).unwrap());
}

/// What the tenant's file says, or nothing.
pub(crate) fn said(stack: &Stack, tenant: &TenantId, field: &str) -> String {
    let file = stack.remote.tenant(tenant).unwrap();
    file.map(|file| spec(&file, field).to_owned()).unwrap_or_default()
}

fn spec<'a>(file: &'a Value, field: &str) -> &'a str {
    file.pointer(&format!("/spec/{field}")).and_then(Value::as_str).unwrap_or_default()
}

/// The period at this moment and the next one.
pub(crate) async fn periods(stack: &Stack, account: &AccountId) -> Vec<Period> {
    current_and_next(&stack.store, account, now()).await.unwrap()
}

/// The kinds of notices that wait to be sent, in order.
pub(crate) async fn notices(stack: &Stack, account: &AccountId) -> String {
    sql(stack, &notices_of(account)).await
}

/// Waits until just these notices wait to be sent.
pub(crate) async fn until_notices(stack: &Stack, account: &AccountId, kinds: &str) {
    until_sql(stack, &notices_of(account), kinds).await;
}

fn notices_of(account: &AccountId) -> String {
    format!(
        "select coalesce(string_agg(kind, ' ' order by kind), '') from outbox
        where account_id = '{account}' and withdrawn_at is null and delivered_at is null"
    )
}
