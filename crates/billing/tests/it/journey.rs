//! From the catalog to a tenant in git, and the story of it.

use std::time::Duration;

use oc_domain::TierId;
use oc_sandbox::{billing::INTERNAL, git};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{customer, notices, periods, quiet, said, sql, start, tenant, until};

/// Real time on a busy machine; the bench holds the promise of a second.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_is_at_stripe_is_not_written_again() {
    let stack = start().await;
    let before = stack.stripe.with(|engine| engine.events().len());
    let said = stack.succeed(&["sync-catalog", "--json"]).await.unwrap();
    let said: Vec<Value> = serde_json::from_str(&said).unwrap();
    assert_eq!(said.len(), 6);
    for one in said {
        assert_eq!((&one["product"], &one["price"]), (&json!("unchanged"), &json!("unchanged")));
    }
    assert_eq!(stack.stripe.with(|engine| engine.events().len()), before, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_checkout_becomes_a_committed_tenant() {
    let stack = start().await;
    let page = stack.checkout(0, "Ana", TierId::Pro).await.unwrap();
    assert_eq!(sql(&stack, "select count(*) from tenants").await, "0", "nothing is paid");
    let began = Instant::now();
    stack.at_stripe(&format!("checkout={}:works", page.session)).unwrap();
    let tenant = tenant(&stack, &page.account).await;
    until(&stack, &tenant, "state", "active").await;
    let took = began.elapsed();
    assert!(took < SOON, "{took:?}");
    let file = stack.remote.tenant(&tenant).unwrap().unwrap();
    assert_eq!(
        file["spec"],
        json!({"tier": "pro", "niche": "pharmacy", "locale": "pt-BR",
        "channels": {"telegram": {"enabled": true}}, "connections": [], "state": "active"})
    );
    assert!(!stack.remote.git(&["log", "-p", "main"]).unwrap().contains("example.com"));
    quiet(&stack).await;

    let row = "select account_id, state, generation, tier, niche from tenants";
    let expected = format!("{}|suspended|1|pro|pharmacy", page.account);
    assert_eq!(sql(&stack, row).await, expected, "the operator alone makes it active");
    let [current, next] = periods(&stack, &page.account).await.try_into().unwrap();
    assert_eq!(current.ends_at, next.starts_at, "a renewal has no gap");
    assert_eq!((current.limit, next.limit), (5_000_000, 5_000_000));
    assert_eq!(notices(&stack, &page.account).await, "welcome");
    let audit = "select string_agg(action, ' ' order by id) from audit_log";
    assert_eq!(sql(&stack, audit).await, "billing.decided tenant.created");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_the_event_to_the_commit() {
    let stack = start().await;
    let (_, tenant) = customer(&stack, "Ana", TierId::Starter).await;
    quiet(&stack).await;
    let format = "--format=%(trailers:key=Event,valueonly,separator=)|\
                  %(trailers:key=Trace,valueonly,separator=)|\
                  %(trailers:key=Change-Id,valueonly,separator=)|%s";
    let log = stack.remote.git(&["log", "-1", format, "main"]).unwrap();
    let [event, trace, change, subject] = log.split('|').collect::<Vec<_>>().try_into().unwrap();
    assert!(event.starts_with("evt_") && trace.len() == 32 && change == "1", "{log}");
    assert_eq!(subject, format!("{tenant}: tier starter, state active"));
    for id in [event, trace] {
        let story = stack.succeed(&["trace", id, "--json"]).await.unwrap();
        let story: Value = serde_json::from_str(&story).unwrap();
        let moments = story["story"].as_array().unwrap();
        let told = |what: &str| moments.iter().any(|moment| moment["what"] == what);
        for what in [
            "happened at Stripe",
            "delivered and noted",
            "billing.decided",
            "tenant.created",
            "change wanted",
            "committed to git",
            "change done",
        ] {
            assert!(told(what), "{id}: no {what:?} in {story:#}");
        }
    }
    let unknown = stack.verb(&["trace", "evt_unknown"]).await.unwrap();
    assert_eq!(unknown.status.code(), Some(1));
}

/// The seed's defect B11: a second customer's event took the first one's tenant.
#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_have_nothing_to_do_with_each_other() {
    let stack = start().await;
    let (ana, of_ana) = customer(&stack, "Ana", TierId::Starter).await;
    let (bia, of_bia) = customer(&stack, "Bia", TierId::Business).await;
    quiet(&stack).await;
    assert_ne!((&ana.account, &of_ana), (&bia.account, &of_bia));
    let before = periods(&stack, &bia.account).await;
    stack.tell("/internal/cancel", &json!({"account": ana.account, "when": "now"})).await.unwrap();
    until(&stack, &of_ana, "state", "suspended").await;
    quiet(&stack).await;
    assert_eq!(said(&stack, &of_bia, "state"), "active");
    assert_eq!(periods(&stack, &bia.account).await, before);
    let commit = git(stack.remote.path(), &["show", "--name-only", "--format=", "main"]).unwrap();
    assert!(commit.contains(of_ana.as_str()) && !commit.contains('\n'), "{commit}");
    let again = json!({"email": "ANA@example.com", "tier": "pro", "niche": "pharmacy",
        "locale": "en", "success_url": "http://x", "cancel_url": "http://x"});
    let (status, answer) = stack.ask(0, "/internal/checkout", INTERNAL, &again).await.unwrap();
    assert_eq!(status, 409, "one address is one person: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_subscription_buys_no_second_one_and_old_pages_sell_nothing() {
    let stack = start().await;
    let first = stack.checkout(0, "Ana", TierId::Starter).await.unwrap();
    let again = json!({"account": first.account, "tier": "pro", "niche": "pharmacy",
        "locale": "en", "success_url": "http://x", "cancel_url": "http://x"});
    let second = stack.tell("/internal/checkout", &again).await.unwrap();
    let refused = stack.at_stripe(&format!("checkout={}:works", first.session));
    assert!(refused.is_err(), "the page that was left is no page any more");
    let session = second["url"].as_str().unwrap().rsplit('/').next().unwrap();
    stack.at_stripe(&format!("checkout={session}:works")).unwrap();
    let tenant = tenant(&stack, &first.account).await;
    until(&stack, &tenant, "tier", "pro").await;
    let (status, answer) = stack.ask(0, "/internal/checkout", INTERNAL, &again).await.unwrap();
    assert_eq!(status, 409, "{answer}");
    quiet(&stack).await;
    assert_eq!(sql(&stack, "select count(*) from tenants").await, "1");
}
