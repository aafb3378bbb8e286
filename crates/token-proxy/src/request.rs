//! A client's request: its credential, its headers, its body, each within bounds.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use oc_domain::TenantId;
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::answer::Problem;

/// The largest body: what the largest context takes, with pictures.
pub(crate) const MAX_BODY_BYTES: usize = 16 << 20;
/// Bodies that are in memory at once: all together, and those of one tenant.
const ALL_BYTES: usize = 64 << 20;
const TENANT_BYTES: usize = 20 << 20;
const FREE_BYTES: usize = 16 << 10;
/// How long a body may take.
const BODY: Duration = Duration::from_secs(30);

/// The headers that a provider gets as they came. The credential is none of them.
const PASSED: [HeaderName; 5] = [
    header::ACCEPT,
    header::USER_AGENT,
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("traceparent"),
];

const PROXY_KEY: HeaderName = HeaderName::from_static("x-proxy-key");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The platform token: in the header that OpenClaw's keyless mode sends, which comes first since
/// that mode puts a dummy into the others, or where the dialects have their keys.
pub(crate) fn credential(headers: &HeaderMap) -> Option<&str> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    text(PROXY_KEY)
        .or_else(|| text(header::AUTHORIZATION)?.strip_prefix("Bearer "))
        .or_else(|| text(API_KEY))
}

/// Those of a client's headers that its provider gets.
pub(crate) fn passed(headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(8);
    for name in PASSED {
        for value in headers.get_all(&name) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

/// Room for bodies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    tenants: HashMap<TenantId, usize>,
}

/// A body, and the room that it takes.
pub(crate) struct RequestBody {
    pub(crate) bytes: Bytes,
    _share: Share,
}

/// Room that one body takes, given back when dropped.
struct Share {
    room: Room,
    tenant: TenantId,
    bytes: usize,
}

impl Room {
    /// Reads a body of JSON that `tenant` sends.
    pub(crate) async fn read(
        &self,
        tenant: &TenantId,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Result<RequestBody, Problem> {
        if !is_json(headers) {
            return Err(Problem::MediaType);
        }
        if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
            return Err(Problem::TooLarge);
        }
        let mut share = Share { room: self.clone(), tenant: tenant.clone(), bytes: 0 };
        let bytes = timeout(BODY, collect(body, &mut share)).await;
        Ok(RequestBody { bytes: bytes.unwrap_or(Err(Problem::BodyTimeout))?, _share: share })
    }
}

impl Share {
    /// Takes room for what has come. Small bodies are for free: connections are bounded.
    fn grow(&mut self, length: usize) -> Result<(), Problem> {
        if length <= FREE_BYTES {
            return Ok(());
        }
        let more = length - self.bytes;
        let mut taken = self.room.0.lock();
        let own = taken.tenants.get(&self.tenant).copied().unwrap_or(0);
        if own + more > TENANT_BYTES {
            return Err(Problem::RateLimited(1));
        }
        if taken.all + more > ALL_BYTES {
            return Err(Problem::Unavailable);
        }
        taken.all += more;
        taken.tenants.insert(self.tenant.clone(), own + more);
        self.bytes = length;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut taken = self.room.0.lock();
        taken.all -= self.bytes;
        if let Some(own) = taken.tenants.get_mut(&self.tenant) {
            *own -= self.bytes;
            if *own == 0 {
                taken.tenants.remove(&self.tenant);
            }
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let encoded = headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity");
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return !encoded };
    let kind = kind.to_str().unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    !encoded && essence.eq_ignore_ascii_case("application/json")
}

async fn collect(mut body: Incoming, share: &mut Share) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Problem::BodyBroken)?.into_data() else { continue };
        let length = first.len().max(more.len()) + data.len();
        if length > MAX_BODY_BYTES {
            return Err(Problem::TooLarge);
        }
        share.grow(length)?;
        if first.is_empty() && more.is_empty() {
            // Most bodies come in one piece, and are not copied.
            first = data;
            continue;
        }
        if more.is_empty() {
            more.extend_from_slice(&first);
        }
        more.extend_from_slice(&data);
    }
    Ok(if more.is_empty() { first } else { more.freeze() })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        list.iter().map(pair).collect()
    }

    #[test]
    fn the_keyless_header_comes_before_dummies() {
        let all = [("x-proxy-key", "a"), ("authorization", "Bearer b"), ("x-api-key", "c")];
        assert_eq!(credential(&headers(&all)), Some("a"));
        assert_eq!(credential(&headers(&all[1..])), Some("b"));
        assert_eq!(credential(&headers(&all[2..])), Some("c"));
        assert_eq!(credential(&headers(&[("authorization", "Basic b")])), None);
    }

    #[test]
    fn a_provider_gets_no_credential_and_nothing_unknown() {
        let all = headers(&[
            ("authorization", "Bearer b"),
            ("x-api-key", "c"),
            ("x-proxy-key", "a"),
            ("cookie", "d"),
            ("connection", "close"),
            ("anthropic-version", "2023-06-01"),
        ]);
        assert_eq!(passed(&all), headers(&[("anthropic-version", "2023-06-01")]));
    }

    #[test]
    fn only_plain_json_is_read() {
        assert!(is_json(&headers(&[("content-type", "application/json; charset=utf-8")])));
        assert!(is_json(&headers(&[])));
        assert!(!is_json(&headers(&[("content-type", "text/plain")])));
        assert!(!is_json(&headers(&[
            ("content-type", "application/json"),
            ("content-encoding", "gzip")
        ])));
    }
}
