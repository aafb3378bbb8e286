//! What falls due when.

use super::{Engine, Error, Id};

/// Something that happens at its time unless its object has changed since.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Task {
    /// A phase of a schedule is over: before the renewal at the same second.
    Phase(Id),
    /// A period of a subscription is over.
    Cycle(Id),
    /// The trial of a subscription ends in three days.
    TrialWillEnd(Id),
    /// A draft is finalised and collected.
    Finalize(Id),
    /// An open invoice is tried again.
    Retry(Id),
    /// An invoice that nobody has paid in time is voided.
    GiveUp(Id),
    /// A checkout session expires.
    Expire(Id),
}

/// Of two that fall due together, the renewal of a subscription comes before what else there is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    at: i64,
    rank: u8,
    order: u64,
    task: Task,
}

impl Engine {
    /// Lets the time pass: all that falls due until then happens at its moment, in order. A moment
    /// that is over already changes nothing.
    pub fn advance_to(&mut self, at: i64) {
        let request = self.request.take();
        while self.agenda.first().is_some_and(|due| due.at <= at) {
            let Some(due) = self.agenda.pop_first() else { break };
            self.now = self.now.max(due.at);
            // A task whose object is gone or has changed has nothing to do.
            let _ = self.run(&due.task);
        }
        self.now = self.now.max(at);
        self.request = request;
    }

    /// When something happens next if nobody does anything, in seconds after 1970.
    pub fn next_due(&self) -> Option<i64> {
        self.agenda.first().map(|due| due.at)
    }

    pub(in super::super) fn plan(&mut self, at: i64, task: Task) {
        let rank = match task {
            Task::Phase(_) => 0,
            Task::Cycle(_) => 1,
            _ => 2,
        };
        self.order += 1;
        self.agenda.insert(Due { at, rank, order: self.order, task });
    }

    fn run(&mut self, task: &Task) -> Result<(), Error> {
        match task {
            Task::Phase(id) => self.end_phase(id),
            Task::Cycle(id) => self.cycle(id),
            Task::TrialWillEnd(id) => self.trial_will_end(id),
            Task::Finalize(id) => self.finalize_due(id),
            Task::Retry(id) => self.retry_due(id),
            Task::GiveUp(id) => self.give_up(id),
            Task::Expire(id) => self.expire_due(id),
        }
    }
}
