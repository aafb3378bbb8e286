//! What a rollout knows of a tenant.

use jiff::{SignedDuration, Timestamp};
use oc_domain::TenantId;

/// A tenant, as far as a rollout is concerned. Those that are deleted are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub id: TenantId,
    /// What was last applied to it, from its status; `None`: nothing yet.
    pub applied: Option<Applied>,
    /// How it is.
    pub health: Health,
    /// The running binary alone can render it: no rendering of another revision is stored, or the
    /// stored one is of another spec than the tenant has.
    pub joined: bool,
    /// The target cannot be applied to this tenant, for a reason of its own: not for an outage.
    pub refused: Option<Refusal>,
}

/// A revision that a tenant has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Which.
    pub revision: String,
    /// When the tenant got this revision; a later apply of the same one does not change it.
    pub at: Timestamp,
}

/// How a tenant is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// What was applied runs and answers. That has to be seen after the apply: a Deployment whose
    /// controller has not looked at it yet tells of the pod before.
    Ready {
        /// Since when.
        since: Timestamp,
    },
    /// It does not answer.
    Unready {
        /// Since when the tenant has not been ready, whatever its pods were; of one that never was,
        /// since it is there.
        since: Timestamp,
        /// Why, as a word.
        reason: String,
    },
    /// Nothing should run.
    Suspended,
}

/// Why a tenant does not get the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Since when.
    pub since: Timestamp,
    /// Why, as a word.
    pub reason: String,
}

impl Member {
    pub(super) fn has(&self, revision: &str) -> bool {
        self.applied.as_ref().is_some_and(|applied| applied.revision == revision)
    }

    pub(super) fn runs(&self) -> bool {
        self.health != Health::Suspended
    }

    /// Whether it speaks for or against the revision, in a rollout that began then: not what joined
    /// by itself, nor what was sick or refused before.
    pub(super) fn counts(&self, revision: &str, began: Timestamp) -> bool {
        let well = matches!(self.health, Health::Ready { .. });
        let excused = self.refused.as_ref().is_some_and(|refused| refused.since < began);
        let speaks = if self.has(revision) {
            well || self.unready_by_update().is_some()
        } else {
            well && !excused
        };
        speaks && !self.joined && self.applied.is_some()
    }

    /// Since when it has been unready, if that began with or after its update.
    ///
    /// Times in a status are whole seconds: those of one second count as after.
    pub(super) fn unready_by_update(&self) -> Option<Timestamp> {
        let Health::Unready { since, .. } = &self.health else { return None };
        let at = self.applied.as_ref()?.at;
        (since.as_second() >= at.as_second()).then_some((*since).max(at))
    }

    /// Since when it has been ready with what was applied.
    pub(super) fn ready_since(&self) -> Option<Timestamp> {
        let Health::Ready { since } = self.health else { return None };
        Some(since.max(self.applied.as_ref()?.at))
    }

    /// When it counts as failed, and why, if nothing changes until then.
    pub(super) fn fails_at(
        &self,
        revision: &str,
        began: Timestamp,
        patience: SignedDuration,
    ) -> Option<(Timestamp, &str)> {
        if !self.counts(revision, began) {
            return None;
        }
        if self.has(revision) {
            let Health::Unready { reason, .. } = &self.health else { return None };
            return Some((self.unready_by_update()? + patience, reason));
        }
        let refused = self.refused.as_ref()?;
        Some((refused.since + patience, &refused.reason))
    }
}
