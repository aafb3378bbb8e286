//! When a rollout begins.

use oc_store::rollouts::{Rollout, Status};

/// A rollout that should begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// What the fleet has.
    pub from: Option<String>,
    /// The last rollout has not ended: it is to be aborted first, and nobody is rolled back.
    pub supersedes: bool,
}

/// Whether the revision of the running binary should be brought to the fleet, after the newest
/// rollout that there was.
///
/// A revision that was given up is not tried again by itself, only when people begin it anew or when
/// another one came in between.
pub fn due(last: Option<&Rollout>, running: &str) -> Option<Start> {
    let Some(last) = last else { return Some(Start { from: None, supersedes: false }) };
    if last.revision == running {
        return None;
    }
    let done = last.status == Status::Done;
    let from = if done { Some(last.revision.clone()) } else { last.from_revision.clone() };
    Some(Start { from, supersedes: !last.status.has_ended() })
}
