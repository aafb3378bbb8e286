//! How careful a rollout is.

use jiff::SignedDuration;
use oc_domain::TenantId;

/// So many tenants at once are no risk to a fleet of any size.
const FEW: usize = 10;
/// Else this share of it, in percent.
const SHARE: usize = 2;

/// How careful a rollout is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who goes first; where none of them is well, the first share does.
    pub canaries: Vec<TenantId>,
    /// How much of the fleet has the revision after each wave, in percent, growing; the last wave is
    /// everyone, whatever its share.
    pub shares: Vec<u8>,
    /// For how long a wave has to be healthy before the next one.
    pub soak: SignedDuration,
    /// So many tenants at once may be unready by their update; `None`: 10, or 2 % of those that run
    /// where that is more.
    pub parallel: Option<u32>,
    /// How much of a wave has to be ready, in percent.
    pub healthy_share: u8,
    /// A tenant that is not ready for so long after its update has failed.
    pub patience: SignedDuration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            canaries: Vec::new(),
            shares: vec![1, 10, 50, 100],
            soak: SignedDuration::from_secs(60),
            parallel: None,
            healthy_share: 95,
            patience: SignedDuration::from_mins(10),
        }
    }
}

impl Policy {
    /// How many may be unready by their update at once, of so many that run; at least one.
    pub(super) fn parallel(&self, running: usize) -> usize {
        let given = self.parallel.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        given.unwrap_or_else(|| FEW.max(percent(running, SHARE))).max(1)
    }

    /// How many of so many may fail.
    pub(super) fn bearable(&self, members: usize) -> usize {
        members.saturating_sub(percent(members, self.healthy_share.into()))
    }

    pub(super) fn waves(&self) -> usize {
        self.shares.len().max(1)
    }
}

/// A share of a whole, rounded up.
pub(super) fn percent(whole: usize, percent: usize) -> usize {
    (whole * percent).div_ceil(100).min(whole)
}
