//! Whether all that follows from what Stripe says has been done, once.

use oc_billing::decide::{Facts, Policy, decide};
use oc_domain::AccountId;
use oc_sandbox::billing::Stack;
use oc_store::{periods::plan, reviews};
use oc_stripe::{Standing, Stripe, webhook::HANDLED};

use crate::support::{now, quiet, sql};

/// Waits until nothing is to be done, and compares: each account's files and periods are what is
/// decided on what Stripe says now, each event is done, each change is one commit at most.
pub(crate) async fn converged(stack: &Stack) {
    quiet(stack).await;
    let stripe = Stripe::new(&"sk_test_check".into(), Some(&format!("{}/", stack.stripe.url())));
    let stripe = stripe.unwrap();
    for account in sql(stack, "select id from accounts order by id").await.lines() {
        settled(stack, &stripe, &account.parse().unwrap()).await;
    }
    let done = sql(stack, "select id from stripe_events where status = 'done'").await;
    let noted: Vec<&str> = done.lines().collect();
    for event in stack.stripe.with(|engine| engine.events().to_vec()) {
        let is_done = noted.contains(&&*event.id);
        assert!(is_done || !HANDLED.contains(&event.kind), "{} {} is lost", event.id, event.kind);
    }
    for (change, commits) in stack.remote.changes().unwrap() {
        assert_eq!(commits, 1, "change {change}");
    }
    assert_eq!(stack.remote.git(&["rev-list", "--merges", "main"]).unwrap(), "");
}

async fn settled(stack: &Stack, stripe: &Stripe, account: &AccountId) {
    let now = now();
    let remembered = reviews::load(&stack.store, account, now).await.unwrap().unwrap();
    let standing = match &remembered.customer {
        Some(customer) => stripe.standing(customer).await.unwrap(),
        None => Standing::default(),
    };
    let policy = Policy::default();
    let facts = Facts {
        account,
        remembered: &remembered,
        standing: &standing,
        asked: None,
        now,
        policy: &policy,
    };
    let review = decide(facts).unwrap();
    assert!(review.tenants.is_empty() && review.deleted.is_empty(), "{account}: {review:?}");
    for change in &review.changes {
        let file = stack.remote.tenant(&change.tenant).unwrap();
        for (pointer, value) in &change.edits {
            let said = file.as_ref().and_then(|file| file.pointer(pointer));
            // A tenant that has gone before it had a file has none.
            assert_eq!(said, value.as_ref(), "{} {pointer}\n{standing:?}", change.tenant);
        }
    }
    let left = plan(&remembered.periods, &review.periods, now).unwrap();
    assert!(left.is_empty(), "{account}: {left:?} of {:?}", remembered.periods);
    let told = format!(
        "select dedup_key from outbox where account_id = '{account}'
        and withdrawn_at is null"
    );
    let told = sql(stack, &told).await;
    for notice in &review.notices {
        assert!(told.lines().any(|key| key == notice.dedup_key), "{notice:?} of {told}");
    }
}
