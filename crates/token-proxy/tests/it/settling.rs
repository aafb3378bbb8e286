//! Settlements go to Redis together, a moment late, and nobody notices.

use std::time::Duration;

use futures::future::join_all;
use oc_sandbox::stack::{Setup, Stack, ask};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{setup, start};

/// Scripts that Redis has run.
async fn scripts(stack: &Stack) -> u64 {
    let client = redis::Client::open(stack.redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let mut info = redis::cmd("INFO");
    let info: String = info.arg("commandstats").query_async(&mut redis).await.unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    line.unwrap().split(',').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_leaves_of_the_quota_is_there_for_the_next_one() {
    const LIMIT: u64 = 2_000;
    let stack = start().await;
    let token = stack.tenant("c-next", LIMIT).await.unwrap();
    // Each sets aside all that is left, uses little of it, and is followed at once.
    let answer = async |frames: u32| {
        let mut body = ask(&format!("hi [[kimi frames={frames}]]"));
        body["max_tokens"] = json!(100_000);
        let response = stack.chat(&token, &body).await.unwrap();
        assert_eq!(response.headers().get("x-openclaw-notice"), None);
        assert_eq!(response.headers()["x-quota-remaining-tokens"], "0");
        let answer: Value = response.json().await.unwrap();
        answer["choices"][0]["finish_reason"].clone()
    };
    for _ in 0..10 {
        assert_eq!(answer(2).await, "stop");
    }
    // The last one has all that they left.
    assert_eq!(answer(4_000).await, "length");
    let totals = stack.rows("c-next", 11).await.unwrap();
    assert!((LIMIT - 200..=LIMIT).contains(&totals.charged), "{totals:?}");
    let spent = stack.chat(&token, &ask("hi")).await.unwrap();
    assert_eq!(spent.headers()["x-openclaw-notice"], "quota-spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_end_together_are_settled_together() {
    const REQUESTS: u64 = 200;
    let arguments = ["--rate", "100000", "--burst", "100000", "--concurrency", "1000"];
    let arguments = arguments.map(str::to_owned).to_vec();
    let stack = Stack::start(Setup { arguments, ..setup() }).await.unwrap();
    let token = stack.tenant("c-together", 100_000_000).await.unwrap();
    stack.chat(&token, &ask("warm")).await.unwrap().bytes().await.unwrap();
    stack.rows("c-together", 1).await.unwrap();
    let before = scripts(&stack).await;
    let (began, until) = (Instant::now(), Instant::now() + Duration::from_secs(1));
    let requests = (0..REQUESTS).map(|_| async {
        let delay = until.saturating_duration_since(Instant::now()).as_millis();
        let body = ask(&format!("hi [[kimi delay={delay}ms]]"));
        let response = stack.chat(&token, &body).await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap();
    });
    join_all(requests).await;
    let totals = stack.rows("c-together", REQUESTS + 1).await.unwrap();
    assert_eq!(totals.tokens, stack.kimi.stats().tokens);
    // One for each admission, and two signs of life a second.
    let others = REQUESTS + 2 * (began.elapsed().as_secs() + 1);
    let settling = (scripts(&stack).await - before).saturating_sub(others);
    println!("{settling} calls for {REQUESTS} settlements");
    assert!(settling < REQUESTS / 2, "{settling}");
}
