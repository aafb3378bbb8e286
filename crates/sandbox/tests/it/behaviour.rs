//! What words make of an answer.

use std::time::{Duration, Instant};

use http::Method;
use oc_sandbox::kimi::{End, Failure, Limit};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    ANTHROPIC, Answered, OPENAI, answer, ask, chat, kimi, open, post, until, within,
};

const KEY: (&str, &str) = ("authorization", "Bearer sk-1");

fn content(answered: &Answered) -> usize {
    answered.text.matches(r#""content":"0"#).count()
}

#[tokio::test]
async fn every_documented_error_has_its_status_type_and_text() {
    let cases = [
        ("type=content_filter", 400, "content_filter", "high risk"),
        ("status=400", 400, "invalid_request_error", "Invalid request"),
        ("status=401", 401, "invalid_authentication_error", "Invalid Authentication"),
        ("type=incorrect_api_key_error", 401, "incorrect_api_key_error", "Incorrect API key"),
        ("status=403", 403, "permission_denied_error", "not open"),
        ("status=404", 404, "resource_not_found_error", "Permission denied"),
        ("type=engine_overloaded_error", 429, "engine_overloaded_error", "currently overloaded"),
        (
            "status=429",
            429,
            "rate_limit_reached_error",
            "max concurrency: 50, please try again after 1 seconds",
        ),
        (
            "limit=rpm retry_after=7",
            429,
            "rate_limit_reached_error",
            "max RPM: 50, please try again after 7 seconds",
        ),
        (
            "limit=tpm",
            429,
            "rate_limit_reached_error",
            "TPM rate limit, current: 2000321, limit: 2000000",
        ),
        ("limit=tpd", 429, "rate_limit_reached_error", "TPD rate limit, current: 1526210"),
        ("type=exceeded_current_quota_error", 429, "exceeded_current_quota_error", "suspended"),
        ("status=500", 500, "server_error", "had an error"),
        ("status=529", 529, "overloaded_error", "currently overloaded"),
        ("status=502", 502, "server_error", "had an error"),
    ];
    let kimi = kimi("").await;
    for (words, status, kind, says) in cases {
        let answered = post(&kimi, OPENAI, &chat(&format!("[[kimi {words}]]"), true)).await;
        let error = answered.json()["error"].take();
        assert_eq!((answered.status, &error["type"]), (status, &json!(kind)), "{words}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says), "{words}: {message}");
        assert_eq!(answered.headers.contains_key("retry-after"), words.contains("retry_after"));
    }
    assert!(kimi.log().iter().all(|entry| entry.end == End::Refused && entry.tokens.input == 0));
}

#[tokio::test]
async fn anthropic_errors_have_their_own_types() {
    let kimi = kimi("").await;
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ] {
        let answered =
            post(&kimi, ANTHROPIC, &chat(&format!("[[kimi status={status}]]"), true)).await;
        let body = answered.json();
        assert_eq!((answered.status, &body["type"]), (status, &json!("error")));
        assert_eq!(body["error"]["type"], kind);
    }
}

#[tokio::test]
async fn a_503_is_a_page() {
    let kimi = kimi("status=503").await;
    let answered = post(&kimi, OPENAI, &chat("hello", true)).await;
    assert_eq!(
        (answered.status, &answered.headers["content-type"]),
        (503, &"text/html".parse().unwrap())
    );
    assert!(answered.text.starts_with("<html>"));
}

#[tokio::test]
async fn script_comes_before_the_usual_answer_and_the_marker_has_the_last_word() {
    let kimi = kimi("frames=1").await;
    let refusal = Failure::RateLimit(Limit::Rpm);
    kimi.script([answer("limit=rpm"), answer("frames=5")]);
    assert_eq!(refusal.status(), post(&kimi, OPENAI, &chat("hello", true)).await.status);
    assert_eq!(content(&post(&kimi, OPENAI, &chat("hello", true)).await), 5);
    assert_eq!(content(&post(&kimi, OPENAI, &chat("hello", true)).await), 1);
    let body = chat("hello [[kimi frames=3]]", true).to_string();
    let headers = [KEY, ("x-kimi", "frames=2 crlf")];
    let answered = ask(&kimi, Method::POST, OPENAI, &headers, body).await.unwrap();
    assert_eq!(content(&answered), 3);
    assert!(answered.text.contains("\r\n\r\n"));
}

#[tokio::test]
async fn a_wrong_word_is_an_error_and_not_ignored() {
    let kimi = kimi("").await;
    let answered = post(&kimi, OPENAI, &chat("[[kimi statsu=500]]", false)).await;
    assert_eq!(answered.status, 400);
    assert!(answered.text.contains("statsu=500"));
    let answered = post(&kimi, OPENAI, &json!({ "model": "m" })).await;
    assert!(answered.status == 400 && answered.text.contains("missing field `messages`"));
}

#[tokio::test]
async fn frames_keep_their_beat() {
    let kimi = kimi("frames=6 gap=20ms delay=30ms").await;
    let started = Instant::now();
    let answered = post(&kimi, OPENAI, &chat("hello", true)).await;
    // The last of six frames is five gaps after the first, and the end one more.
    assert!(started.elapsed() >= Duration::from_millis(30 + 6 * 20));
    assert!(answered.frames >= 6 && content(&answered) == 6);
}

#[tokio::test]
async fn a_stalled_stream_lasts_until_its_client_leaves() {
    let kimi = kimi("frames=10 stall=4").await;
    for stream in [true, false] {
        let body = chat("hello", stream).to_string();
        let mut response = open(&kimi, Method::POST, OPENAI, &[KEY], body).await.unwrap();
        let rest = async {
            use http_body_util::BodyExt;
            while response.frame().await.is_some() {}
        };
        assert!(tokio::time::timeout(Duration::from_millis(100), rest).await.is_err());
        assert_eq!(kimi.stats().in_flight, 1);
        drop(response);
        until("the client to be missed", || kimi.stats().in_flight == 0).await;
    }
    let log = kimi.log();
    assert!(log.iter().all(|entry| entry.end == End::Aborted && entry.reported.is_none()));
    assert_eq!((log[0].frames, log[0].tokens.output > 0), (4, true));
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_is_logged() {
    let kimi = kimi("delay=10s").await;
    let body = chat("hello", true).to_string();
    let asked = open(&kimi, Method::POST, OPENAI, &[KEY], body);
    assert!(tokio::time::timeout(Duration::from_millis(50), asked).await.is_err());
    until("the client to be missed", || kimi.stats().aborted == 1).await;
    assert_eq!((kimi.log()[0].status, kimi.log()[0].frames), (0, 0));
}

/// What a client reads until the connection ends, and how it ends.
async fn raw(kimi: &oc_sandbox::kimi::Kimi, body: &Value) -> (String, std::io::Result<()>) {
    let mut stream = TcpStream::connect(kimi.addr()).await.unwrap();
    let body = body.to_string();
    let request = format!(
        "POST {OPENAI} HTTP/1.1\r\nhost: kimi\r\nx-api-key: k\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    let end = within("the end", stream.read_to_end(&mut text)).await.map(drop);
    (String::from_utf8(text).unwrap(), end)
}

#[tokio::test]
async fn connections_are_cut_where_it_is_said_and_how() {
    let kimi = kimi("frames=10").await;
    for stream in [true, false] {
        for reset in ["", ":reset"] {
            let (text, end) = raw(&kimi, &chat(&format!("[[kimi cut=head{reset}]]"), stream)).await;
            assert_eq!((text.as_str(), end.is_err()), ("", !reset.is_empty()));
            let (text, end) = raw(&kimi, &chat(&format!("[[kimi cut=3{reset}]]"), stream)).await;
            assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
            assert!(!text.contains("finish_reason\":\"stop"), "{text}");
            let frames = if stream { 3 } else { 1 };
            assert_eq!(text.matches(r#""content":"0"#).count(), frames, "{text}");
            let kind = end.err().map(|error| error.kind());
            assert_eq!(kind, (!reset.is_empty()).then_some(std::io::ErrorKind::ConnectionReset));
        }
    }
    assert!(kimi.log().iter().all(|entry| entry.end == End::Cut));
    assert_eq!(kimi.log()[1].frames, 3);
}

#[tokio::test]
async fn a_cut_body_is_broken_for_a_client() {
    let kimi = kimi("cut=2").await;
    for stream in [true, false] {
        assert!(post(&kimi, ANTHROPIC, &chat("hello", stream)).await.broken);
    }
}

#[tokio::test]
async fn the_wire_may_look_odd_and_says_the_same() {
    let kimi = kimi("frames=4").await;
    let odd = |words: &str| chat(&format!("[[kimi {words}]]"), true);
    let strip = |answered: &Answered| {
        let mut chunks = answered.chunks();
        for chunk in &mut chunks {
            for name in ["id", "created"] {
                chunk[name].take();
            }
        }
        chunks
    };
    let plain = post(&kimi, OPENAI, &chat("hello", true)).await;
    for words in ["split", "crlf", "comments", "split crlf comments"] {
        let answered = post(&kimi, OPENAI, &odd(words)).await;
        assert_eq!(strip(&answered), strip(&plain), "{words}");
        assert_eq!(answered.text.contains('\r'), words.contains("crlf"));
        assert_eq!(
            answered.text.matches(": keep-alive").count(),
            if words.contains("comm") { 4 } else { 0 }
        );
        if words.contains("split") {
            assert_eq!(answered.frames, answered.text.len());
        }
    }
    for path in [OPENAI, ANTHROPIC] {
        let huge = post(&kimi, path, &odd("huge")).await;
        assert!(huge.events().iter().any(|event| event.data.len() > 1 << 20));
    }
}

#[tokio::test]
async fn a_stream_request_may_get_json() {
    let kimi = kimi("plain").await;
    let answered = post(&kimi, OPENAI, &chat("hello", true)).await;
    assert_eq!(answered.headers["content-type"], "application/json");
    assert_eq!(answered.json()["object"], "chat.completion");
    assert!(kimi.log()[0].stream);
}
