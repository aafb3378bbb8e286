//! What a provider's answer means for its key, for the request, and for the client.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

/// What to do about an answer that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The request is at fault: its client gets the provider's words.
    Refused,
    /// It may work in a moment, or elsewhere.
    Failed,
    /// Too many at once for this key: not before so long.
    Limited(Duration),
    /// The key is of no use: somebody has to do something.
    Unusable,
}

/// How long a key that is of no use is left alone: long enough not to be a nuisance, short enough
/// that paying helps soon.
pub(crate) const UNUSABLE: Duration = Duration::from_mins(5);
const LIMITED: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);

#[derive(Debug, Default, Deserialize)]
struct Wire {
    #[serde(default)]
    error: Detail,
}

#[derive(Debug, Default, Deserialize)]
struct Detail {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    code: Option<serde_json::Value>,
    #[serde(default)]
    message: Option<String>,
}

/// What an answer with an error status means.
pub(crate) fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Verdict {
    match status.as_u16() {
        401..=403 => Verdict::Unusable,
        429 => limited(headers, body),
        400..=499 if status != StatusCode::REQUEST_TIMEOUT => Verdict::Refused,
        _ => Verdict::Failed,
    }
}

/// A provider says 429 for four different things.
fn limited(headers: &HeaderMap, body: &[u8]) -> Verdict {
    let Wire { error } = serde_json::from_slice(body).unwrap_or_default();
    let kind = error.kind.unwrap_or_default();
    let code = error.code.as_ref().and_then(|code| code.as_str()).unwrap_or_default();
    match (kind.as_str(), code) {
        ("exceeded_current_quota_error" | "insufficient_quota", _) | (_, "insufficient_quota") => {
            Verdict::Unusable
        }
        ("engine_overloaded_error" | "overloaded_error", _) => Verdict::Failed,
        _ => {
            let said = after(headers).or_else(|| in_words(&error.message.unwrap_or_default()));
            Verdict::Limited(said.unwrap_or(LIMITED).clamp(Duration::from_millis(100), LONGEST))
        }
    }
}

fn after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse::<f64>().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// "try again after 3 seconds", as Moonshot writes it.
fn in_words(message: &str) -> Option<Duration> {
    let (_, rest) = message.split_once("again after ")?;
    let seconds = rest.split(' ').next()?.parse::<f64>().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Verdict {
        judge(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn four_kinds_of_429_are_told_apart() {
        let error = |kind: &str, message: &str| {
            judged(429, &format!(r#"{{"error":{{"type":"{kind}","message":"{message}"}}}}"#))
        };
        assert_eq!(error("engine_overloaded_error", "busy"), Verdict::Failed);
        assert_eq!(error("exceeded_current_quota_error", "pay"), Verdict::Unusable);
        let text = "Your account reached max RPM: 3, please try again after 7 seconds";
        assert_eq!(
            error("rate_limit_reached_error", text),
            Verdict::Limited(Duration::from_secs(7))
        );
        assert_eq!(
            error("rate_limit_reached_error", "max concurrency: 1"),
            Verdict::Limited(LIMITED)
        );
        assert_eq!(judged(429, "<html>"), Verdict::Limited(LIMITED));
    }

    #[test]
    fn openais_word_for_no_money_is_known_too() {
        let body = r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#;
        assert_eq!(judged(429, body), Verdict::Unusable);
    }

    #[test]
    fn a_header_says_how_long() {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, http::HeaderValue::from(3))]);
        let verdict = judge(StatusCode::TOO_MANY_REQUESTS, &headers, b"");
        assert_eq!(verdict, Verdict::Limited(Duration::from_secs(3)));
    }

    #[test]
    fn our_keys_fault_is_not_the_clients() {
        assert_eq!(judged(401, ""), Verdict::Unusable);
        assert_eq!(judged(403, ""), Verdict::Unusable);
        assert_eq!(judged(400, ""), Verdict::Refused);
        assert_eq!(judged(404, ""), Verdict::Refused);
        for status in [408, 500, 502, 503, 529, 302] {
            assert_eq!(judged(status, ""), Verdict::Failed);
        }
    }
}
