//! What Stripe refuses with.

use serde_json::{Value, json};
use strum::IntoStaticStr;

/// A refusal, in Stripe's own form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The HTTP status.
    pub status: u16,
    /// The family.
    pub kind: Kind,
    /// The reason, for programs.
    pub code: Option<&'static str>,
    /// The reason, for people.
    pub message: String,
    /// The parameter that is at fault.
    pub param: Option<String>,
}

/// The family of a refusal: the `type` of its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// Stripe's own fault.
    ApiError,
    /// The bank refused the card.
    CardError,
    /// An idempotency key with other parameters.
    IdempotencyError,
    /// The caller's fault.
    InvalidRequestError,
}

impl Error {
    /// 400 for a request that makes no sense now.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        let kind = Kind::InvalidRequestError;
        Self { status: 400, kind, code: None, message: message.into(), param: None }
    }

    /// 400 for a parameter.
    pub(super) fn parameter(name: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self { code: Some(code), param: Some(name.to_owned()), ..Self::invalid(message) }
    }

    pub(super) fn missing(name: &str) -> Self {
        let message = format!("Missing required param: {name}.");
        Self::parameter(name, "parameter_missing", message)
    }

    /// What this stand-in cannot do although Stripe can, so that no test believes that it did.
    pub(super) fn beyond(name: &str, what: &str) -> Self {
        let message = format!("{what} is beyond this stand-in for Stripe");
        Self::parameter(name, "parameter_invalid", message)
    }

    /// 404, or 400 when the id was a parameter's.
    pub(super) fn no_such(noun: &str, id: &str) -> Self {
        let message = format!("No such {noun}: '{id}'");
        Self { status: 404, ..Self::parameter("id", "resource_missing", message) }
    }

    /// The same, for an id that stood in a parameter.
    #[must_use]
    pub(super) fn of(mut self, parameter: &str) -> Self {
        self.param = Some(parameter.to_owned());
        if self.status == 404 {
            self.status = 400;
        }
        self
    }

    /// 402: the bank refused.
    pub(super) fn declined() -> Self {
        let message = "Your card was declined.".to_owned();
        let (kind, code) = (Kind::CardError, Some("card_declined"));
        Self { status: 402, kind, code, message, param: None }
    }

    /// The body of the answer.
    pub(super) fn json(&self) -> Value {
        let kind: &str = self.kind.into();
        let mut error = json!({ "type": kind, "message": self.message });
        if let Some(fields) = error.as_object_mut() {
            if let Some(code) = self.code {
                let url = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"));
                fields.insert("code".to_owned(), code.into());
                fields.insert("doc_url".to_owned(), url.into());
            }
            if let Some(param) = &self.param {
                fields.insert("param".to_owned(), param.as_str().into());
            }
            if self.kind == Kind::CardError {
                fields.insert("decline_code".to_owned(), "generic_decline".into());
            }
        }
        json!({ "error": error })
    }
}
