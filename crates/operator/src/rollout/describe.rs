//! How a rollout is, for people and scripts.

use jiff::Timestamp;
use oc_domain::TenantId;
use oc_store::rollouts::Rollout;
use serde::Serialize;

use super::{Member, Policy, waves::Waves};

/// What `rollout status` shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What every tenant shall have.
    pub revision: String,
    /// What it replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How it is, as the store's word.
    pub status: String,
    /// Why it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Which wave it is at; the first is 1.
    pub wave: u32,
    /// When that wave began.
    pub wave_since: Timestamp,
    /// How many tenants may be unready by their update at once.
    pub parallel: usize,
    /// The waves, each with those that it adds.
    pub waves: Vec<Wave>,
    /// Who failed, and why.
    pub failed: Vec<Failed>,
}

/// What one wave adds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wave {
    /// Its number; the first is 1.
    pub number: usize,
    /// How many tenants it adds.
    pub members: usize,
    /// Of them, how many have the revision.
    pub updated: usize,
    /// Of the updated, how many are ready.
    pub ready: usize,
    /// How many failed.
    pub failed: usize,
}

/// A tenant that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Who.
    pub tenant: TenantId,
    /// Why, as a word.
    pub reason: String,
    /// Since when its patience is over.
    pub since: Timestamp,
}

/// How the rollout is now.
pub fn describe(rollout: &Rollout, fleet: &[Member], policy: &Policy, now: Timestamp) -> Report {
    let waves = Waves::new(rollout, fleet, policy);
    let failed_at = |one: &Member| {
        let fails = one.fails_at(&rollout.revision, rollout.started_at, policy.patience);
        fails.filter(|(at, _)| *at <= now).map(|(at, reason)| (at, reason.to_owned()))
    };
    let mut before = 0;
    let row = |(index, size): (usize, &usize)| {
        let members = waves.order.get(before..*size).unwrap_or_default();
        before = *size;
        let updated = || members.iter().filter(|one| one.has(&rollout.revision));
        Wave {
            number: index + 1,
            members: members.len(),
            updated: updated().count(),
            ready: updated().filter(|one| one.ready_since().is_some()).count(),
            failed: members.iter().filter(|one| failed_at(one).is_some()).count(),
        }
    };
    let failed = |one: &&Member| {
        let (since, reason) = failed_at(one)?;
        Some(Failed { tenant: one.id.clone(), reason, since })
    };
    Report {
        revision: rollout.revision.clone(),
        from: rollout.from_revision.clone(),
        status: rollout.status.to_string(),
        reason: rollout.reason.clone(),
        wave: rollout.wave.saturating_add(1),
        wave_since: rollout.wave_since,
        parallel: policy.parallel(waves.running),
        waves: waves.sizes.iter().enumerate().map(row).collect(),
        failed: waves.order.iter().filter_map(failed).collect(),
    }
}
