//! Answers: our own in the words of the Bot API or of our API, and Telegram's as they come.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Limited;
use hyper::body::Incoming;
use oc_telegram::Refusal;
use serde_json::{Value, json};

/// The body of every answer.
pub(crate) enum Body {
    /// Our own words.
    Own(Option<Bytes>),
    /// Telegram's, as they come.
    Relayed(Box<Limited<Incoming>>),
}

/// Why a call of a pod is not answered as it hoped, as Telegram would say it.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: StatusCode,
    pub(crate) description: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Refused {
    pub(crate) fn new(code: StatusCode, description: &str) -> Self {
        Self { code, description: description.to_owned(), retry_after: None }
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized")
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    /// Ours, or the way to Telegram, and not for long: gateways try again.
    pub(crate) fn bad_gateway() -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "Bad Gateway")
    }

    pub(crate) fn too_many(retry_after: Duration) -> Self {
        let seconds = whole_seconds(retry_after);
        let description = format!("Too Many Requests: retry after {seconds}");
        Self { code: StatusCode::TOO_MANY_REQUESTS, description, retry_after: Some(retry_after) }
    }

    /// The answer.
    pub(crate) fn response(&self) -> Response<Body> {
        let mut body = json!({"ok": false, "error_code": self.code.as_u16(),
            "description": self.description});
        let seconds = self.retry_after.map(whole_seconds);
        if let (Some(seconds), Some(body)) = (seconds, body.as_object_mut()) {
            body.insert("parameters".to_owned(), json!({"retry_after": seconds}));
        }
        let mut response = of_json(self.code, &body);
        if let Some(seconds) = seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let code = StatusCode::from_u16(refusal.code()).unwrap_or(StatusCode::BAD_REQUEST);
        Self { code, description: refusal.to_string(), retry_after: None }
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// What a call gave.
pub(crate) fn result(result: &Value) -> Response<Body> {
    of_json(StatusCode::OK, &json!({"ok": true, "result": result}))
}

/// An answer of JSON.
pub(crate) fn of_json(status: StatusCode, body: &Value) -> Response<Body> {
    of_bytes(status, body.to_string().into())
}

/// An answer whose JSON is written already.
pub(crate) fn of_bytes(status: StatusCode, json: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Own(Some(json)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// An answer without words.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Own(None));
    *response.status_mut() = status;
    response
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Relayed(body) => Pin::new(body.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Relayed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Relayed(body) => body.size_hint(),
        }
    }
}
