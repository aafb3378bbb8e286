//! A fleet that restarts a pod where a revision is applied, and an operator that remembers nothing.

use super::*;

/// A tenant as the world has it, of which the operator sees [`Simulated::member`].
#[derive(Clone, Debug)]
pub(super) struct Simulated {
    pub(super) member: Member,
    /// How long its pod takes to be ready, in milliseconds; never where it is sick.
    pub(super) boot: i64,
    pub(super) nature: Nature,
    /// When its pod will be ready.
    ready_at: Option<Timestamp>,
    /// A wave restarted it, and it has not been ready since.
    pub(super) down_by_wave: bool,
    pub(super) touched_by_wave: bool,
}

/// On which revisions a tenant's pod gets ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    Sound,
    BreaksOnTheNew,
    Sick,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) fleet: Vec<Simulated>,
    pub(super) rollout: Rollout,
    pub(super) policy: Policy,
    pub(super) now: Timestamp,
}

impl Simulated {
    pub(super) fn new(member: Member, boot: i64, nature: Nature) -> Self {
        Self { member, boot, nature, ready_at: None, down_by_wave: false, touched_by_wave: false }
    }

    pub(super) fn has(&self, revision: &str) -> bool {
        self.member.applied.as_ref().is_some_and(|applied| applied.revision == revision)
    }

    /// Applies a revision; the pod starts anew.
    pub(super) fn apply(&mut self, revision: &str, now: Timestamp) {
        if !self.has(revision) {
            self.member.applied = Some(Applied { revision: revision.to_owned(), at: now });
        }
        if self.member.health != Health::Suspended {
            self.restart(revision, now);
        }
    }

    pub(super) fn restart(&mut self, revision: &str, now: Timestamp) {
        if !matches!(self.member.health, Health::Unready { .. }) {
            // A status has whole seconds.
            let since = Timestamp::from_second(now.as_second()).unwrap();
            self.member.health = Health::Unready { since, reason: "NotReady".to_owned() };
        }
        let stays_down = match self.nature {
            Nature::Sound => false,
            Nature::BreaksOnTheNew => revision == NEW,
            Nature::Sick => true,
        };
        self.ready_at = (!stays_down).then(|| now + SignedDuration::from_millis(self.boot));
    }

    pub(super) fn suspend(&mut self) {
        (self.member.health, self.ready_at, self.down_by_wave) = (Health::Suspended, None, false);
    }

    fn pass(&mut self, now: Timestamp) {
        if self.ready_at.is_some_and(|at| at <= now) {
            let since = Timestamp::from_second(now.as_second()).unwrap();
            (self.ready_at, self.down_by_wave) = (None, false);
            self.member.health = Health::Ready { since };
        }
    }
}

impl World {
    pub(super) fn members(&self) -> Vec<Member> {
        self.fleet.iter().map(|one| one.member.clone()).collect()
    }

    pub(super) fn plan(&self) -> Plan {
        plan(&self.rollout, &self.members(), &self.policy, self.now)
    }

    pub(super) fn pass(&mut self, milliseconds: i64) {
        self.now += SignedDuration::from_millis(milliseconds);
        let now = self.now;
        self.fleet.iter_mut().for_each(|one| one.pass(now));
    }

    /// Does what the plan says to the first `most` of each list: then the operator is killed.
    pub(super) fn obey(&mut self, plan: &Plan, most: usize) {
        if let Some(next) = &plan.next {
            let moved = next.wave != self.rollout.wave;
            (self.rollout.status, self.rollout.wave) = (next.status, next.wave);
            self.rollout.reason.clone_from(&next.reason);
            self.rollout.wave_since = if moved { self.now } else { self.rollout.wave_since };
            self.rollout.ended_at = next.status.has_ended().then_some(self.now);
        }
        let lists = [(&plan.admit, NEW), (&plan.rollback, OLD)];
        for (id, revision) in
            lists.into_iter().flat_map(|(list, to)| list.iter().take(most).map(move |id| (id, to)))
        {
            let now = self.now;
            let one = self.fleet.iter_mut().find(|one| one.member.id == *id).unwrap();
            one.apply(revision, now);
            if !one.member.joined {
                one.touched_by_wave |= revision == NEW;
                // One that was sick before is not down for the update.
                let by_update = one.member.unready_by_update().is_some();
                one.down_by_wave = by_update && one.member.health != Health::Suspended;
            }
        }
    }

    pub(super) fn down_by_wave(&self) -> usize {
        let down = |one: &&Simulated| one.down_by_wave && !one.member.joined;
        self.fleet.iter().filter(down).count()
    }

    pub(super) fn parallel(&self) -> usize {
        self.policy.parallel(self.fleet.iter().filter(|one| one.member.runs()).count())
    }

    /// Until when something happens by itself, in milliseconds.
    pub(super) fn quiet_for(&self, plan: &Plan) -> Option<i64> {
        let boots = self.fleet.iter().filter_map(|one| one.ready_at);
        let next = boots.chain(plan.recheck_at).min()?;
        Some(i64::try_from(next.duration_since(self.now).as_millis()).unwrap().max(1))
    }
}
