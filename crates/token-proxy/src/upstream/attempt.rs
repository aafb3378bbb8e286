//! One request to one provider with one key.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::{Client, Lane, Pieces};
use crate::route::Dialect;

/// The most of an error that is read and passed on.
const MAX_ERROR_BYTES: usize = 256 << 10;
const ERROR_TIMEOUT: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Debug)]
pub(super) enum Attempt {
    /// An answer has begun.
    Answer(Response<Incoming>),
    /// An answer with an error status, read whole.
    Error(StatusCode, HeaderMap, Bytes),
    /// Nobody was reached, or the connection broke before a byte came.
    Broken,
    /// Nothing came in time.
    TimedOut,
}

pub(super) async fn send(
    client: &Client,
    request: Request<Pieces>,
    first_byte: Duration,
) -> Attempt {
    let response = match timeout(first_byte, client.request(request)).await {
        Err(_) => return Attempt::TimedOut,
        Ok(Err(error)) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "no answer");
            return Attempt::Broken;
        }
        Ok(Ok(response)) => response,
    };
    if response.status().is_success() {
        return Attempt::Answer(response);
    }
    let (parts, body) = response.into_parts();
    let body = timeout(ERROR_TIMEOUT, read(body)).await.unwrap_or_default();
    Attempt::Error(parts.status, parts.headers, body)
}

async fn read(mut body: Incoming) -> Bytes {
    let mut bytes = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref() {
            let room = MAX_ERROR_BYTES - bytes.len();
            bytes.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
        }
        if bytes.len() >= MAX_ERROR_BYTES {
            break;
        }
    }
    bytes.freeze()
}

/// The request as the provider gets it: the headers that `headers` has, and our key.
pub(super) fn request(
    address: Uri,
    lane: &Arc<Lane>,
    dialect: Dialect,
    headers: &HeaderMap,
    body: Pieces,
) -> Option<Request<Pieces>> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = address;
    let map = request.headers_mut();
    map.clone_from(headers);
    map.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let key = lane.key.header(dialect)?;
    match dialect {
        Dialect::OpenAi => map.insert(header::AUTHORIZATION, key),
        Dialect::Anthropic => map.insert("x-api-key", key),
    };
    Some(request)
}
