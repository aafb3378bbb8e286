//! Calls that may be sent.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::HeaderValue;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use serde_json::{Map, Value};

use crate::{ChatId, Method, Refusal, params::multipart::Files};

/// What a call is sent as. It fails, and the call with it, where what follows is not what it should.
pub type CallBody = UnsyncBoxBody<Bytes, Refusal>;

/// A call that was checked and written anew: nothing else can be forwarded.
#[derive(Debug)]
pub struct Call {
    method: &'static Method,
    chat: Option<ChatId>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Json(Bytes),
    Multipart(Box<Upload>),
}

/// A call with files.
#[derive(Debug)]
struct Upload {
    boundary: String,
    /// The parameters, as parts.
    values: Bytes,
    files: Files,
    /// The names of the files that may come.
    expected: BTreeSet<String>,
}

impl Call {
    pub(crate) fn new(
        method: &'static Method,
        chat: Option<ChatId>,
        values: &Map<String, Value>,
        files: Option<(Files, BTreeSet<String>)>,
    ) -> Result<Self, Refusal> {
        let content = match files {
            None => Content::Json(serde_json::to_vec(values).map_err(|_| Refusal::Body)?.into()),
            Some((files, expected)) => {
                let boundary = boundary();
                let values = parts(values, &boundary).into();
                Content::Multipart(Box::new(Upload { boundary, values, files, expected }))
            }
        };
        Ok(Self { method, chat, content })
    }

    /// What is called.
    pub fn method(&self) -> &'static Method {
        self.method
    }

    /// The chat that it concerns first of all, which Telegram's limits are counted for.
    pub fn chat(&self) -> Option<ChatId> {
        self.chat
    }

    /// The body, where it can be sent again.
    pub fn json(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Json(bytes) => Some(bytes),
            Content::Multipart(_) => None,
        }
    }

    /// The type and the bytes of the body.
    pub fn into_body(self) -> (HeaderValue, CallBody) {
        match self.content {
            Content::Json(bytes) => {
                let body = Full::new(bytes).map_err(|never| match never {});
                (HeaderValue::from_static("application/json"), body.boxed_unsync())
            }
            Content::Multipart(upload) => {
                let Upload { boundary, values, files, expected } = *upload;
                let kind = format!("multipart/form-data; boundary={boundary}");
                let kind = HeaderValue::try_from(kind);
                let files = files.into_parts(boundary, expected);
                let stream = stream::once(async move { Ok(values) }).chain(files);
                let body = StreamBody::new(stream.map(|bytes| bytes.map(Frame::data)));
                let octets = HeaderValue::from_static("application/octet-stream");
                (kind.unwrap_or(octets), body.boxed_unsync())
            }
        }
    }
}

/// What no content can hold: who knew it could end a file and say another parameter.
fn boundary() -> String {
    format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>())
}

/// The parameters as parts; their names are those of the list, so they need no quoting.
fn parts(values: &Map<String, Value>, boundary: &str) -> String {
    let part = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
    };
    values.iter().map(part).collect()
}
