//! Clients that err, and clients that mean harm.

use std::time::Duration;

use oc_sandbox::stack::{Stack, ask};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::start;

fn resident_mib(stack: &Stack) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stack.proxy.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

async fn connect(stack: &Stack) -> TcpStream {
    TcpStream::connect(stack.proxy.url.strip_prefix("http://").unwrap()).await.unwrap()
}

/// What comes back for these bytes, until the proxy closes or says nothing for a while.
async fn raw(stack: &Stack, bytes: &[u8]) -> String {
    let mut stream = connect(stack).await;
    // It may close before it has all.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(3), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_gets_an_error_of_its_dialect_and_costs_nothing() {
    let stack = start().await;
    let token = stack.tenant("c-bad", 1_000_000).await.unwrap();
    let deep = ["{\"model\":\"k2p5\",\"a\":", &"[".repeat(500), &"]".repeat(500), "}"].concat();
    let bodies: [&[u8]; 9] = [
        b"",
        b"{",
        b"[]",
        b"{\"model\":\"k2p5\"} x",
        b"{\"model\":\"\xff\"}",
        b"{\"model\":\"k2p5\",\"model\":\"k2p5\"}",
        b"{\"model\":\"k2p5\",\"max_t\\u006fkens\":1}",
        b"{\"model\":\"k2p5\",\"max_tokens\":\"many\"}",
        deep.as_bytes(),
    ];
    for body in bodies {
        for path in ["/v1/chat/completions", "/v1/messages"] {
            let request = stack.client.post(stack.url(path)).bearer_auth(&token);
            let request = request.header("content-type", "application/json").body(body.to_vec());
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 400, "{}", String::from_utf8_lossy(body));
            let error: Value = response.json().await.unwrap();
            assert_eq!(error["error"]["type"], "invalid_request_error");
            assert_eq!(error["type"] == "error", path == "/v1/messages");
        }
    }
    for kind in ["text/plain", "multipart/form-data", "application/jsonx", ""] {
        let request = stack.client.post(stack.url("/v1/messages")).bearer_auth(&token);
        let request = request.header("content-type", kind).body(ask("x").to_string());
        assert_eq!(request.send().await.unwrap().status(), 415, "{kind}");
    }
    assert_eq!(stack.kimi.stats().requests, 0);
    assert_eq!(stack.usage(&token).await.unwrap()["quota"]["used_tokens"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_up_to_a_bound_and_memory_stays_bounded() {
    let stack = start().await;
    let token = stack.tenant("c-large", 100_000_000).await.unwrap();
    let picture = |bytes: usize| {
        json!({"model": "k2p5", "messages": [{"role": "user", "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {
                "url": format!("data:image/png;base64,{}", "A".repeat(bytes))}}]}]})
    };
    let response = stack.chat(&token, &picture(10 << 20)).await.unwrap();
    assert_eq!(response.status(), 200);
    let response = stack.chat(&token, &picture(17 << 20)).await;
    // It may close before it has been sent all.
    assert!(response.is_err() || response.unwrap().status() == 413);
    let before = resident_mib(&stack);
    // Thirty slow bodies of ten megabytes each: never more than the tenant's share is held.
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-proxy-key: {token}\r\n\
         content-type: application/json\r\ncontent-length: 10485760\r\n\r\n"
    );
    let mut slow = Vec::new();
    for _ in 0..30 {
        let mut stream = connect(&stack).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let _ = timeout(Duration::from_millis(300), stream.write_all(&vec![b' '; 8 << 20])).await;
        slow.push(stream);
    }
    assert!(resident_mib(&stack) < before + 100, "{} to {}", before, resident_mib(&stack));
    // Another tenant is served all the same.
    let other = stack.tenant("c-other", 1_000_000).await.unwrap();
    assert_eq!(stack.chat(&other, &picture(1 << 20)).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_bounded() {
    let stack = start().await;
    let large = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(300_000));
    let answer = raw(&stack, large.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many: Vec<String> = (0..500).map(|n| format!("x-{n}: 1\r\n")).collect();
    let many = many.concat();
    let many = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    let answer = raw(&stack, many.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(raw(&stack, b"\x16\x03\x01 no HTTP at all\r\n\r\n").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_no_bytes_holds_back_its_provider_and_no_memory() {
    let stack = start().await;
    let token = stack.tenant("c-stuck", 100_000_000).await.unwrap();
    let before = resident_mib(&stack);
    let mut body = ask("x [[kimi huge=1000000 frames=2000]]");
    body["stream"] = json!(true);
    let body = body.to_string();
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut stream = connect(&stack).await;
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-proxy-key: {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        clients.push(stream);
    }
    sleep(Duration::from_secs(2)).await;
    assert!(resident_mib(&stack) < before + 40, "{} to {}", before, resident_mib(&stack));
    drop(clients);
    // They left; what they asked for is charged to the token.
    let totals = stack.rows("c-stuck", 6).await.unwrap();
    assert_eq!(totals.tokens, stack.kimi.stats().tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_or_half_a_request_harm_nobody() {
    let stack = start().await;
    let token = stack.tenant("c-calm", 1_000_000).await.unwrap();
    let mut idle = Vec::new();
    for n in 0..500 {
        let mut stream = connect(&stack).await;
        if n % 2 == 0 {
            stream.write_all(b"POST /v1/messages HTTP/1.1\r\nhost:").await.unwrap();
        }
        idle.push(stream);
    }
    for _ in 0..5 {
        assert_eq!(stack.chat(&token, &ask("hi")).await.unwrap().status(), 200);
    }
    assert_eq!(stack.rows("c-calm", 5).await.unwrap().requests, 5);
}
