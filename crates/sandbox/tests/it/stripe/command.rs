//! The binary from outside.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use super::receiver::{Receiver, until};

const BINARY: &str = env!("CARGO_BIN_EXE_oc-sandbox");

/// A process that ends with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn the_command_serves_delivers_and_says_where() {
    let receiver = Receiver::start().await;
    let child = Command::new(BINARY)
        .args(["stripe", "--listen", "127.0.0.1:0", "--secret", "whsec_a", "--secret", "whsec_b"])
        .args(["--webhook", &receiver.url, "--control", "duplicate=1", "--exhausted", "unpaid"])
        .stdout(Stdio::piped())
        .spawn();
    let mut process = Process(child.unwrap());
    let mut url = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("{}/v1/customers", url.trim()));
    let answer = request.header("authorization", "Bearer sk_test_1").body("name=Ana").send().await;
    assert_eq!(answer.unwrap().status(), 200);
    until(|| receiver.ids().len() == 2).await;
    let (signature, _) = receiver.seen().remove(0);
    assert_eq!(signature.matches("v1=").count(), 2);
}

#[test]
fn an_endpoint_without_a_secret_is_refused() {
    let output = Command::new(BINARY).args(["stripe", "--webhook", "http://127.0.0.1:1/"]).output();
    assert_eq!(output.unwrap().status.code(), Some(2));
}
