//! Who is in which wave.

use std::cmp::Reverse;

use oc_store::rollouts::Rollout;
use sha2::{Digest as _, Sha256};

use super::{Member, Policy, policy::percent};

/// The fleet in the order of a rollout, and how much of it each wave takes.
pub(super) struct Waves<'a> {
    rollout: &'a Rollout,
    /// Those that run, then the suspended.
    pub(super) order: Vec<&'a Member>,
    /// How many run.
    pub(super) running: usize,
    /// How many of the order have the revision after each wave: never fewer than before.
    pub(super) sizes: Vec<usize>,
}

/// The order of those that run beside the canaries. What a wave has updated stays in it, and who is
/// sick already shows nothing, so it comes late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Updated,
    Well,
    Other,
    Suspended,
}

impl<'a> Waves<'a> {
    pub(super) fn new(rollout: &'a Rollout, fleet: &'a [Member], policy: &Policy) -> Self {
        // One that is sick, or that has joined by itself, would prove nothing.
        let named = |one: &Member| policy.canaries.contains(&one.id);
        let canary = |one: &Member| named(one) && class(one, rollout) <= Class::Well;
        let key =
            |one: &Member| (Reverse(canary(one)), class(one, rollout), lot(one, &rollout.revision));
        let mut order: Vec<&Member> = fleet.iter().collect();
        order.sort_by_cached_key(|one| key(one));
        let running = order.iter().filter(|one| one.runs()).count();
        let canaries = order.iter().filter(|one| canary(one)).count();
        let mut sizes = Vec::new();
        let mut before = canaries;
        for share in policy.shares.iter().take(policy.waves() - 1) {
            let named = sizes.is_empty() && canaries > 0;
            let size = if named { canaries } else { percent(running, (*share).into()) };
            before = size.max(before);
            sizes.push(before);
        }
        sizes.push(order.len());
        Self { rollout, order, running, sizes }
    }

    /// Those that should have the revision after `wave`, and those that have it by an earlier size.
    pub(super) fn members(&self, wave: usize) -> impl Iterator<Item = &'a Member> {
        let size = self.size(wave);
        let member = move |(index, one): &(usize, &Member)| {
            *index < size || class(one, self.rollout) == Class::Updated
        };
        self.order.iter().copied().enumerate().filter(member).map(|(_, one)| one)
    }

    /// The next wave that has more members; none after the last.
    pub(super) fn after(&self, wave: usize) -> Option<usize> {
        let size = self.size(wave);
        (wave + 1..self.sizes.len()).find(|next| self.size(*next) > size)
    }

    fn size(&self, wave: usize) -> usize {
        self.sizes.get(wave).copied().unwrap_or(self.order.len())
    }
}

fn class(member: &Member, rollout: &Rollout) -> Class {
    if !member.runs() {
        Class::Suspended
    } else if !member.counts(&rollout.revision, rollout.started_at) {
        Class::Other
    } else if member.has(&rollout.revision) {
        Class::Updated
    } else {
        Class::Well
    }
}

/// Another order for each revision, so that it is not always the same who go first.
fn lot(member: &Member, revision: &str) -> [u8; 32] {
    let hash = Sha256::new().chain_update(revision).chain_update([0]);
    hash.chain_update(member.id.as_str()).finalize().into()
}
