//! The parameters of a call, read in all encodings that the Bot API has: the query, a form, multipart,
//! JSON.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http_body::Body;
use http_body_util::{BodyExt as _, BodyStream};
use serde_json::{Map, Value};

use crate::Refusal;
use multipart::Files;

pub(crate) mod multipart;
mod urlencoded;

/// The bytes that the parameters may have in all, without files.
pub const MAX_TEXT: usize = 1 << 20;
/// The bytes of a body with files.
pub const MAX_UPLOAD: u64 = 64 << 20;
/// How many parameters there may be: no method has half as many.
const MAX_COUNT: usize = 64;

/// The parameters of a call: each once, none empty, in no encoding any more.
#[derive(Debug, Default)]
pub struct Params {
    /// Texts from everywhere; other JSON from JSON bodies only.
    pub(crate) values: BTreeMap<String, Value>,
    /// The files, which are still on their way.
    pub(crate) files: Option<Files>,
}

/// Reads the parameters of a call; of a body with files those that precede the first one, and the
/// files are left in the stream.
///
/// A parameter that is given twice, in one place or in two, is refused, as is text that is not UTF-8
/// or longer than [`MAX_TEXT`] in all. An empty one and a JSON `null` are as good as absent.
pub async fn read<B>(
    content_type: Option<&str>,
    query: Option<&str>,
    body: B,
) -> Result<Params, Refusal>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let mut params = Params::default();
    let mut left = MAX_TEXT;
    params.urlencoded(query.unwrap_or_default().as_bytes(), &mut left)?;
    let essence = content_type.map(essence).transpose()?;
    match essence.as_deref() {
        Some("multipart/form-data") => {
            let boundary = multer::parse_boundary(content_type.unwrap_or_default());
            let stream = BodyStream::new(body)
                .filter_map(async |frame| frame.map(|frame| frame.into_data().ok()).transpose());
            let boundary = boundary.map_err(|_| Refusal::Body)?;
            multipart::read(stream, boundary, &mut params, &mut left).await?;
        }
        kind => {
            let bytes = collect(body, left).await?;
            match kind {
                _ if bytes.is_empty() => {}
                Some("application/json") => params.json(&bytes)?,
                Some("application/x-www-form-urlencoded") => {
                    params.urlencoded(&bytes, &mut left)?;
                }
                _ => return Err(Refusal::Body),
            }
        }
    }
    Ok(params)
}

impl Params {
    /// A text parameter.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_str()
    }

    /// A whole number, as a number or as its decimal text.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let number = match self.values.get(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_i64(),
        };
        number.map(Some).ok_or_else(|| Refusal::Unclear(name.to_owned()))
    }

    /// Adds a parameter.
    pub(crate) fn add(&mut self, name: String, value: Value) -> Result<(), Refusal> {
        if value.is_null() || value.as_str() == Some("") {
            // Also an absent one may be said only once: which of two counts, nobody should ask.
            return if self.values.contains_key(&name) {
                Err(Refusal::Twice(name))
            } else {
                Ok(())
            };
        }
        if self.values.len() == MAX_COUNT {
            return Err(Refusal::TooLong);
        }
        match self.values.insert(name.clone(), value) {
            None => Ok(()),
            Some(_) => Err(Refusal::Twice(name)),
        }
    }

    fn urlencoded(&mut self, bytes: &[u8], left: &mut usize) -> Result<(), Refusal> {
        *left = left.checked_sub(bytes.len()).ok_or(Refusal::TooLong)?;
        urlencoded::pairs(bytes).try_for_each(|pair| {
            let (name, value) = pair?;
            self.add(name, Value::String(value))
        })
    }

    fn json(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let text = std::str::from_utf8(bytes).map_err(|_| Refusal::Charset)?;
        let Members(members) = serde_json::from_str(text).map_err(|_| Refusal::Body)?;
        members.into_iter().try_for_each(|(name, value)| self.add(name, value))
    }
}

/// The members of an object in their order, those of one name too.
struct Members(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// The media type without its parameters, in lower case. One that names another charset is refused.
fn essence(content_type: &str) -> Result<String, Refusal> {
    let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let is_other = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("charset")
            && !value.eq_ignore_ascii_case("utf-8")
            && !value.eq_ignore_ascii_case("utf8")
    };
    if parameters.split(';').any(is_other) {
        return Err(Refusal::Charset);
    }
    Ok(essence.trim().to_ascii_lowercase())
}

async fn collect<B: Body<Data = Bytes>>(body: B, limit: usize) -> Result<Bytes, Refusal> {
    let mut body = std::pin::pin!(body);
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::Cut)?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(Refusal::TooLong);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// The value at a path such as `scope.chat_id`.
pub(crate) fn at<'a>(values: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    match (values.get(first)?, rest) {
        (value, "") => Some(value),
        (value, field) => value.get(field).filter(|value| !value.is_null()),
    }
}
