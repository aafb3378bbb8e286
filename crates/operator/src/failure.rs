//! Why a look at a tenant came to nothing, and when to look again.

use std::time::Duration;

use rand::random_range;

use crate::{kind::Key, piece::Unreadable};

/// Why a tenant is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Another one wrote at the same moment, or what is there is on its way out.
    #[error("it is being changed by somebody else")]
    Conflict,
    /// The API refuses what we want.
    #[error("{} {}: {message}", object.0, object.1)]
    Refused { object: Box<Key>, message: String },
    #[error("Kubernetes does not answer")]
    Kubernetes(#[source] Box<kube::Error>),
    #[error("it takes too long")]
    Slow,
    #[error("Postgres does not answer")]
    Postgres(#[from] oc_store::Error),
    #[error("what was kept of it cannot be read")]
    Kept(#[from] Unreadable),
}

impl Failure {
    /// What the API said to a change of `object`.
    pub(crate) fn of(error: kube::Error, object: Key) -> Self {
        match &error {
            kube::Error::Api(status) => match status.code {
                404 | 409 => Self::Conflict,
                // Nothing can be put into a namespace that is on its way out.
                403 if status.message.contains("being terminated") => Self::Conflict,
                // An API server that has just begun does not know our rights yet.
                403 if status.message.contains(": User \"") => Self::Kubernetes(error.into()),
                400 | 403 | 422 => {
                    let message = status.message.clone();
                    Self::Refused { object: Box::new(object), message }
                }
                _ => Self::Kubernetes(error.into()),
            },
            _ => Self::Kubernetes(error.into()),
        }
    }

    /// The name that metrics have for it.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Refused { .. } => "refused",
            Self::Kubernetes(_) => "kubernetes",
            Self::Slow => "slow",
            Self::Postgres(_) => "postgres",
            Self::Kept(_) => "kept",
        }
    }

    /// How long to wait after so many failures in a row: with jitter, so that ten thousand tenants
    /// do not come back at once.
    pub(crate) fn pause(&self, attempts: u32) -> Duration {
        let (first, longest) = match self {
            Self::Conflict => (50, 2_000),
            _ => (500, 60_000),
        };
        let full = (first << attempts.min(10)).min(longest);
        Duration::from_millis(random_range(full / 2..=full))
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if [404, 409].contains(&status.code) => Self::Conflict,
            _ => Self::Kubernetes(error.into()),
        }
    }
}
