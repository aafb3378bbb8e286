//! Asks stripe-mock what the stand-in was asked.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::LazyLock,
};

use serde_json::Value;

use crate::{installed, schema};

/// Ends stripe-mock when the pipe closes that only the test process holds, whatever ends that one.
const WATCHED: &str = r#"
    "$1" -http-addr 127.0.0.1:0 -https-addr 127.0.0.1:0 <&- &
    cat >/dev/null
    kill $! 2>/dev/null
"#;

static MOCK: LazyLock<String> = LazyLock::new(|| {
    let mut child = Command::new("sh")
        .args(["-c", WATCHED, "stripe-mock"])
        .arg(installed::program())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    let address = lines
        .find_map(|line| line.strip_prefix("Listening for HTTP at address: ").map(str::to_owned));
    // Its pipes close with this process.
    std::thread::spawn(move || (lines.count(), child));
    format!("http://{}/v1/", address.unwrap())
});

/// What the stand-in was asked, and what it said.
pub(crate) async fn mirror(
    client: &reqwest::Client,
    method: &str,
    path: &str,
    body: &str,
    status: u16,
    said: &Value,
) {
    if path.starts_with("test_helpers") {
        // Of the real ones an account has several.
        return;
    }
    if status != 200 {
        schema::check_error(said);
        return;
    }
    schema::check(said);
    let url = format!("{}{path}", *MOCK);
    let request = client
        .request(method.parse().unwrap(), url)
        .header("authorization", "Bearer sk_test_123")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.to_owned());
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{method} {path} {body}: {status} {text}");
    let mock: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(mock["object"], said["object"], "{method} {path}");
}
