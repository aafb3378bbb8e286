//! A client that keeps what it gets, also of answers that break.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use oc_sandbox::kimi::{Answer, Kimi, Options};
use serde_json::{Value, json};
use tokio::net::TcpStream;

pub(crate) const OPENAI: &str = "/v1/chat/completions";
pub(crate) const ANTHROPIC: &str = "/v1/messages";

/// What came back.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Frames of the body.
    pub(crate) frames: usize,
    /// Whether the body ended early.
    pub(crate) broken: bool,
}

/// A server-sent event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The events, by the rules of the specification.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let (mut name, mut data) = (String::new(), String::new());
        for line in self.text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)) {
            match line.split_once(':') {
                Some(("event", value)) => value.trim_start().clone_into(&mut name),
                Some(("data", value)) => value.trim_start().clone_into(&mut data),
                Some(("", _)) => {}
                None if line.is_empty() => {
                    let event =
                        Event { name: std::mem::take(&mut name), data: std::mem::take(&mut data) };
                    if !event.data.is_empty() {
                        events.push(event);
                    }
                }
                _ => panic!("no line of an event: {line:?}"),
            }
        }
        events
    }

    /// The data of all events as JSON; `OpenAI`'s last one is none.
    pub(crate) fn chunks(&self) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event.data != "[DONE]");
        events.iter().map(|event| serde_json::from_str(&event.data).unwrap()).collect()
    }
}

pub(crate) async fn kimi(words: &str) -> Kimi {
    started(Options { answer: answer(words), ..Options::default() }).await
}

pub(crate) async fn started(options: Options) -> Kimi {
    Kimi::start(options).await.unwrap()
}

pub(crate) fn answer(words: &str) -> Answer {
    words.parse().unwrap()
}

/// A chat of one message.
pub(crate) fn chat(text: &str, stream: bool) -> Value {
    json!({
        "model": "kimi-k2.5", "stream": stream, "max_tokens": 8192,
        "messages": [{ "role": "user", "content": text }],
    })
}

/// The same with more fields.
pub(crate) fn chat_with(text: &str, stream: bool, more: &Value) -> Value {
    let mut body = chat(text, stream);
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

pub(crate) async fn post(kimi: &Kimi, path: &str, body: &Value) -> Answered {
    ask(kimi, Method::POST, path, &[("x-api-key", "sk-1")], body.to_string()).await.unwrap()
}

pub(crate) async fn get(kimi: &Kimi, path: &str) -> Answered {
    ask(kimi, Method::GET, path, &[("authorization", "Bearer sk-1")], "").await.unwrap()
}

pub(crate) async fn ask(
    kimi: &Kimi,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answered, hyper::Error> {
    let mut response = open(kimi, method, path, headers, body).await?;
    let (mut text, mut frames, mut broken) = (Vec::new(), 0, false);
    while let Some(frame) = response.frame().await {
        match frame {
            Ok(frame) => {
                frames += 1;
                text.extend_from_slice(frame.data_ref().unwrap());
            }
            Err(_) => broken = true,
        }
    }
    let text = String::from_utf8(text).unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answered { status, headers, text, frames, broken })
}

/// The head of an answer; dropping it closes the connection.
pub(crate) async fn open(
    kimi: &Kimi,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<http::Response<Incoming>, hyper::Error> {
    let stream = TcpStream::connect(kimi.addr()).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "kimi");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(Full::new(body.into())).unwrap()).await
}

#[expect(clippy::disallowed_methods, reason = "a connection ends with its sender")]
fn spawn(connection: impl Future<Output = Result<(), hyper::Error>> + Send + 'static) {
    tokio::spawn(connection);
}

/// Polls until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let poll = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(what, poll).await;
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(10);
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("timed out: {what}"))
}
