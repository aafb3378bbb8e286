//! The limit of a provider's key, between replicas.

use std::time::Duration;

use futures::future::join_all;
use oc_sandbox::{
    kimi::Options,
    stack::{Setup, Stack, ask},
};
use oc_testkit::wait_for;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::setup;

const SOON: Duration = Duration::from_secs(15);

/// The only key may have four requests open. The provider refuses what goes beyond.
async fn start() -> Stack {
    let four = |upstreams: &mut Value| {
        let upstream = &mut upstreams["upstreams"][0];
        upstream["keys"].as_array_mut().unwrap().truncate(1);
        upstream["concurrency"] = json!(4);
    };
    let arguments = ["--rate", "1000", "--burst", "1000", "--concurrency", "100"];
    let answer = "concurrency=4 delay=150ms".parse().unwrap();
    Stack::start(Setup {
        arguments: arguments.map(str::to_owned).to_vec(),
        kimi: Options { answer, ..Options::default() },
        upstreams: Some(four),
        ..setup()
    })
    .await
    .unwrap()
}

/// How many were at the provider at once when each of these was asked so often.
async fn most_at_once(stack: &Stack, token: &str, urls: &[&str], times: usize) -> u64 {
    let body = ask("hi").to_string();
    let request = async |url: &str| {
        let request = stack.client.post(format!("{url}/v1/chat/completions"));
        let request = request.bearer_auth(token).header("content-type", "application/json");
        let response = request.body(body.clone()).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap();
    };
    let requests = urls.iter().flat_map(|url| (0..times).map(|_| request(url)));
    let mut most = 0;
    let looking = async {
        loop {
            most = most.max(stack.kimi.stats().in_flight);
            sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! { _ = join_all(requests) => {}, () = looking => {} }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_limit_of_a_key_and_the_last_one_has_all_of_it() {
    let stack = start().await;
    let mut other = stack.replica("proxy-1").await.unwrap();
    let token = stack.tenant("c-shared", 10_000_000).await.unwrap();
    let (first, second) = (stack.proxy.url.clone(), other.url.clone());
    let alone = async |url: &str, places: u64| {
        let has =
            async || Ok((most_at_once(&stack, &token, &[url], 6).await == places).then_some(()));
        wait_for(SOON, &format!("{places} places"), has).await.unwrap();
    };
    alone(&first, 2).await;
    alone(&second, 2).await;
    assert_eq!(most_at_once(&stack, &token, &[&first, &second], 12).await, 4);
    other.kill().unwrap();
    alone(&first, 4).await;
    assert_eq!(stack.kimi.stats().refused, 0, "never more than the key may");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_read_again_forgets_no_open_request() {
    let stack = start().await;
    let token = stack.tenant("c-reread", 10_000_000).await.unwrap();
    let mut body = ask("hi [[kimi frames=50 gap=100ms]]");
    body["stream"] = json!(true);
    let open = join_all((0..4).map(|_| stack.chat(&token, &body))).await;
    let times = || {
        let log = std::fs::read_to_string(stack.folder().join("proxy-0.log")).unwrap();
        log.matches("upstreams read again").count()
    };
    let before = times();
    let path = stack.folder().join("upstreams.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}\n")).unwrap();
    let again = async || Ok((times() > before).then_some(()));
    wait_for(SOON, "the file to be read again", again).await.unwrap();
    // It waits for one of them to end.
    assert_eq!(stack.chat(&token, &ask("hi")).await.unwrap().status(), 200);
    for response in open {
        assert!(response.unwrap().text().await.unwrap().contains("[DONE]"));
    }
    assert_eq!(stack.kimi.stats().refused, 0);
}
