//! Connections, and calls that go wrong.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Full, Limited, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use super::{
    Shared,
    api::{self, Refusal},
    control,
    fault::Failure,
    page,
    params::Params,
    state::State,
};

pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The most bytes of a body.
const LARGEST: usize = 64 << 20;

/// Serves until it is dropped, which ends all connections.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&shared)));
                }
                // Descriptors are short; asking again at once would only take the processor.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Fails on a connection that is gone, which its first read tells as well.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(&shared, request));
    // An error is a client that left, or an answer that is lost on purpose.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> io::Result<Answer> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LARGEST).collect().await else {
        return Ok(refuse(&Refusal::new(413, "Request Entity Too Large")));
    };
    let body = body.to_bytes();
    let path = head.uri.path();
    if path.starts_with("/_control") {
        Ok(control::answer(shared, &head, body).await)
    } else if let Some(path) = path.strip_prefix("/file/bot") {
        Ok(download(shared, path))
    } else if let Some(path) = path.strip_prefix("/bot") {
        call(shared, &head, path, body).await
    } else {
        Ok(page::answer(shared, &head))
    }
}

/// A call of the Bot API.
async fn call(shared: &Arc<Shared>, head: &Parts, path: &str, body: Bytes) -> io::Result<Answer> {
    let (token, name) = path.split_once('/').unwrap_or((path, ""));
    // Clients escape the colon now and then.
    let token = token.replace("%3A", ":").replace("%3a", ":");
    let Some(bot) = shared.state.lock().authenticate(&token).map(|bot| bot.account.id) else {
        return Ok(refuse(&Refusal::new(401, "Unauthorized")));
    };
    let query = head.uri.query().unwrap_or_default();
    let params = match Params::read(text(&head.headers, header::CONTENT_TYPE), query, body).await {
        Ok(params) => params,
        Err(complaint) => return Ok(refuse(&Refusal::bad(complaint))),
    };
    let Some(method) = api::find(name) else {
        return Ok(refuse(&Refusal::new(404, "Not Found")));
    };
    let (latency, failure, retry_after) = begin(shared, bot, method, &params);
    if !latency.is_zero() {
        sleep(latency).await;
    }
    match failure {
        Some(Failure::Hang) => std::future::pending().await,
        Some(Failure::Cut) => Err(io::Error::other("the call is cut")),
        Some(Failure::Lost) => {
            let _ = api::answer(shared, bot, method, params).await;
            Err(io::Error::other("the answer is lost"))
        }
        Some(Failure::Status(429)) => Ok(refuse(&Refusal::slow(retry_after))),
        Some(Failure::Status(502)) => {
            Ok(plain(502, "text/html", "<html><h1>502 Bad Gateway</h1></html>"))
        }
        Some(Failure::Status(status)) => Ok(refuse(&Refusal::new(status, "Internal Server Error"))),
        None => Ok(match api::answer(shared, bot, method, params).await {
            Ok(result) => json(200, &json!({ "ok": true, "result": result })),
            Err(refusal) => refuse(&refusal),
        }),
    }
}

fn begin(
    shared: &Shared,
    bot: i64,
    method: &str,
    params: &Params,
) -> (Duration, Option<Failure>, u64) {
    let mut state = shared.state.lock();
    if state.switches.calls {
        state.calls.push(json!({ "bot": bot, "method": method, "params": params.log() }));
    }
    let State { draw, switches, .. } = &mut *state;
    let failure = switches.failure(&method.to_ascii_lowercase(), draw);
    (switches.latency, failure, switches.retry_after)
}

/// The content of a file of a bot.
fn download(shared: &Shared, path: &str) -> Answer {
    let (token, path) = path.split_once('/').unwrap_or((path, ""));
    let mut state = shared.state.lock();
    if state.authenticate(&token.replace("%3A", ":")).is_none() {
        return refuse(&Refusal::new(401, "Unauthorized"));
    }
    match state.files.values().find(|file| file.path == path) {
        Some(file) => plain(200, "application/octet-stream", file.bytes.clone()),
        None => refuse(&Refusal::new(404, "Not Found")),
    }
}

fn refuse(refusal: &Refusal) -> Answer {
    let mut answer = json(refusal.code, &refusal.json());
    if let Some(seconds) = refusal.retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

/// JSON.
pub(super) fn json(status: u16, value: &Value) -> Answer {
    plain(status, "application/json", value.to_string())
}

/// Bytes of a type.
pub(super) fn plain(status: u16, kind: &str, bytes: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(bytes.into()).boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let octets = HeaderValue::from_static("application/octet-stream");
    let kind = HeaderValue::from_str(kind).unwrap_or(octets);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

pub(super) fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
