//! Connections and routes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request as HttpRequest, Response, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use super::{
    Shared,
    answer::Answer,
    body::{Body, Ended},
    control,
    failure::{Failure, Limit},
    log::{End, Entry, Recorder},
    output::{Output, Tokenizer},
    reply::{Dialect, Prompt, Reply},
    request::Request,
    socket::{Reset, Socket},
};

/// The limit in the text of a 429 that no limit has caused.
const USUAL_LIMIT: u32 = 50;
/// Tokens of an image.
const IMAGE: u64 = 1200;
/// A prompt up to so many tokens is never cached.
const UNCACHED: u64 = 256;
/// What stands before a provider that is down.
const UNAVAILABLE: &str = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n</body>\r\n</html>\r\n";

/// A refusal and its text where it has one of its own.
struct Refusal(Failure, Option<String>);

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self(failure, None)
    }
}

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
    let reset = Reset::default();
    let socket = TokioIo::new(Socket::new(stream, reset.clone()));
    let service = service_fn(|request| answer(&shared, &reset, request));
    // An error is a client that left or a cut that was asked for: both are in the log.
    let _ = http1::Builder::new().serve_connection(socket, service).await;
}

async fn answer(
    shared: &Arc<Shared>,
    reset: &Reset,
    request: HttpRequest<Incoming>,
) -> Result<Response<Body>, Ended> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Ended)?.to_bytes();
    let path = head.uri.path();
    if path.starts_with("/_") {
        return Ok(control::answer(shared, &head, &body));
    }
    let path = path.strip_prefix("/anthropic").or(path.strip_prefix("/coding")).unwrap_or(path);
    let (dialect, path) = match (&head.method, path) {
        (&Method::POST, "/v1/chat/completions") => (Dialect::OpenAi, "/v1/chat/completions"),
        (&Method::POST, "/v1/messages") => (Dialect::Anthropic, "/v1/messages"),
        _ => return Ok(control::provider(shared, &head, path, &body)),
    };
    let (mut answer, mut recorder, busy) = begin(shared, &head.headers, path);
    let prepared = prepare(shared, dialect, &head.headers, &body, &mut answer, &mut recorder);
    if !answer.delay.is_zero() {
        sleep(answer.delay).await;
    }
    if let Some(cut) = answer.cut.filter(|cut| cut.after.is_none()) {
        recorder.end(End::Cut);
        if cut.reset {
            reset.ask();
        }
        return Err(Ended);
    }
    let limit = answer.concurrency.filter(|limit| busy > *limit);
    Ok(match (prepared, limit) {
        (Err(refusal), _) => refuse(dialect, &answer, USUAL_LIMIT, refusal, recorder),
        (Ok(_), Some(limit)) => {
            let refusal = Failure::RateLimit(Limit::Concurrency).into();
            refuse(dialect, &answer, limit, refusal, recorder)
        }
        (Ok(reply), None) => send(reply, recorder, reset.clone()),
    })
}

/// The usual answer to a request, its log entry, and how many requests its key has open with it.
#[expect(clippy::disallowed_methods, reason = "the log is compared by the time of day")]
fn begin(shared: &Arc<Shared>, headers: &HeaderMap, path: &'static str) -> (Answer, Recorder, u32) {
    let key = key(headers).unwrap_or_default();
    let (answer, key, busy) = shared.ledger.lock().begin(key);
    let entry = Entry {
        at_ms: Timestamp::now().as_millisecond(),
        request_id: text(headers, "x-request-id").into(),
        key,
        path,
        ..Entry::default()
    };
    (answer, Recorder::new(Arc::clone(shared), entry), busy)
}

/// The reply to a request, or how it is refused; `answer` becomes what header and marker say.
fn prepare(
    shared: &Shared,
    dialect: Dialect,
    headers: &HeaderMap,
    body: &Bytes,
    answer: &mut Answer,
    recorder: &mut Recorder,
) -> Result<Reply, Refusal> {
    shared.authenticate(&recorder.entry.key)?;
    *answer = answer.with(text(headers, "x-kimi")).map_err(|error| invalid(&error))?;
    let request: Request<'_> = serde_json::from_slice(body).map_err(|error| invalid(&error))?;
    let marker = request.marker().unwrap_or_default();
    *answer = answer.with(marker).map_err(|error| invalid(&error))?;
    recorder.entry.stream = request.stream;
    check(dialect, &request, answer)?;
    let number = shared.next_number();
    let tokenizer = Tokenizer::new(shared.seed, number);
    let created = recorder.entry.at_ms / 1000;
    Ok(Reply {
        dialect,
        number,
        created,
        model: serde_json::Value::from(&*request.model).to_string(),
        include_usage: request.include_usage(),
        stream: request.stream && !answer.plain,
        prompt: prompt(&request, answer, tokenizer),
        output: Output::new(&request, answer, tokenizer, created),
        answer: *answer,
    })
}

fn check(dialect: Dialect, request: &Request<'_>, answer: &Answer) -> Result<(), Refusal> {
    if let Some(failure) = answer.failure {
        return Err(failure.into());
    }
    let max = request.max_tokens();
    let budget = request.thinking.as_ref().and_then(|thinking| thinking.budget_tokens);
    let complaint = match (dialect, max, budget) {
        (_, Some(0), _) => "max_tokens: must be greater than 0",
        (Dialect::Anthropic, None, _) => "max_tokens: Field required",
        (Dialect::Anthropic, _, Some(..1024)) => {
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        }
        (Dialect::Anthropic, Some(max), Some(budget)) if budget >= max => {
            "`max_tokens` must be greater than `thinking.budget_tokens`"
        }
        _ => return Ok(()),
    };
    Err(Refusal(Failure::InvalidRequestError, Some(complaint.to_owned())))
}

fn invalid(error: &impl ToString) -> Refusal {
    let text = format!("Invalid request: {}", error.to_string());
    Refusal(Failure::InvalidRequestError, Some(text))
}

/// Tokens of the prompt, as the provider counts them.
pub(super) fn prompt(request: &Request<'_>, answer: &Answer, tokenizer: Tokenizer) -> Prompt {
    let (chars, images) = request.size();
    let tokens = tokenizer.tokens(chars) + images * IMAGE;
    let part =
        |of: u64, percent: u8| if tokens > UNCACHED { of * u64::from(percent) / 100 } else { 0 };
    let cached = part(tokens, answer.cached);
    Prompt { tokens, cached, written: part(tokens - cached, answer.written) }
}

fn send(reply: Reply, mut recorder: Recorder, reset: Reset) -> Response<Body> {
    recorder.entry.status = 200;
    recorder.entry.tokens = reply.tokens(0);
    if reply.stream {
        let mut response = Response::new(Body::stream(reply, recorder, reset));
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    } else {
        json(StatusCode::OK, Body::answer(&reply, recorder, reset))
    }
}

fn refuse(
    dialect: Dialect,
    answer: &Answer,
    limit: u32,
    Refusal(failure, own): Refusal,
    mut recorder: Recorder,
) -> Response<Body> {
    recorder.entry.status = failure.status();
    let status = StatusCode::from_u16(failure.status()).unwrap_or_default();
    let mut response = if failure == Failure::Unavailable {
        let mut response = Response::new(Body::refusal(UNAVAILABLE.to_owned(), recorder));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        response
    } else {
        let seconds = answer.retry_after.unwrap_or(1);
        let text = own.unwrap_or_else(|| failure.message(limit, seconds).to_string());
        json(status, Body::refusal(error(dialect, failure, text), recorder))
    };
    if let Some(seconds) = answer.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// An error in the form of a dialect.
pub(super) fn error(dialect: Dialect, failure: Failure, message: String) -> String {
    let message = serde_json::Value::from(message);
    match dialect {
        Dialect::OpenAi => {
            let kind = failure.kind();
            format!(r#"{{"error":{{"message":{message},"type":"{kind}"}}}}"#)
        }
        Dialect::Anthropic => {
            let kind = failure.anthropic_kind();
            format!(r#"{{"type":"error","error":{{"type":"{kind}","message":{message}}}}}"#)
        }
    }
}

pub(super) fn json(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The key of a request, from either header.
pub(super) fn key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    bearer
        .and_then(|value| value.strip_prefix("Bearer "))
        .or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
