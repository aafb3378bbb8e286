//! What the proxy itself says: errors and notices, in the words of the client's dialect.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use jiff::{Timestamp, tz};
use oc_domain::Locale;
use serde_json::{Value, json};

use crate::{inspect::NotARequest, relay::Body, route::Dialect};

/// Marks an answer that no model gave.
pub(crate) const NOTICE: HeaderName = HeaderName::from_static("x-openclaw-notice");

/// Why there is no answer of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    NotARequest(NotARequest),
    /// The credential is none of ours, or was revoked.
    Unauthenticated,
    NotFound,
    /// The path is right with this method.
    Method(&'static str),
    MediaType,
    TooLarge,
    /// The body did not come in time, or not to its end.
    BodyTimeout,
    BodyBroken,
    UnknownModel(String),
    /// Too many requests: again after so many seconds.
    RateLimited(u32),
    /// Ours, or a provider's, and not for long.
    Unavailable,
    TimedOut,
}

/// The words of a problem: status, Anthropic's type, OpenAI's type and code.
struct Words(u16, &'static str, &'static str, Option<&'static str>);

impl Problem {
    fn words(&self) -> Words {
        const INVALID: &str = "invalid_request_error";
        match self {
            Self::NotARequest(_) | Self::BodyBroken => Words(400, INVALID, INVALID, None),
            Self::Unauthenticated => {
                Words(401, "authentication_error", INVALID, Some("invalid_api_key"))
            }
            Self::NotFound => Words(404, "not_found_error", INVALID, Some("unknown_url")),
            Self::UnknownModel(_) => {
                Words(404, "not_found_error", INVALID, Some("model_not_found"))
            }
            Self::Method(_) => Words(405, INVALID, INVALID, Some("method_not_supported")),
            Self::BodyTimeout => Words(408, "timeout_error", "timeout_error", None),
            Self::TooLarge => Words(413, "request_too_large", INVALID, Some("request_too_large")),
            Self::MediaType => Words(415, INVALID, INVALID, Some("unsupported_media_type")),
            Self::RateLimited(_) => {
                Words(429, "rate_limit_error", "requests", Some("rate_limit_exceeded"))
            }
            Self::Unavailable => Words(503, "api_error", "server_error", Some("unavailable")),
            Self::TimedOut => Words(504, "timeout_error", "server_error", Some("timeout")),
        }
    }

    fn message(&self) -> String {
        match self {
            Self::NotARequest(why) => why.to_string(),
            Self::Unauthenticated => "the platform token is not valid".to_owned(),
            Self::NotFound => "there is nothing at this path".to_owned(),
            Self::Method(method) => format!("this path takes {method} only"),
            Self::MediaType => "the body must be application/json, not encoded".to_owned(),
            Self::TooLarge => "the body is too large".to_owned(),
            Self::BodyTimeout => "the body took too long".to_owned(),
            Self::BodyBroken => "the body ended early".to_owned(),
            Self::UnknownModel(name) => {
                format!("the model `{name}` does not exist for this tenant")
            }
            Self::RateLimited(seconds) => {
                format!("too many requests at once, try again in {seconds} seconds")
            }
            Self::Unavailable => "no model can be reached now, try again in a moment".to_owned(),
            Self::TimedOut => "the model took too long".to_owned(),
        }
    }

    fn retry_after(&self) -> Option<u32> {
        match self {
            Self::RateLimited(seconds) => Some(*seconds),
            Self::Unavailable => Some(2),
            _ => None,
        }
    }

    fn body(&self, dialect: Dialect) -> Value {
        let Words(_, anthropic, openai, code) = self.words();
        let message = self.message();
        match dialect {
            Dialect::OpenAi => {
                json!({"error": {"message": message, "type": openai, "param": null, "code": code}})
            }
            Dialect::Anthropic => {
                json!({"type": "error", "error": {"type": anthropic, "message": message}})
            }
        }
    }

    /// The answer.
    pub(crate) fn response(&self, dialect: Dialect) -> Response<Body> {
        let mut response = json_response(&self.body(dialect));
        let Words(status, ..) = self.words();
        *response.status_mut() =
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Self::Method(method) = self {
            headers.insert(header::ALLOW, HeaderValue::from_static(method));
        }
        response
    }

    /// The event that ends a stream which has begun.
    pub(crate) fn event(&self, dialect: Dialect) -> Bytes {
        let body = self.body(dialect);
        match dialect {
            Dialect::OpenAi => format!("data: {body}\n\n").into(),
            Dialect::Anthropic => format!("event: error\ndata: {body}\n\n").into(),
        }
    }
}

/// A JSON answer.
pub(crate) fn json_response(body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(body.to_string())));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// What a person should hear where an error would break the agent for them: it comes as an answer
/// of the model, and costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The period's quota is spent, until this time in milliseconds after 1970.
    QuotaSpent(u64),
    Suspended,
    Unpaid,
}

/// How an answer is to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) stream: bool,
    /// The usage chunk was asked for.
    pub(crate) usage: bool,
    /// The model's name as the client wrote it.
    pub(crate) model: &'a str,
    pub(crate) now: Timestamp,
}

impl Notice {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::QuotaSpent(_) => "quota-spent",
            Self::Suspended => "suspended",
            Self::Unpaid => "unpaid",
        }
    }

    fn text(self, locale: Locale, link: &str) -> String {
        match (self, locale) {
            (Self::QuotaSpent(ends), Locale::PtBr) => format!(
                "Você já usou todos os tokens do seu plano neste período. Eles voltam em {}. \
                 Para continuar agora, mude de plano: {link}",
                date(ends, locale)
            ),
            (Self::QuotaSpent(ends), Locale::En) => format!(
                "You have used all tokens of your plan for this period. They come back on {}. \
                 To go on now, upgrade your plan: {link}",
                date(ends, locale)
            ),
            (Self::Suspended, Locale::PtBr) => {
                format!("Seu agente está suspenso. Para reativá-lo, acesse: {link}")
            }
            (Self::Suspended, Locale::En) => {
                format!("Your agent is suspended. To reactivate it, go to: {link}")
            }
            (Self::Unpaid, Locale::PtBr) => {
                format!("Sua assinatura não está ativa no momento. Para ativá-la, acesse: {link}")
            }
            (Self::Unpaid, Locale::En) => {
                format!("Your subscription is not active now. To activate it, go to: {link}")
            }
        }
    }

    /// The notice as the model's answer.
    pub(crate) fn response(self, locale: Locale, link: &str, form: Form<'_>) -> Response<Body> {
        let text = self.text(locale, link);
        let mut response = match (form.dialect, form.stream) {
            (Dialect::OpenAi, false) => json_response(&openai::whole(&text, form)),
            (Dialect::Anthropic, false) => json_response(&anthropic::whole(&text, form)),
            (Dialect::OpenAi, true) => events(openai::stream(&text, form)),
            (Dialect::Anthropic, true) => events(anthropic::stream(&text, form)),
        };
        response.headers_mut().insert(NOTICE, HeaderValue::from_static(self.name()));
        response
    }
}

fn events(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(text)));
    let stream = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, stream);
    response
}

/// A day as people write it. Brazil has had one offset all year since 2019.
fn date(unix_ms: u64, locale: Locale) -> String {
    let at = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let (offset, format) = match locale {
        Locale::PtBr => (tz::offset(-3), "%d/%m/%Y"),
        Locale::En => (tz::offset(0), "%B %-d, %Y"),
    };
    let zoned = at.unwrap_or_default().to_zoned(offset.to_time_zone());
    zoned.strftime(format).to_string()
}

mod openai {
    use super::{Form, Value, json};

    const ID: &str = "chatcmpl-notice";

    fn usage() -> Value {
        json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})
    }

    pub(super) fn whole(text: &str, form: Form<'_>) -> Value {
        json!({
            "id": ID, "object": "chat.completion", "created": form.now.as_second(),
            "model": form.model, "usage": usage(),
            "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": text}}],
        })
    }

    pub(super) fn stream(text: &str, form: Form<'_>) -> String {
        let chunk = |choices: Value, usage: Value| {
            let chunk = json!({
                "id": ID, "object": "chat.completion.chunk", "created": form.now.as_second(),
                "model": form.model, "choices": choices, "usage": usage,
            });
            format!("data: {chunk}\n\n")
        };
        let delta = |delta: Value, finish: Value| {
            chunk(json!([{"index": 0, "delta": delta, "finish_reason": finish}]), Value::Null)
        };
        let usage = if form.usage { chunk(json!([]), usage()) } else { String::new() };
        [
            delta(json!({"role": "assistant", "content": ""}), Value::Null),
            delta(json!({"content": text}), Value::Null),
            delta(json!({}), json!("stop")),
            usage,
            "data: [DONE]\n\n".to_owned(),
        ]
        .concat()
    }
}

mod anthropic {
    use super::{Form, Value, json};

    fn message(content: &Value, stop: &Value, form: Form<'_>) -> Value {
        json!({
            "id": "msg_notice", "type": "message", "role": "assistant", "model": form.model,
            "content": content, "stop_reason": stop, "stop_sequence": null,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        })
    }

    pub(super) fn whole(text: &str, form: Form<'_>) -> Value {
        message(&json!([{"type": "text", "text": text}]), &json!("end_turn"), form)
    }

    pub(super) fn stream(text: &str, form: Form<'_>) -> String {
        let event = |kind: &str, mut data: Value| {
            if let Some(data) = data.as_object_mut() {
                data.insert("type".to_owned(), json!(kind));
            }
            format!("event: {kind}\ndata: {data}\n\n")
        };
        let message = message(&json!([]), &Value::Null, form);
        [
            event("message_start", json!({"message": message})),
            event(
                "content_block_start",
                json!({"index": 0, "content_block": {"type": "text", "text": ""}}),
            ),
            event(
                "content_block_delta",
                json!({"index": 0, "delta": {"type": "text_delta", "text": text}}),
            ),
            event("content_block_stop", json!({"index": 0})),
            event(
                "message_delta",
                json!({"delta": {"stop_reason": "end_turn", "stop_sequence": null},
                    "usage": {"output_tokens": 0}}),
            ),
            event("message_stop", json!({})),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_people_do() {
        let ends = 1_796_094_000_000;
        assert_eq!(date(ends, Locale::PtBr), "01/12/2026");
        assert_eq!(date(ends, Locale::En), "December 1, 2026");
    }

    #[test]
    fn a_notice_is_read_as_an_answer_that_is_whole_and_costs_nothing() {
        for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
            let form = Form {
                dialect,
                stream: true,
                usage: true,
                model: "k2p5",
                now: Timestamp::UNIX_EPOCH,
            };
            let text = match dialect {
                Dialect::OpenAi => openai::stream("hi", form),
                Dialect::Anthropic => anthropic::stream("hi", form),
            };
            let mut events = crate::usage::Events::default();
            events.feed(text.as_bytes());
            assert!(events.seen.finished && !events.seen.failed);
            assert_eq!(events.seen.measured(), Some(oc_domain::usage::Tokens::default()));
        }
    }
}
