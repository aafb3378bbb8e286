//! What a client gets, and what the ledger says of it.

use serde_json::{Value, json};

use oc_sandbox::stack::{Setup, Stack, ask};

use crate::{setup, start};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_passed_through_and_becomes_one_row() {
    let stack = start().await;
    let token = stack.tenant("c-one", 1_000_000).await.unwrap();
    let response = stack.chat(&token, &ask("hello")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-quota-limit-tokens"], "1000000");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let bytes = response.bytes().await.unwrap();
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    let log = stack.kimi.log();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].sent.as_ref(), Some(&bytes));
    assert_eq!(*log[0].request_id, *id);
    let totals = stack.rows("c-one", 1).await.unwrap();
    assert_eq!(totals.tokens.output, body["usage"]["completion_tokens"].as_u64().unwrap());
    assert_eq!(totals.tokens.input, log[0].tokens.input);
    let usage = stack.usage(&token).await.unwrap();
    assert_eq!(usage["quota"]["used_tokens"].as_u64(), Some(totals.charged));
    assert_eq!(usage["quota"]["reserved_tokens"], 0);
    let metrics = stack.proxy.metrics().await.unwrap();
    assert!(metrics.contains("{outcome=\"complete\",dialect=\"openai\",kind=\"whole\"} 1\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_both_dialects_reach_the_client_byte_for_byte() {
    let stack = start().await;
    let token = stack.tenant("c-bytes", 1_000_000).await.unwrap();
    for (n, words) in ["", "crlf", "comments", "split frames=4", "cached=40 reasoning=4", "huge"]
        .into_iter()
        .enumerate()
    {
        for path in ["/v1/chat/completions", "/v1/messages"] {
            let text = format!("hello [[kimi {words}]]");
            let mut body = ask(&text);
            body["stream"] = json!(true);
            body["max_tokens"] = json!(4000);
            body["stream_options"] = json!({"include_usage": true});
            let response = stack.post(path, &token, &body).send().await.unwrap();
            assert_eq!(response.status(), 200, "{path} {words}");
            let kind = response.headers()["content-type"].to_str().unwrap();
            assert!(kind.starts_with("text/event-stream"), "{kind}");
            let bytes = response.bytes().await.unwrap();
            let entry = stack.kimi.log().pop().unwrap();
            assert!(entry.sent.as_ref() == Some(&bytes), "{path} {words}");
        }
        let totals = stack.rows("c-bytes", 2 * n as u64 + 2).await.unwrap();
        let stats = stack.kimi.stats();
        assert_eq!(totals.tokens, stats.tokens, "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_usage_chunk_is_kept_back_where_nobody_asked_for_it() {
    let stack = start().await;
    let token = stack.tenant("c-withheld", 1_000_000).await.unwrap();
    let mut body = ask("hello");
    body["stream"] = json!(true);
    let text = stack.chat(&token, &body).await.unwrap().text().await.unwrap();
    let sent = stack.kimi.log().pop().unwrap();
    let sent = String::from_utf8(sent.sent.unwrap().to_vec()).unwrap();
    assert!(sent.contains("\"choices\":[]") && !text.contains("\"usage\":{"), "{text}");
    let expected: String =
        sent.split_inclusive("\n\n").filter(|event| !event.contains("\"choices\":[]")).collect();
    assert_eq!(text, expected);
    assert_eq!(stack.rows("c-withheld", 1).await.unwrap().tokens, stack.kimi.stats().tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_ends_with_an_error_and_is_never_taken_for_whole() {
    let stack = start().await;
    let token = stack.tenant("c-cut", 1_000_000).await.unwrap();
    for (path, mark) in
        [("/v1/chat/completions", "data: {\"error\":"), ("/v1/messages", "event: error\n")]
    {
        for words in ["cut=3", "cut=3:reset"] {
            let mut body = ask(&format!("hello [[kimi {words}]]"));
            body["stream"] = json!(true);
            body["max_tokens"] = json!(4000);
            let text = stack.post(path, &token, &body).send().await.unwrap().text().await.unwrap();
            assert!(text.contains(mark), "{path} {words}: {text}");
            assert!(!text.contains("[DONE]") && !text.contains("message_stop"));
        }
    }
    let totals = stack.rows("c-cut", 4).await.unwrap();
    assert!(totals.tokens.output > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_charged_to_the_token() {
    let stack = start().await;
    let token = stack.tenant("c-gone", 1_000_000).await.unwrap();
    let mut body = ask("hello [[kimi frames=20 gap=20ms]]");
    body["stream"] = json!(true);
    let mut response = stack.chat(&token, &body).await.unwrap();
    response.chunk().await.unwrap();
    drop(response);
    // One that leaves before the first byte, too.
    let early = stack.post("/v1/chat/completions", &token, &ask("hello [[kimi delay=500ms]]"));
    let early = tokio::time::timeout(std::time::Duration::from_millis(100), early.send()).await;
    assert!(early.is_err());
    let totals = stack.rows("c-gone", 2).await.unwrap();
    let stats = stack.kimi.stats();
    assert_eq!((stats.served, stats.aborted), (2, 0));
    assert_eq!(totals.tokens, stats.tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_error_is_told_apart() {
    let stack = Stack::start(Setup {
        arguments: ["--rate", "1000", "--burst", "1000"].map(str::to_owned).to_vec(),
        ..setup()
    })
    .await
    .unwrap();
    let token = stack.tenant("c-errors", 10_000_000).await.unwrap();
    for (words, status) in [("status=400", 400), ("type=content_filter", 400), ("status=404", 404)]
    {
        let response = stack.chat(&token, &ask(&format!("x [[kimi {words}]]"))).await.unwrap();
        assert_eq!(response.status(), status, "{words}");
        let body = response.bytes().await.unwrap();
        assert_eq!(stack.kimi.log().pop().unwrap().sent.as_ref(), Some(&body), "{words}");
    }
    for (words, status) in [
        // A failure on every key.
        ("status=500", 503),
        ("type=engine_overloaded_error", 503),
        ("status=503", 503),
        ("cut=head", 503),
        ("limit=rpm retry_after=1", 429),
        // Our keys' fault: no client may take it for its own.
        ("status=401", 503),
    ] {
        let stack = start().await;
        let token = stack.tenant("c-one", 1_000_000).await.unwrap();
        let response = stack.chat(&token, &ask(&format!("x [[kimi {words}]]"))).await.unwrap();
        assert_eq!(response.status(), status, "{words}");
        let after: u32 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=5).contains(&after), "{words}");
        let text = response.text().await.unwrap();
        assert!(!text.contains("sk-sandbox"), "{text}");
        assert!(stack.kimi.stats().requests >= 2, "{words}: tried once only");
        let totals = stack.rows("c-one", 1).await.unwrap();
        assert_eq!(totals.charged, 0, "{words}");
    }
    let totals = stack.rows("c-errors", 3).await.unwrap();
    assert_eq!(totals.charged, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failure_is_invisible() {
    let stack = start().await;
    let token = stack.tenant("c-retry", 1_000_000).await.unwrap();
    for words in ["status=500", "type=engine_overloaded_error", "cut=head:reset", "limit=rpm"] {
        let usual = oc_sandbox::kimi::Answer::default();
        stack.kimi.script([usual.with(words).unwrap()]);
        assert_eq!(stack.chat(&token, &ask("hello")).await.unwrap().status(), 200, "{words}");
    }
    let totals = stack.rows("c-retry", 4).await.unwrap();
    assert_eq!(totals.requests, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_says_nothing_is_given_up() {
    let stack = Stack::start(Setup {
        arguments: ["--first-byte", "1s", "--idle", "1s"].map(str::to_owned).to_vec(),
        ..setup()
    })
    .await
    .unwrap();
    let token = stack.tenant("c-slow", 1_000_000).await.unwrap();
    let response = stack.chat(&token, &ask("x [[kimi delay=10s]]")).await.unwrap();
    assert_eq!(response.status(), 504);
    let mut body = ask("x [[kimi stall=2]]");
    body["stream"] = json!(true);
    let text = stack.chat(&token, &body).await.unwrap().text().await.unwrap();
    assert!(text.contains("data: {\"error\":"), "{text}");
    let totals = stack.rows("c-slow", 2).await.unwrap();
    // It had the requests: what they were is charged, by our estimate.
    assert!(totals.charged > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_counted_by_the_provider_and_cost_nothing() {
    let stack = start().await;
    let token = stack.tenant("c-count", 1_000_000).await.unwrap();
    let body = ask("hello");
    let response = stack.post("/v1/messages/count_tokens", &token, &body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let count: Value = response.json().await.unwrap();
    assert!(count["input_tokens"].as_u64().unwrap() > 0);
    assert_eq!(stack.rows("c-count", 1).await.unwrap().charged, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_those_that_the_tenant_may_use() {
    let stack = start().await;
    let token = stack.tenant("c-models", 1_000_000).await.unwrap();
    let get = || stack.client.get(stack.url("/v1/models")).bearer_auth(&token);
    let openai: Value = get().send().await.unwrap().json().await.unwrap();
    assert_eq!(openai["data"][0]["id"], "k2p5");
    let anthropic = get().header("anthropic-version", "2023-06-01").send().await.unwrap();
    let anthropic: Value = anthropic.json().await.unwrap();
    assert_eq!(anthropic["data"][0]["type"], "model");
    let mut other = ask("x");
    other["model"] = json!("gpt-9");
    let response = stack.chat(&token, &other).await.unwrap();
    assert_eq!(response.status(), 404);
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["error"]["code"], "model_not_found");
}
