//! Connections, keys, idempotency, and requests that go wrong.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use super::{
    Shared, control,
    error::{Error, Kind},
    event,
    form::Params,
    page,
    route::Call,
    shape::Shape,
    state::{Failure, State},
};

pub(super) type Answer = Response<Full<Bytes>>;

/// What a request with an idempotency key was answered.
#[derive(Clone)]
pub(super) struct Saved {
    /// Method, path and parameters.
    request: String,
    request_id: String,
    status: u16,
    body: Bytes,
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
    let service = service_fn(|request| answer(&shared, request));
    // An error is a client that left, or an answer that is lost on purpose.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> io::Result<Answer> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let answer = if head.uri.path().starts_with("/v1/") {
        api(shared, &head, &body).await?
    } else {
        dispatch(shared, &head, &body)
    };
    shared.wake.notify_one();
    Ok(answer)
}

/// Answers at once, whatever is asked.
pub(super) fn dispatch(shared: &Shared, head: &Parts, body: &Bytes) -> Answer {
    let path = head.uri.path();
    if let Some(path) = path.strip_prefix("/v1/") {
        return call(&mut shared.state.lock(), head, path, body);
    }
    if head.method == Method::POST {
        shared.state.lock().note(head, body);
    }
    if path.starts_with("/_") {
        control::answer(shared, head, body)
    } else {
        page::answer(shared, head, body)
    }
}

/// A request to the API, which may go wrong.
async fn api(shared: &Shared, head: &Parts, body: &Bytes) -> io::Result<Answer> {
    let (latency, failure) = {
        let mut state = shared.state.lock();
        (state.switches.latency, state.failure())
    };
    if !latency.is_zero() {
        sleep(latency).await;
    }
    match failure {
        Some(Failure::Hang) => std::future::pending().await,
        Some(Failure::Status(status)) => Ok(refuse(&mut shared.state.lock(), &failed(status))),
        Some(Failure::Lost) => {
            dispatch(shared, head, body);
            Err(io::Error::other("the answer is lost"))
        }
        None => Ok(dispatch(shared, head, body)),
    }
}

fn failed(status: u16) -> Error {
    match status {
        429 => Error {
            status,
            code: Some("rate_limit"),
            ..Error::invalid("Too many requests. Please try again later.")
        },
        _ => Error {
            status,
            kind: Kind::ApiError,
            ..Error::invalid("Sorry! There was an error while talking to one of our backends.")
        },
    }
}

/// Answers a request, or says again what it was answered before.
fn call(state: &mut State, head: &Parts, path: &str, body: &Bytes) -> Answer {
    if let Err(error) = authenticate(&head.headers) {
        return refuse(state, &error);
    }
    let key = text(&head.headers, "idempotency-key").filter(|_| head.method == Method::POST);
    let query = head.uri.query().unwrap_or_default();
    let form = String::from_utf8_lossy(body);
    let request = format!("{} {path}?{query} {form}", head.method);
    if let Some(saved) = key.and_then(|key| state.saved.get(key)) {
        if saved.request != request {
            return refuse(state, &other_parameters(key.unwrap_or_default()));
        }
        let mut answer = respond(saved.status, saved.body.clone(), &saved.request_id);
        let replayed = HeaderValue::from_static("true");
        answer.headers_mut().insert("idempotent-replayed", replayed);
        return answer;
    }
    if head.method != Method::GET {
        state.note(head, body);
    }
    let request_id = request_id(state);
    let caller = event::Request { id: request_id.clone(), key: key.map(str::to_owned) };
    let version = text(&head.headers, "stripe-version");
    let shape = version.map_or(Shape::New, Shape::of_version);
    let parameters = [query, &form].join("&");
    let done = execute(state, caller, head.method.as_str(), path, &parameters, shape);
    let (status, value) = match &done {
        Ok(value) => (200, value.to_string()),
        Err(error) => (error.status, error.json().to_string()),
    };
    let body = Bytes::from(value);
    if let (Some(key), 200 | 402) = (key, status) {
        let saved = Saved { request, request_id: request_id.clone(), status, body: body.clone() };
        state.saved.insert(key.to_owned(), saved);
    }
    respond(status, body, &request_id)
}

fn execute(
    state: &mut State,
    caller: event::Request,
    method: &str,
    path: &str,
    parameters: &str,
    shape: Shape,
) -> Result<Value, Error> {
    let mut params = Params::parse(parameters)?;
    if path.starts_with("test_helpers/test_clocks") {
        return super::clock::answer(state, method, path, &mut params);
    }
    let events = state.switches.shape;
    state.with(|engine| {
        engine.request = Some(Arc::new(caller));
        let call = Call { engine: &mut *engine, params: &mut params, shape, events };
        let done = call.answer(method, path);
        engine.request = None;
        done
    })
}

fn other_parameters(key: &str) -> Error {
    let message = format!(
        "Keys for idempotent requests can only be used with the same parameters they were first \
         used with. Try using a key other than '{key}' if you meant to execute a different request."
    );
    Error { kind: Kind::IdempotencyError, ..Error::invalid(message) }
}

fn authenticate(headers: &HeaderMap) -> Result<(), Error> {
    let key = text(headers, "authorization").and_then(|value| value.strip_prefix("Bearer "));
    match key {
        Some(key) if key.starts_with("sk_test_") || key.starts_with("rk_test_") => Ok(()),
        Some(key) => {
            let shown: String = key.chars().take(4).collect();
            Err(Error {
                status: 401,
                ..Error::invalid(format!("Invalid API Key provided: {shown}****"))
            })
        }
        None => Err(Error {
            status: 401,
            ..Error::invalid(
                "You did not provide an API key. You need to provide your API key in the \
                 Authorization header, using Bearer auth (e.g. 'Authorization: Bearer \
                 YOUR_SECRET_KEY').",
            )
        }),
    }
}

fn request_id(state: &mut State) -> String {
    state.draw.id("req_", 14).to_string()
}

fn refuse(state: &mut State, error: &Error) -> Answer {
    let id = request_id(state);
    respond(error.status, error.json().to_string(), &id)
}

fn respond(status: u16, body: impl Into<Bytes>, request_id: &str) -> Answer {
    let mut answer = plain(status, "application/json", body);
    if let Ok(id) = HeaderValue::from_str(request_id) {
        answer.headers_mut().insert("request-id", id);
    }
    let version = HeaderValue::from_static(Shape::New.version());
    answer.headers_mut().insert("stripe-version", version);
    answer
}

/// An answer of some type.
pub(super) fn plain(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
