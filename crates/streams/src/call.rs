//! One call of a script, and what can go wrong with it.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why Redis gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not answer, or not now.
    #[error("Redis is not reachable")]
    Unavailable(#[source] Box<RedisError>),
    /// It is another process than before: what it holds may be two seconds old, or gone.
    #[error("Redis was restarted")]
    Restarted,
    /// It answered what our scripts never answer, or refused them.
    #[error("Redis gave an answer that is none of ours")]
    Refused(#[source] Box<RedisError>),
    /// An answer does not have the form that it should have.
    #[error("an answer of Redis does not have its form")]
    Answer,
}

impl Error {
    /// Whether the same call may succeed in a moment.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Restarted)
    }
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoScript) => Self::Restarted,
            // While it loads its data, has no memory or disk left, or is a replica.
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly,
            ) => Self::Unavailable(error.into()),
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Refused(error.into()),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::Answer,
            _ => Self::Unavailable(error.into()),
        }
    }
}
