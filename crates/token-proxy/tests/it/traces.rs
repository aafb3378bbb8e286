//! Traces, and what neither they nor the log may say.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::post,
};
use oc_sandbox::stack::{KEYS, Setup, Stack, ask};
use parking_lot::Mutex;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};

use crate::setup;

const PROMPT: &str = "a-prompt-like-no-other";
const ANSWER: &str = "an-answer-like-no-other";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The provider and the collector in one: what they were sent.
#[derive(Clone, Default)]
struct Seen {
    asked: Arc<Mutex<Vec<HeaderMap>>>,
    traces: Arc<Mutex<Vec<u8>>>,
}

async fn model(State(seen): State<Seen>, headers: HeaderMap, body: Bytes) -> Response {
    seen.asked.lock().push(headers);
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains(PROMPT));
    if text.contains("refuse") {
        // As providers do: with the words that they do not like.
        let error = json!({"error": {"message": text, "type": "invalid_request_error"}});
        return (StatusCode::BAD_REQUEST, error.to_string()).into_response();
    }
    let answer = json!({
        "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": ANSWER}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    });
    ([("content-type", "application/json")], answer.to_string()).into_response()
}

async fn collect(State(seen): State<Seen>, body: Bytes) {
    seen.traces.lock().extend_from_slice(&body);
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// An attribute of a span as OTLP's protobuf has it.
fn attribute(key: &str, value: &str) -> Vec<u8> {
    let field =
        |tag: u8, bytes: &[u8]| [&[tag, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    [field(0x0a, key.as_bytes()), field(0x12, &field(0x0a, value.as_bytes()))].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_has_a_span_and_its_words_are_nowhere() {
    let seen = Seen::default();
    let router = Router::new()
        .route("/v1/chat/completions", post(model))
        .route("/v1/traces", post(collect))
        .with_state(seen.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await });
    let collector = format!("http://{address}");
    let arguments = ["--otlp-endpoint", &collector, "--trace-ratio", "1", "--log", "trace"];
    let mut stack = Stack::start(Setup {
        arguments: arguments.map(str::to_owned).to_vec(),
        provider: Some(address),
        ..setup()
    })
    .await
    .unwrap();
    let token = stack.tenant("c-traced", 1_000_000).await.unwrap();
    let mut requests = Vec::new();
    for (words, status) in [("", 200), (" refuse", 400)] {
        let body = ask(&format!("{PROMPT}{words}"));
        let request = stack.post("/v1/chat/completions", &token, &body);
        let response = request.header("traceparent", PARENT).send().await.unwrap();
        assert_eq!(response.status(), status);
        requests.push(response.headers()["x-request-id"].to_str().unwrap().to_owned());
        let text = response.text().await.unwrap();
        assert!(text.contains(if status == 200 { ANSWER } else { PROMPT }), "{text}");
    }
    // The last spans are sent at the end.
    assert!(stack.proxy.drain().unwrap());

    let asked = std::mem::take(&mut *seen.asked.lock());
    for (headers, request) in asked.iter().zip(&requests) {
        assert!(headers["traceparent"] == PARENT && headers["x-request-id"] == **request);
    }
    let traces = std::mem::take(&mut *seen.traces.lock());
    assert!(contains(&traces, b"llm.call"));
    assert!(contains(&traces, &attribute("service.name", "oc-token-proxy")));
    assert!(contains(&traces, &attribute("model", "kimi-coding/k2p5")));
    for request in &requests {
        assert!(contains(&traces, &attribute("request.id", request)), "{request}");
    }
    let log = std::fs::read(stack.folder().join("proxy-0.log")).unwrap();
    assert!(!contains(&log, b"llm.call"), "spans of single calls are for traces alone");
    for secret in [PROMPT, ANSWER, &token, KEYS[0], KEYS[1]] {
        assert!(!contains(&log, secret.as_bytes()), "{secret} is in the log");
        assert!(!contains(&traces, secret.as_bytes()), "{secret} is in the traces");
    }
}
