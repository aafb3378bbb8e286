//! Why Stripe did not do it.

use stripe::StripeError;

/// Why a call did nothing, or may have done nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Stripe does not answer, or not now; what was asked for may have happened. Asking again with the
    /// same key is safe.
    #[error("Stripe is not reachable: {0}")]
    Unavailable(String),
    /// Stripe has no such object.
    #[error("Stripe has no such object: {0}")]
    Missing(String),
    /// The card was declined, or needs its owner.
    #[error("the payment was declined: {0}")]
    Declined(String),
    /// Stripe refused; asking again would not help.
    #[error("Stripe refused ({status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What Stripe says.
        message: String,
    },
    /// An answer without what it should have.
    #[error("an answer of Stripe cannot be read: {0}")]
    Shape(String),
    /// The client cannot be made so.
    #[error("the Stripe client: {0}")]
    Configuration(String),
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<StripeError> for Error {
    fn from(error: StripeError) -> Self {
        match error {
            StripeError::Stripe(error, status) => {
                let message = error.message.clone().unwrap_or_else(|| format!("{:?}", error.type_));
                match status {
                    402 => Self::Declined(message),
                    404 => Self::Missing(message),
                    // 401: the key is being rotated, or was mistyped and will be mended.
                    401 | 409 | 424 | 429 | 500.. => {
                        Self::Unavailable(format!("{status} {message}"))
                    }
                    _ => Self::Refused { status, message },
                }
            }
            StripeError::JSONDeserialize(message) => Self::Shape(message),
            StripeError::ClientError(message) => Self::Unavailable(message),
            StripeError::Timeout => Self::Unavailable("no answer in time".to_owned()),
            StripeError::ConfigError(message) => Self::Configuration(message),
        }
    }
}
