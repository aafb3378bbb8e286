//! What the provider refuses with, in its own words.

use std::fmt;

use strum::{EnumString, IntoStaticStr};

/// A refusal as the provider documents it; its text form is the `type` of the `OpenAI` dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Failure {
    /// 400: the moderation.
    ContentFilter,
    /// 400: a malformed request.
    InvalidRequestError,
    /// 401: a key that cannot be one.
    InvalidAuthenticationError,
    /// 401: a key that is not known.
    IncorrectApiKeyError,
    /// 403: the key may not do that.
    PermissionDeniedError,
    /// 404: no such model.
    ResourceNotFoundError,
    /// 429: the provider is busy; another one or later.
    EngineOverloadedError,
    /// 429: one of the organization's limits.
    #[strum(serialize = "rate_limit_reached_error")]
    RateLimit(Limit),
    /// 429: no money; never to be retried.
    ExceededCurrentQuotaError,
    /// 500: the provider's fault.
    ServerError,
    /// 529: what the Anthropic dialect says for an overloaded engine.
    OverloadedError,
    /// 503: an HTML page of whatever stands before the provider.
    Unavailable,
    /// Any other status, with `server_error` as its type.
    #[strum(disabled)]
    Other(u16),
}

/// The limit that a `rate_limit_reached_error` names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Limit {
    /// Requests at the same time.
    #[default]
    Concurrency,
    /// Requests in a minute.
    Rpm,
    /// Tokens in a minute.
    Tpm,
    /// Tokens in a day.
    Tpd,
}

impl Failure {
    /// The usual failure of a status; none for 200.
    pub fn of_status(status: u16) -> Option<Self> {
        Some(match status {
            200 => return None,
            400 => Self::InvalidRequestError,
            401 => Self::InvalidAuthenticationError,
            403 => Self::PermissionDeniedError,
            404 => Self::ResourceNotFoundError,
            429 => Self::RateLimit(Limit::Concurrency),
            500 => Self::ServerError,
            503 => Self::Unavailable,
            529 => Self::OverloadedError,
            other => Self::Other(other),
        })
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::ContentFilter | Self::InvalidRequestError => 400,
            Self::InvalidAuthenticationError | Self::IncorrectApiKeyError => 401,
            Self::PermissionDeniedError => 403,
            Self::ResourceNotFoundError => 404,
            Self::EngineOverloadedError | Self::RateLimit(_) | Self::ExceededCurrentQuotaError => {
                429
            }
            Self::ServerError => 500,
            Self::Unavailable => 503,
            Self::OverloadedError => 529,
            Self::Other(status) => status,
        }
    }

    /// The `type` in the `OpenAI` dialect.
    pub(super) fn kind(self) -> &'static str {
        if matches!(self, Self::Other(_)) { Self::ServerError.into() } else { self.into() }
    }

    /// The `type` in the Anthropic dialect, which knows one for each status.
    pub(super) fn anthropic_kind(self) -> &'static str {
        match self.status() {
            400 => "invalid_request_error",
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            529 => "overloaded_error",
            _ => "api_error",
        }
    }

    /// The documented text; `limit` is the allowance that was reached, `seconds` when to come back.
    pub(super) fn message(self, limit: u32, seconds: u32) -> Message {
        Message { failure: self, limit, seconds }
    }
}

/// Writes the text of a failure.
pub(super) struct Message {
    failure: Failure,
    limit: u32,
    seconds: u32,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.failure {
            Failure::ContentFilter => {
                "The request was rejected because it was considered high risk"
            }
            Failure::InvalidRequestError => "Invalid request: the request is malformed",
            Failure::InvalidAuthenticationError => "Invalid Authentication",
            Failure::IncorrectApiKeyError => "Incorrect API key provided",
            Failure::PermissionDeniedError => "The API you are accessing is not open",
            Failure::ResourceNotFoundError => "Not found the model or Permission denied",
            Failure::EngineOverloadedError | Failure::OverloadedError => {
                "The engine is currently overloaded, please try again later"
            }
            Failure::ExceededCurrentQuotaError => {
                "Your account org-sandbox<ak-sandbox> is suspended, please check your plan and \
                 billing details"
            }
            Failure::RateLimit(limit) => return self.rate_limit(limit, f),
            Failure::ServerError | Failure::Unavailable | Failure::Other(_) => {
                "The server had an error while processing your request"
            }
        })
    }
}

impl Message {
    fn rate_limit(&self, limit: Limit, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Your account org-sandbox<ak-sandbox> request reached organization ")?;
        let Self { limit: allowed, seconds, .. } = self;
        let retry = format_args!("please try again after {seconds} seconds");
        match limit {
            Limit::Concurrency => write!(f, "max concurrency: {allowed}, {retry}"),
            Limit::Rpm => write!(f, "max RPM: {allowed}, {retry}"),
            Limit::Tpm => write!(f, "TPM rate limit, current: 2000321, limit: 2000000"),
            Limit::Tpd => write!(f, "TPD rate limit, current: 1526210, limit: 1500000"),
        }
    }
}
