//! Everything that billing stands on, away for a while.

use std::{fs, time::Duration};

use oc_domain::TierId;
use oc_sandbox::{
    billing::{INTERNAL, SECRETS, Stack},
    stripe::sign,
};
use oc_testkit::{Postgres, wait_for};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{
    PATIENCE, customer, now, quiet, said, setup, sql, start, tenant, until, until_sql,
};

fn lines(stack: &Stack, text: &str) -> usize {
    stack.log(0).unwrap().matches(text).count()
}

async fn until_logged(stack: &Stack, text: &str) {
    let logged = async || Ok((lines(stack, text) > 0).then_some(()));
    if let Err(error) = wait_for(PATIENCE, text, logged).await {
        panic!("{error}\n{}", stack.log(0).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_stripe_is_told_to_try_again_and_nothing_is_lost() {
    let mut postgres = Postgres::start().await.unwrap();
    let stack = Stack::start_on(&postgres, setup()).await.unwrap();
    let page = stack.checkout(0, "Ana", TierId::Starter).await.unwrap();
    postgres.kill().unwrap();
    let body = json!({"id": "evt_1", "type": "x.y", "created": 1, "data": {"object": {}}});
    let (url, body) = (format!("{}/webhooks/stripe", stack.services[0].url), body.to_string());
    let header = sign(&SECRETS[..1], now().as_second(), &body);
    let began = Instant::now();
    let request = reqwest::Client::new().post(url).header("stripe-signature", header).body(body);
    assert_eq!(request.send().await.unwrap().status(), 503);
    assert!(began.elapsed() < Duration::from_secs(4), "Stripe is not kept waiting");
    let buy = json!({"account": page.account, "tier": "pro"});
    assert_eq!(stack.ask(0, "/internal/tier", INTERNAL, &buy).await.unwrap().0, 503);

    stack.at_stripe(&format!("retry=200ms checkout={}:works", page.session)).unwrap();
    sleep(Duration::from_secs(3)).await;
    assert!(stack.stripe.under_way() > 0);
    let waits = lines(&stack, "reviews wait for Postgres");
    assert!((1..=8).contains(&waits), "{waits} lines\n{}", stack.log(0).unwrap());
    postgres.restart().await.unwrap();
    let tenant = tenant(&stack, &page.account).await;
    until(&stack, &tenant, "state", "active").await;
    quiet(&stack).await;
    assert_eq!(stack.remote.changes().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_stripe_reviews_wait_longer_and_longer() {
    let stack = start().await;
    let page = stack.checkout(0, "Ana", TierId::Starter).await.unwrap();
    stack.at_stripe(&format!("fail=500:1.0 checkout={}:works", page.session)).unwrap();
    until_sql(&stack, "select review_attempts >= 2 from accounts", "t").await;
    let tries = lines(&stack, "review again later");
    assert!((2..=4).contains(&tries), "{tries} tries\n{}", stack.log(0).unwrap());
    let asked = json!({"account": page.account, "return_url": "http://x"});
    assert_eq!(stack.ask(0, "/internal/portal", INTERNAL, &asked).await.unwrap().0, 503);
    stack.at_stripe("fail=500:0 fail=429:1").unwrap();
    let tenant = tenant(&stack, &page.account).await;
    until(&stack, &tenant, "state", "active").await;
    quiet(&stack).await;
    let noted = sql(&stack, "select review_attempts, review_error is null from accounts").await;
    assert_eq!(noted, "0|t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stripe_that_hangs_holds_up_one_account_alone() {
    let stack = start().await;
    let page = stack.checkout(0, "Ana", TierId::Starter).await.unwrap();
    stack.at_stripe(&format!("hang=1 checkout={}:works", page.session)).unwrap();
    // The one request that hangs is of a review of Ana's.
    sleep(Duration::from_secs(1)).await;
    customer(&stack, "Bia", TierId::Starter).await;
    let tenant = tenant(&stack, &page.account).await;
    until(&stack, &tenant, "state", "active").await;
    assert_eq!(lines(&stack, "review again later"), 1, "{}", stack.log(0).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_and_not_answered_is_not_done_twice() {
    let stack = start().await;
    let mut pages = Vec::new();
    for number in 0..6 {
        stack.at_stripe("lost=0.2").unwrap();
        let bought = async || Ok(stack.checkout(0, &format!("c{number}"), TierId::Pro).await.ok());
        pages.push(wait_for(PATIENCE, "a page", bought).await.unwrap());
        stack.at_stripe("lost=0").unwrap();
    }
    assert_eq!(stack.stripe.with(|engine| engine.customers().count()), 6);
    let page = &pages[0];
    stack.at_stripe(&format!("checkout={}:works", page.session)).unwrap();
    let tenant = tenant(&stack, &page.account).await;
    quiet(&stack).await;
    // Some reads, and the change itself.
    stack.at_stripe("lost=0.3").unwrap();
    let up = json!({"account": page.account, "tier": "team"});
    let asked = async || {
        let (status, _) = stack.ask_once(0, "/internal/tier", "up", &up).await?;
        Ok((status == 200).then_some(()))
    };
    wait_for(PATIENCE, "the upgrade", asked).await.unwrap();
    stack.at_stripe("lost=0").unwrap();
    until(&stack, &tenant, "tier", "team").await;
    let paid = stack.stripe.with(|engine| engine.invoices().filter(|one| one.due > 0).count());
    assert_eq!(paid, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_repository_that_refuses_gets_it_later() {
    let stack = start().await;
    stack.remote.hook("pre-receive", "echo closed for today >&2; exit 1").unwrap();
    let page = stack.buy("Ana", TierId::Starter).await.unwrap();
    let tenant = tenant(&stack, &page.account).await;
    until_logged(&stack, "tenant files wait to be committed").await;
    until_logged(&stack, "closed for today").await;
    assert!(stack.services[0].metric("openclaw_billing_commit_failing").await.unwrap() > 0.5);
    let states = "select string_agg(distinct status, ' ') from stripe_events
        where account_id is not null and status <> 'ignored'";
    until_sql(&stack, states, "done").await;
    stack.remote.hook("pre-receive", "").unwrap();
    until(&stack, &tenant, "state", "active").await;
    quiet(&stack).await;
    assert!(stack.services[0].metric("openclaw_billing_commit_failing").await.unwrap() < 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_hangs_holds_up_git_alone() {
    let stack = start().await;
    let hold = stack.folder().join("hold");
    fs::write(&hold, "").unwrap();
    let script = format!("while [ -e '{}' ]; do sleep 0.05; done", hold.display());
    stack.remote.hook("pre-receive", &script).unwrap();
    let ana = stack.buy("Ana", TierId::Starter).await.unwrap();
    let of_ana = tenant(&stack, &ana.account).await;
    sleep(Duration::from_millis(500)).await;
    let bia = stack.buy("Bia", TierId::Starter).await.unwrap();
    let of_bia = tenant(&stack, &bia.account).await;
    let pending = "select count(*) from spec_changes where status = 'pending'";
    assert_ne!(sql(&stack, pending).await, "0");
    assert_eq!(said(&stack, &of_ana, "state"), "");
    fs::remove_file(hold).unwrap();
    until(&stack, &of_ana, "state", "active").await;
    until(&stack, &of_bia, "state", "active").await;
    let log = stack.log(0).unwrap();
    assert!(!log.contains("WARN"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_repository_that_was_away_and_moved_is_committed_on_as_it_is() {
    let stack = start().await;
    let (_, before) = customer(&stack, "Ana", TierId::Starter).await;
    let away = stack.folder().join("away.git");
    fs::rename(stack.remote.path(), &away).unwrap();
    let page = stack.buy("Bia", TierId::Starter).await.unwrap();
    let tenant = tenant(&stack, &page.account).await;
    until_logged(&stack, "tenant files wait to be committed").await;
    fs::rename(&away, stack.remote.path()).unwrap();
    stack.remote.import(&[("notes.md".to_owned(), "by a human\n".to_owned())]).unwrap();
    until(&stack, &tenant, "state", "active").await;
    assert_eq!(said(&stack, &before, "state"), "active");
    assert_eq!(stack.remote.git(&["show", "main:notes.md"]).unwrap(), "by a human");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_nobody_waits() {
    let mut stack = start().await;
    customer(&stack, "Ana", TierId::Starter).await;
    stack.redis.kill();
    let began = Instant::now();
    customer(&stack, "Bia", TierId::Starter).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    stack.redis.restart().await.unwrap();
    customer(&stack, "Caio", TierId::Starter).await;
    quiet(&stack).await;
    let log = stack.log(0).unwrap();
    assert!(!log.contains("ERROR"), "{log}");
}
