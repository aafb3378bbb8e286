//! The binary from outside.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_oc-sandbox");

/// A stand-in in a process of its own, which ends with this value.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(log: &Path) -> Self {
        let mut child = Command::new(BINARY)
            .args(["kimi", "--listen", "127.0.0.1:0", "--frames", "4", "--gap", "1ms"])
            .args(["--answer", "usage=finish", "--log-file"])
            .arg(log)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn load(arguments: &[&str]) -> Output {
    Command::new(BINARY).arg("load").args(arguments).output().unwrap()
}

#[test]
fn load_measures_a_stand_in_whose_log_outlives_it() {
    let directory = tempfile::tempdir().unwrap();
    let (log, tokens) = (directory.path().join("log"), directory.path().join("tokens"));
    std::fs::write(&tokens, "sk-1\nsk-2\n").unwrap();
    let server = Server::start(&log);
    let target = format!("direct={}", server.url);
    let process = format!("direct={}", server.child.id());
    let tokens = tokens.to_str().unwrap();
    let arguments = ["--target", &target, "--pid", &process, "--tokens", tokens, "--stream"];
    let bounds = ["--gap", "1ms", "--clients", "2", "--count", "10", "--json"];
    let output = load(&[&arguments[..], &bounds[..]].concat());
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["targets"][0]["statuses"]["200"], 10);
    assert_eq!(report["targets"][0]["lost_frames"], 0);
    assert!(report["processes"][0]["peak_bytes"].as_u64() > Some(1 << 20));
    drop(server);
    let log = std::fs::read_to_string(log).unwrap();
    // Two of them are the warm-up.
    assert_eq!(log.lines().count(), 12);
    let entry: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!((&entry["end"], &entry["frames"]), (&"served".into(), &4.into()));
    assert_eq!(entry["reported"], entry["tokens"]);
}

#[test]
fn wrong_use_is_told() {
    let cases: [(&[&str], &str); 4] = [
        (&["--target", "a=http://127.0.0.1:9"], "--duration"),
        (&["--target", "a=https://127.0.0.1:9", "--count", "1"], "expected http://"),
        (&["--target", "a=http://127.0.0.1:9", "--count", "1", "--header", "b=x: y"], "no target"),
        (&["--target", "a=http://127.0.0.1:1", "--count", "1"], "no answer of a"),
    ];
    for (arguments, says) in cases {
        let output = load(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(says), "{arguments:?}: {text}");
    }
}
