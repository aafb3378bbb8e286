//! Keys, limits, the log and the control routes.

use std::collections::HashSet;

use http::Method;
use oc_sandbox::kimi::{End, Kimi, Options};
use serde_json::Value;

use crate::support::{ANTHROPIC, OPENAI, ask, chat, get, kimi, open, post, started, until};

const KEY: (&str, &str) = ("authorization", "Bearer sk-1");

async fn control(kimi: &Kimi, path: &'static str, words: &'static str) -> u16 {
    ask(kimi, Method::POST, path, &[], words).await.unwrap().status
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn only_known_keys_are_served_in_either_header() {
    let keys = vec!["sk-1".to_owned(), "sk-2".to_owned()];
    let kimi = started(Options { keys, ..Options::default() }).await;
    let cases: [(&[(&str, &str)], u16); 5] = [
        (&[KEY], 200),
        (&[("x-api-key", "sk-2")], 200),
        (&[("x-api-key", "sk-3")], 401),
        (&[("authorization", "Basic sk-1")], 401),
        (&[], 401),
    ];
    for (headers, status) in cases {
        for path in [OPENAI, ANTHROPIC] {
            let body = chat("hello", false).to_string();
            let answered = ask(&kimi, Method::POST, path, headers, body).await.unwrap();
            assert_eq!(answered.status, status, "{headers:?}");
        }
        let models = ask(&kimi, Method::GET, "/v1/models", headers, "").await.unwrap();
        assert_eq!(models.status, status);
    }
    assert_eq!(kimi.log()[3].key.as_ref(), "sk-2");
    assert_eq!(get(&kimi, "/v1/files").await.status, 404);
}

#[tokio::test]
async fn a_key_has_so_many_requests_at_a_time() {
    let kimi = kimi("concurrency=2 stall=1").await;
    let body = || chat("hello", true).to_string();
    let first = open(&kimi, Method::POST, OPENAI, &[KEY], body()).await.unwrap();
    let _second = open(&kimi, Method::POST, OPENAI, &[KEY], body()).await.unwrap();
    let third = ask(&kimi, Method::POST, OPENAI, &[KEY], body()).await.unwrap();
    assert_eq!(third.status, 429);
    let error = third.json()["error"].take();
    assert_eq!(error["type"], "rate_limit_reached_error");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("max concurrency: 2, please try again after 1 seconds"), "{message}");
    let other = [("authorization", "Bearer sk-2")];
    assert_eq!(open(&kimi, Method::POST, OPENAI, &other, body()).await.unwrap().status(), 200);
    drop(first);
    until("the first to be gone", || kimi.stats().aborted >= 1).await;
    assert_eq!(open(&kimi, Method::POST, OPENAI, &[KEY], body()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_log_says_who_asked_and_what_was_served() {
    let kimi = kimi("frames=3").await;
    let headers = [KEY, ("x-request-id", "r-1")];
    ask(&kimi, Method::POST, OPENAI, &headers, chat("hello", true).to_string()).await.unwrap();
    post(&kimi, ANTHROPIC, &chat("[[kimi status=500]]", false)).await;
    let log = kimi.log();
    assert_eq!((&*log[0].request_id, &*log[0].key, log[0].path), ("r-1", "sk-1", OPENAI));
    assert_eq!((log[0].status, log[0].frames, log[0].end), (200, 3, End::Served));
    assert!(log[0].stream && log[0].at_ms > 1_700_000_000_000 && log[0].reported.is_none());
    assert_eq!((log[1].status, log[1].end, log[1].number), (500, End::Refused, 1));

    let over_http = lines(&get(&kimi, "/_log").await.text);
    let same: Vec<Value> = log.iter().map(|entry| serde_json::to_value(entry).unwrap()).collect();
    assert_eq!(over_http, same);
    assert_eq!(lines(&get(&kimi, "/_log?since=1").await.text), same[1..]);
    assert_eq!(get(&kimi, "/_log?since=2").await.text, "");
    assert_eq!(get(&kimi, "/_log?since=x").await.status, 400);
    let stats = get(&kimi, "/_stats").await.json();
    assert_eq!(stats, serde_json::to_value(kimi.stats()).unwrap());
    assert_eq!(
        (&stats["requests"], &stats["served"], &stats["refused"]),
        (&2.into(), &1.into(), &1.into())
    );
}

#[tokio::test]
async fn a_captured_answer_is_what_the_client_got() {
    let kimi = started(Options { capture: true, ..Options::default() }).await;
    for words in ["", "split crlf", "plain", "status=503"] {
        let answered = post(&kimi, OPENAI, &chat(&format!("[[kimi {words}]]"), true)).await;
        assert_eq!(kimi.log().last().unwrap().sent.as_deref(), Some(answered.text.as_bytes()));
    }
    assert!(
        lines(&get(&kimi, "/_log").await.text)[0]["sent"].as_str().unwrap().starts_with("data: ")
    );
}

#[tokio::test]
async fn other_processes_change_and_script_answers() {
    let kimi = kimi("").await;
    assert_eq!(control(&kimi, "/_control", "frames=2 usage=none").await, 200);
    assert_eq!(control(&kimi, "/_script", "status=500\nframes=1\n").await, 200);
    assert_eq!(control(&kimi, "/_control", "frame=2").await, 400);
    assert_eq!(control(&kimi, "/_script", "frames=1\nframe=2").await, 400);
    assert_eq!(control(&kimi, "/_frames", "").await, 404);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answered = post(&kimi, OPENAI, &chat("hello", true)).await;
        seen.push((answered.status, answered.text.matches(r#""content":"0"#).count()));
    }
    assert_eq!(seen, [(500, 0), (200, 1), (200, 2)]);
}

#[tokio::test]
async fn the_log_file_has_an_entry_before_its_client_has_the_answer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    let options = Options { log_file: Some(path.clone()), log_limit: 2, ..Options::default() };
    let kimi = started(options).await;
    for count in 1..=5 {
        post(&kimi, OPENAI, &chat("hello", count % 2 == 0)).await;
        assert_eq!(lines(&std::fs::read_to_string(&path).unwrap()).len(), count);
    }
    assert_eq!(kimi.stats().unwritten, 0);
    // The memory forgets the oldest, and numbers stay.
    let numbers: Vec<u64> = kimi.log().iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [3, 4]);
    assert_eq!(lines(&get(&kimi, "/_log?since=4").await.text).len(), 1);
}

#[tokio::test]
async fn sums_and_log_agree_under_concurrent_requests() {
    let kimi = kimi("frames=2").await;
    let asked = (0..200).map(|n| {
        let id = n.to_string();
        let kimi = &kimi;
        async move {
            let headers = [KEY, ("x-request-id", id.as_str())];
            let body = chat("hello", n % 2 == 0).to_string();
            ask(kimi, Method::POST, [OPENAI, ANTHROPIC][n % 2], &headers, body).await.unwrap()
        }
    });
    for answered in futures::future::join_all(asked).await {
        assert_eq!(answered.status, 200);
    }
    let log = kimi.log();
    let ids: HashSet<&str> = log.iter().map(|entry| &*entry.request_id).collect();
    assert_eq!((log.len(), ids.len(), kimi.stats().served), (200, 200, 200));
    let output: u64 = log.iter().map(|entry| entry.tokens.output).sum();
    assert_eq!(output, kimi.stats().tokens.output);
}

#[tokio::test]
async fn a_stand_in_that_is_dropped_ends_its_connections() {
    let kimi = kimi("stall=1").await;
    let body = chat("hello", true).to_string();
    let mut response = open(&kimi, Method::POST, OPENAI, &[KEY], body).await.unwrap();
    let address = kimi.addr();
    drop(kimi);
    let ends = async {
        use http_body_util::BodyExt;
        while let Some(Ok(_)) = response.frame().await {}
    };
    crate::support::within("the connection to end", ends).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
