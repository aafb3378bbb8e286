//! What may go wrong with a database.

use std::borrow::Cow;

use oc_domain::{AccountId, RequestId, TenantId};
use sqlx::migrate::MigrateError;

/// Why a call did nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Postgres, or the way to it.
    #[error("Postgres: {}", kind(.0))]
    Postgres(#[source] Box<sqlx::Error>),
    /// No answer in time; what was asked for may have happened all the same.
    #[error("Postgres did not answer in time")]
    Timeout,
    /// The connection string.
    #[error("the database URL is invalid")]
    Url(#[source] Box<sqlx::Error>),
    /// A word in the database that this release does not know.
    #[error("{column} of {row} is {word:?}, which this release does not know")]
    UnknownWord {
        /// Table and column.
        column: &'static str,
        /// The key of the row.
        row: String,
        /// What stands there.
        word: String,
    },
    /// There is no such period, or it is another account's.
    #[error("the account has no period {0}")]
    UnknownPeriod(i64),
    /// A number that Postgres has no room for.
    #[error("a number of request {0} is too large")]
    TooLarge(RequestId),
    /// A number that Postgres has no room for.
    #[error("{0} tokens are too many")]
    TooManyTokens(u64),
    /// What was asked for by its key is not there.
    #[error("there is no {what} {id}")]
    Unknown {
        /// What kind of thing.
        what: &'static str,
        /// Its key.
        id: String,
    },
    /// Periods that cannot be: one of them is empty, or two overlap.
    #[error("the periods that are wanted are empty or overlap")]
    OverlappingPeriods,
    /// A tenant more than the account may have.
    #[error("{0} has as many tenants as it may have")]
    NoAgentLeft(AccountId),
    /// A rollout beside another one.
    #[error("there is a rollout that has not ended")]
    RolloutNotEnded,
    /// A bot that another tenant has.
    #[error("the bot @{0} is another tenant's")]
    BotTaken(String),
    /// Stripe's subscription is known as another account's.
    #[error("one of the subscriptions of {0} is another account's")]
    ForeignSubscription(AccountId),
    /// What is paid for or runs cannot be erased.
    #[error("{0} has a subscription that has not ended, or a tenant that is not deleted")]
    InUse(AccountId),
    /// A key that the key file lacks.
    #[error("the key file has no key {0:?}")]
    UnknownKey(String),
    /// A secret or its key was changed outside of this library, or belongs elsewhere.
    #[error("{name:?} of {tenant} does not open")]
    Sealed {
        /// Whose it is.
        tenant: TenantId,
        /// The secret, or the key that it is under.
        name: String,
    },
    /// The database has been migrated by a later release.
    #[error("the database knows migration {0}, which this release does not know")]
    Newer(i64),
    /// A migration did not apply, or is not what was applied.
    #[error("migrations")]
    Migrate(#[source] Box<MigrateError>),
}

impl Error {
    /// Whether the same call may succeed later: Postgres is away, busy or starting, or another
    /// transaction was in the way.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout => true,
            Self::Postgres(error) => is_transient(error),
            Self::Migrate(error) => match &**error {
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                    is_transient(error)
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether Postgres refused because of that constraint.
    pub(crate) fn violates(&self, constraint: &str) -> bool {
        let Self::Postgres(error) = self else { return false };
        error.as_database_error().and_then(|error| error.constraint()) == Some(constraint)
    }

    /// Whether the values are at fault, so that the same call without them may succeed.
    pub(crate) fn is_data(&self) -> bool {
        match self {
            Self::UnknownPeriod(_) | Self::TooLarge(_) | Self::TooManyTokens(_) => true,
            // Data exception, integrity constraint violation.
            Self::Postgres(error) => matches!(class(error).as_deref(), Some("22" | "23")),
            _ => false,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Postgres(Box::new(error))
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) => Self::Newer(version),
            error => Self::Migrate(Box::new(error)),
        }
    }
}

fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
        // Connection, rollback, resources, lock not available, intervention, system.
        sqlx::Error::Database(_) => {
            matches!(class(error).as_deref(), Some("08" | "40" | "53" | "55" | "57" | "58"))
        }
        _ => false,
    }
}

/// The first two letters of the SQLSTATE.
fn class(error: &sqlx::Error) -> Option<String> {
    let code: Cow<'_, str> = error.as_database_error()?.code()?;
    code.get(..2).map(str::to_owned)
}

/// Who said it, in a word; the source has the text.
fn kind(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Database(_) => "refused",
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut => "unreachable",
        _ => "an unexpected answer",
    }
}
