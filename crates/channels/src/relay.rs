//! What requests are answered with.

use std::sync::Arc;

use oc_platform_token::Verifier;
use oc_streams::Presence;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    courier::{Courier, Links},
    desk::Desks,
    http::Faces,
    inbox::Inbox,
    metrics::Metrics,
    office::Office,
    pace::Pace,
    polls::Polls,
    texts::Texts,
    wakes::Herald,
};

/// What requests are answered with.
pub(crate) struct Relay {
    pub(crate) office: Office,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) desks: Arc<Desks>,
    pub(crate) polls: Arc<Polls>,
    pub(crate) herald: Herald,
    pub(crate) inbox: Inbox,
    pub(crate) courier: Courier,
    pub(crate) texts: Arc<Texts>,
    pub(crate) links: Links,
    pub(crate) pace: Arc<Pace>,
    pub(crate) presence: Presence,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) internal_key: SecretString,
    /// What bots say of themselves.
    pub(crate) faces: Mutex<Faces>,
    /// Calls of pods that are made to their end.
    pub(crate) calls: TaskTracker,
    /// No poll waits any more.
    pub(crate) draining: CancellationToken,
}
