//! The process, what it says and how it ends.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// What nothing may ever show.
pub(crate) const SECRET: &str = "postgres://oc:hush@db/oc";

/// A running probe; killed if the test forgets it.
pub(crate) struct Probe {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// What it has logged so far.
    pub(crate) log: Vec<Value>,
    /// Its admin listener.
    pub(crate) admin: SocketAddr,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// The probe's command line, with a secret and any free port.
pub(crate) fn command(arguments: &[&str]) -> Command {
    // Cargo builds examples beside the tests, and names no path to them.
    let tests = env::current_exe().unwrap();
    let probe = tests.ancestors().nth(2).unwrap().join("examples/probe");
    let mut command = Command::new(probe);
    command.env_clear().env("DATABASE_URL", SECRET).env("OPENCLAW_ADMIN_LISTEN", "127.0.0.1:0");
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub(crate) fn output(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

impl Probe {
    /// Starts it, and waits until its admin listener is there.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let admin = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut probe = Self { child, stdout, log: Vec::new(), admin };
        let line = probe.wait_for("admin listener");
        probe.admin = line["address"].as_str().unwrap().parse().unwrap();
        probe
    }

    /// Starts it, and waits until it is ready.
    pub(crate) fn ready(arguments: &[&str]) -> Self {
        let mut probe = Self::start(arguments);
        probe.wait_for("readiness");
        probe
    }

    /// Reads the log up to this message.
    pub(crate) fn wait_for(&mut self, message: &str) -> Value {
        loop {
            let line = self.line().unwrap_or_else(|| panic!("no {message:?} in {:?}", self.log));
            if line["message"] == message {
                return line;
            }
        }
    }

    /// Reads the log to its end; the exit code, and how long that took.
    pub(crate) fn wait(&mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        while self.line().is_some() {}
        (self.child.wait().unwrap().code(), start.elapsed())
    }

    /// The line of the log with this message.
    pub(crate) fn logged(&self, message: &str) -> &Value {
        let line = self.log.iter().find(|line| line["message"] == message);
        line.unwrap_or_else(|| panic!("no {message:?} in {:?}", self.log))
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Asks the admin listener.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        if line.is_empty() {
            return None;
        }
        self.log.push(serde_json::from_str(&line).unwrap());
        self.log.last().cloned()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
