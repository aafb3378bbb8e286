//! The ledger beside the providers' bills.

use std::time::Duration;

use oc_sandbox::stack::{Setup, Stack, ask};
use oc_testkit::wait_for;
use serde_json::{Value, json};

use crate::setup;

const SOON: Duration = Duration::from_secs(20);
/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9/balance";

async fn start(upstreams: Option<fn(&mut Value)>) -> Stack {
    let arguments = ["--upkeep", "1s"].map(str::to_owned).to_vec();
    Stack::start(Setup { arguments, upstreams, ..setup() }).await.unwrap()
}

/// Nothing while it is not known.
async fn drift(stack: &Stack, upstream: &str) -> Option<f64> {
    let text = stack.proxy.metrics().await.unwrap();
    let name = format!("openclaw_token_proxy_reconcile_drift_ratio{{upstream=\"{upstream}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value.map(|value| value.parse().unwrap()).filter(|value: &f64| !value.is_nan())
}

/// Waits for the drift; balances have five digits after the point.
async fn drifts(stack: &Stack, expected: f64) {
    let close = async || {
        let found = drift(stack, "moonshot").await;
        Ok(found.filter(|found| (found - expected).abs() < 0.02))
    };
    wait_for(SOON, &format!("a drift of {expected}"), close).await.unwrap();
}

/// A request that costs about a cent.
async fn spend(stack: &Stack, token: &str) {
    let mut body = ask("hi [[kimi frames=2000]]");
    body["max_tokens"] = json!(8000);
    let response = stack.chat(token, &body).await.unwrap();
    assert_eq!(response.status(), 200);
    response.bytes().await.unwrap();
}

/// The provider takes what it takes; the ledger believes in these prices.
fn priced(upstreams: &mut Value, input: u64, output: u64) {
    let price = &mut upstreams["upstreams"][0]["models"]["kimi-coding/k2p5"]["prices"][0];
    price["input"] = json!(input);
    price["output"] = json!(output);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_takes_and_what_the_ledger_says_are_compared() {
    let twice: fn(&mut Value) = |upstreams| priced(upstreams, 300, 1500);
    let half: fn(&mut Value) = |upstreams| priced(upstreams, 1200, 6000);
    let cases = [(None, 0.0), (Some(twice), 1.0), (Some(half), -0.5)];
    let cases = cases.map(|(upstreams, expected)| async move {
        let stack = start(upstreams).await;
        let token = stack.tenant("c-bill", 1_000_000).await.unwrap();
        assert_eq!(drift(&stack, "moonshot").await, None, "nothing is compared yet");
        spend(&stack, &token).await;
        drifts(&stack, expected).await;
    });
    futures::join!(futures::future::join_all(cases), stolen());
}

/// Somebody else has our key, and the ledger has nothing to compare with.
async fn stolen() {
    let stack = start(None).await;
    let body = json!({"model": "k2p5", "max_tokens": 8000, "messages": [
        {"role": "user", "content": "hi [[kimi frames=2000]]"}]});
    // Before the first look at the balance it would not be missed.
    let taken = async || {
        let url = format!("http://{}/v1/chat/completions", stack.kimi.addr());
        let key = oc_sandbox::stack::KEYS[0];
        let request = stack.client.post(url).bearer_auth(key).body(body.to_string());
        request.send().await?.error_for_status()?;
        Ok(drift(&stack, "moonshot").await.filter(|drift| *drift > 1.0))
    };
    wait_for(SOON, "a drift", taken).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_that_cannot_be_had_is_told_and_harms_nobody() {
    let first = |upstreams: &mut Value| {
        let list = upstreams["upstreams"].as_array_mut().unwrap();
        let mut away = list[0].clone();
        away["name"] = json!("away");
        away["balance"] = json!(NOWHERE);
        away["models"] = json!({});
        list.insert(0, away);
    };
    let stack = start(Some(first)).await;
    let token = stack.tenant("c-away", 1_000_000).await.unwrap();
    spend(&stack, &token).await;
    drifts(&stack, 0.0).await;
    assert_eq!(drift(&stack, "away").await, None);
    let log = std::fs::read_to_string(stack.folder().join("proxy-0.log")).unwrap();
    let told = |line: &&str| line.contains("not compared with its bill") && line.contains("away");
    assert!(log.lines().any(|line| told(&line)), "{log}");

    // One that had been known goes away, and comes back.
    let path = stack.folder().join("upstreams.json");
    let good = std::fs::read_to_string(&path).unwrap();
    let balance = format!("http://{}/v1/users/me/balance", stack.kimi.addr());
    std::fs::write(&path, good.replace(&balance, NOWHERE)).unwrap();
    let unknown = async || Ok(drift(&stack, "moonshot").await.is_none().then_some(()));
    wait_for(SOON, "the drift to be unknown", unknown).await.unwrap();
    spend(&stack, &token).await;
    std::fs::write(&path, good).unwrap();
    drifts(&stack, 0.0).await;
    stack.rows("c-away", 2).await.unwrap();
}
