//! What to do next.

use jiff::Timestamp;
use oc_domain::TenantId;
use oc_store::rollouts::{Rollout, Status};

use super::{Member, Policy, waves::Waves};
use crate::health::Dial;

/// So many of those that failed are named in a reason.
const NAMED: usize = 5;

/// What to do now. It replaces every earlier plan: what that one admitted and this one does not is
/// not to be begun any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Who gets the revision now.
    pub admit: Vec<TenantId>,
    /// Who goes back to its stored rendering now.
    pub rollback: Vec<TenantId>,
    /// What becomes of the rollout.
    pub next: Option<Next>,
    /// When to ask again though nothing has changed: after now, and before the answer changes.
    pub recheck_at: Option<Timestamp>,
}

/// What becomes of a rollout, to be written if it is still as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// Its status.
    pub status: Status,
    /// Its wave.
    pub wave: u32,
    /// Why, for people.
    pub reason: Option<String>,
}

/// Says what to do, of a rollout and the whole fleet.
///
/// - At most `parallel` tenants, as the [`Policy`] has it, are unready by their update at once; those
///   that are new or whose own spec changed are admitted beside that, and suspended ones in the last
///   wave.
/// - A wave ends when all of it have the revision and enough of it have been ready for the soak.
/// - It is rolled back when more have failed than may, when those that failed are so many that no
///   other can be updated, or when a wave does not stay healthy.
pub fn plan(rollout: &Rollout, fleet: &[Member], policy: &Policy, now: Timestamp) -> Plan {
    let mut dial = Dial::new(now);
    let waves = Waves::new(rollout, fleet, policy);
    let view = View { rollout, policy, waves: &waves };
    let mut plan = Plan { admit: view.joining(), ..Plan::default() };
    match rollout.status {
        Status::Running => {
            plan.next = view.next(&mut dial);
            if plan.next.is_none() {
                plan.admit.extend(view.admitted());
            }
        }
        Status::Paused => {}
        Status::Done => plan.admit.extend(view.admitted()),
        Status::RolledBack | Status::Aborted => plan.rollback = view.rolled_back(&mut dial),
    }
    plan.recheck_at = dial.next();
    plan
}

struct View<'a> {
    rollout: &'a Rollout,
    policy: &'a Policy,
    waves: &'a Waves<'a>,
}

impl<'a> View<'a> {
    /// Those that the running binary alone can render.
    fn joining(&self) -> Vec<TenantId> {
        let joins = |one: &&&Member| self.lacks(one) && at_once(one);
        self.waves.order.iter().filter(joins).map(|one| one.id.clone()).collect()
    }

    fn lacks(&self, member: &Member) -> bool {
        !member.has(&self.rollout.revision)
    }

    fn members(&self) -> impl Iterator<Item = &'a Member> {
        let wave = if self.rollout.status == Status::Done { usize::MAX } else { self.wave() };
        self.waves.members(wave)
    }

    fn wave(&self) -> usize {
        usize::try_from(self.rollout.wave).unwrap_or(usize::MAX)
    }

    /// Who of the wave is updated now: as many as may be unready beside those that are.
    fn admitted(&self) -> Vec<TenantId> {
        let all = self.waves.order.iter();
        let unready = all.filter(|one| !self.lacks(one) && !one.joined);
        let unready = unready.filter(|one| one.unready_by_update().is_some()).count();
        let room = self.policy.parallel(self.waves.running).saturating_sub(unready);
        let waits = |one: &&Member| self.lacks(one) && !at_once(one);
        let (running, resting): (Vec<_>, Vec<_>) =
            self.members().filter(waits).partition(|one| one.runs());
        // Those that cannot be updated shall not keep the others from it.
        let (refused, running): (Vec<_>, Vec<_>) =
            running.into_iter().partition(|one| one.refused.is_some());
        let admitted = running.into_iter().chain(refused).take(room).chain(resting);
        admitted.map(|one| one.id.clone()).collect()
    }

    /// Who goes back now, those that suffer first.
    fn rolled_back(&self, dial: &mut Dial) -> Vec<TenantId> {
        let back = self.rollout.ended_at.unwrap_or(self.rollout.wave_since);
        let mut unready = 0;
        for one in self.waves.order.iter().filter(|one| self.lacks(one) && !at_once(one)) {
            let late = one.applied.as_ref().filter(|applied| applied.at >= back);
            // One that stays unready was not well before the rollout: it shall not stop the others.
            let since = late.and_then(|_| one.unready_by_update());
            unready +=
                usize::from(since.is_some_and(|at| !dial.reached(at + self.policy.patience)));
        }
        let room = self.policy.parallel(self.waves.running).saturating_sub(unready);
        let all = self.waves.order.iter().copied();
        let mut bad: Vec<&Member> = all.filter(|one| !self.lacks(one) && !one.joined).collect();
        bad.sort_by_key(|one| one.ready_since().is_some());
        let (running, resting): (Vec<&Member>, Vec<&Member>) =
            bad.into_iter().partition(|one| one.runs());
        running.into_iter().take(room).chain(resting).map(|one| one.id.clone()).collect()
    }

    fn next(&self, dial: &mut Dial) -> Option<Next> {
        self.stop(dial).or_else(|| self.advance(dial))
    }

    /// Whether too many have failed.
    fn stop(&self, dial: &mut Dial) -> Option<Next> {
        let (mut failed, mut stuck) = (Vec::new(), 0);
        for one in self.members() {
            if let Some(reason) = self.failed(one, dial) {
                failed.push(format!("{} ({reason})", one.id));
                stuck += usize::from(!self.lacks(one));
            }
        }
        let counted = self.members().filter(|one| self.is_counted(one)).count();
        let too_many = failed.len() > self.policy.bearable(counted);
        let no_room = stuck >= self.policy.parallel(self.waves.running);
        (too_many || no_room).then(|| {
            let count = failed.len();
            failed.truncate(NAMED);
            let more = if count > NAMED { ", …" } else { "" };
            self.give_up(&format!("{count} of {counted} failed: {}{more}", failed.join(", ")))
        })
    }

    fn give_up(&self, what: &str) -> Next {
        let (wave, waves) = (self.wave() + 1, self.waves.sizes.len());
        let reason = Some(format!("wave {wave} of {waves}: {what}"));
        Next { status: Status::RolledBack, wave: self.rollout.wave, reason }
    }

    /// The end of the wave, or of a wave that does not come right.
    fn advance(&self, dial: &mut Dial) -> Option<Next> {
        if self.members().any(|one| self.waits_for(one, dial)) {
            return None;
        }
        let counted: Vec<&Member> = self.members().filter(|one| self.is_counted(one)).collect();
        if counted.is_empty() {
            return Some(self.after());
        }
        let applied = counted.iter().filter_map(|one| one.applied.as_ref()).map(|it| it.at);
        let applied = applied.fold(self.rollout.wave_since, Timestamp::max);
        if let Some(since) = self.healthy_since(&counted)
            && dial.reached(since.max(applied) + self.policy.soak)
        {
            return Some(self.after());
        }
        let over = dial.reached(applied + self.policy.patience + self.policy.soak);
        over.then(|| self.give_up("it does not stay healthy"))
    }

    /// Whether the wave is not through without it: not for who comes by itself, nor for whom the
    /// revision has been refused for long.
    fn waits_for(&self, member: &Member, dial: &mut Dial) -> bool {
        self.lacks(member)
            && !at_once(member)
            && member.refused.as_ref().is_none_or(|refused| {
                refused.since >= self.rollout.started_at
                    && !dial.reached(refused.since + self.policy.patience)
            })
    }

    /// Since when enough of these have been ready without a break.
    fn healthy_since(&self, counted: &[&Member]) -> Option<Timestamp> {
        let mut ready: Vec<Timestamp> = counted
            .iter()
            .filter(|one| !self.lacks(one))
            .filter_map(|one| one.ready_since())
            .collect();
        ready.sort_unstable();
        let needed = counted.len() - self.policy.bearable(counted.len());
        ready.get(needed.checked_sub(1)?).copied()
    }

    fn after(&self) -> Next {
        let wave = self.waves.after(self.wave()).and_then(|wave| u32::try_from(wave).ok());
        let status = if wave.is_some() { Status::Running } else { Status::Done };
        Next { status, wave: wave.unwrap_or(self.rollout.wave), reason: None }
    }

    fn failed(&self, member: &'a Member, dial: &mut Dial) -> Option<&'a str> {
        let Rollout { revision, started_at, .. } = self.rollout;
        let (at, reason) = member.fails_at(revision, *started_at, self.policy.patience)?;
        dial.reached(at).then_some(reason)
    }

    fn is_counted(&self, member: &Member) -> bool {
        member.counts(&self.rollout.revision, self.rollout.started_at)
    }
}

/// A new tenant, or one with a spec that no stored rendering fits.
fn at_once(member: &Member) -> bool {
    member.joined || member.applied.is_none()
}
