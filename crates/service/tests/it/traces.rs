//! Traces, as a collector sees them.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::probe::Probe;

/// What one request carried.
struct Received {
    head: String,
    body: Vec<u8>,
}

/// A collector that takes one request.
fn collector() -> (String, mpsc::Receiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = mpsc::channel();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).unwrap();
        }
        head.make_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        reader.get_mut().write_all(answer).unwrap();
        sender.send(Received { head, body }).unwrap();
    });
    (format!("http://{address}"), received)
}

#[test]
fn the_last_span_reaches_the_collector_whatever_the_log_level() {
    let (endpoint, received) = collector();
    let arguments = ["--otlp-endpoint", &endpoint, "--trace-ratio", "1", "--task", "end"];
    let mut probe = Probe::start(&arguments);
    assert_eq!(probe.wait().0, Some(0));
    let Ok(request) = received.recv_timeout(Duration::from_secs(5)) else {
        panic!("no request in {:?}", probe.log)
    };
    assert!(request.head.starts_with("post /v1/traces http/1.1\r\n"), "{}", request.head);
    assert!(request.head.contains("content-type: application/x-protobuf"), "{}", request.head);
    let has = |text: &str| request.body.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has("probe.run") && has("oc-service"));
    assert!(!has("task"), "a task's life is no trace");
}

#[test]
fn a_collector_that_is_gone_is_logged_and_holds_nothing_up() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("http://{closed}");
    let arguments = ["--otlp-endpoint", &endpoint, "--trace-ratio", "1", "--task", "end"];
    let mut probe = Probe::start(&arguments);
    let (code, took) = probe.wait();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    let of_traces =
        |line: &&serde_json::Value| line["target"].as_str().unwrap().contains("opentelemetry");
    assert!(probe.log.iter().find(of_traces).is_some(), "{:?}", probe.log);
}
