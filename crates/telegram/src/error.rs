//! What goes wrong with our own calls.

use std::time::Duration;

/// What goes wrong with a call. Neither the text nor any source holds a token or an address.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Telegram refuses.
    #[error("Telegram refuses: {code} {description}")]
    Refused {
        /// The `error_code`.
        code: u16,
        /// Telegram's words, in English.
        description: String,
        /// How long the whole bot has to be silent.
        retry_after: Option<Duration>,
    },
    /// There is no connection, or it broke; whether the call was made is not known.
    #[error("no answer from Telegram")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer took too long; whether the call was made is not known.
    #[error("Telegram takes too long")]
    TimedOut,
    /// The answer is not the Bot API's.
    #[error("an answer of status {status} that is not the Bot API's")]
    Unreadable {
        /// The HTTP status.
        status: u16,
    },
    /// The call cannot be written, or the client cannot be made.
    #[error("not a call")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { code, .. } => *code == 429 || *code >= 500,
            Self::Unreachable(_) | Self::TimedOut => true,
            Self::Unreadable { status } => *status >= 500,
            Self::Unusable(_) => false,
        }
    }

    /// How long the whole bot has to be silent, where Telegram says so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(crate) fn unusable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unusable(error.into())
    }
}
