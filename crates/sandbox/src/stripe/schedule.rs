//! Subscription schedules: what a subscription will order later.

use std::{collections::BTreeMap, sync::Arc};

use strum::EnumString;

use super::{
    calendar::Cadence,
    catalog::Price,
    engine::{Engine, Task},
    error::Error,
    id::{Id, Metadata, merge},
    subscription::{Proration, Status, Subscription},
};

mod phases;

/// What a subscription orders when.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// `sub_sched_`.
    pub id: Id,
    /// In seconds after 1970.
    pub created: i64,
    /// Who pays.
    pub customer: Id,
    /// What it directs, or directed.
    pub subscription: Id,
    /// How it stands.
    pub state: ScheduleState,
    /// One after the other, without gaps.
    pub phases: Vec<Phase>,
    /// Which of them it is in.
    pub current: usize,
    /// What happens after the last.
    pub at_end: AtEnd,
    /// What the caller attached.
    pub metadata: Metadata,
}

/// How a schedule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleState {
    /// It directs its subscription.
    Active,
    /// It let go of it at this moment, in seconds after 1970.
    Released(i64),
    /// The subscription ended at this moment, in seconds after 1970.
    Canceled(i64),
}

/// A stretch of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// In seconds after 1970.
    pub start: i64,
    /// In seconds after 1970.
    pub end: i64,
    /// What is ordered then.
    pub price: Arc<Price>,
    /// Units.
    pub quantity: u32,
    /// How a change within a period is billed.
    pub proration: Proration,
    /// What is attached to the subscription when the phase begins.
    pub metadata: BTreeMap<String, String>,
}

/// What happens after the last phase: the `end_behavior` of the JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum AtEnd {
    /// The subscription goes on alone.
    #[default]
    Release,
    /// It ends.
    Cancel,
}

/// A phase to be.
#[derive(Clone, Debug)]
pub struct NewPhase {
    /// Its start in seconds after 1970; the end of the one before if absent.
    pub start: Option<i64>,
    /// Its end.
    pub end: PhaseEnd,
    /// What is ordered then.
    pub price: Id,
    /// Units.
    pub quantity: u32,
    /// How a change within a period is billed.
    pub proration: Proration,
    /// What is attached to the subscription when the phase begins.
    pub metadata: BTreeMap<String, String>,
}

/// When a phase ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseEnd {
    /// At a moment, in seconds after 1970.
    At(i64),
    /// After so long.
    After(Cadence),
    /// After so many periods of its price.
    Periods(u32),
}

impl Engine {
    /// A schedule of one phase: what the subscription orders now, until its period ends.
    pub fn schedule_from(&mut self, subscription: &str) -> Result<Id, Error> {
        let row = self.find::<Subscription>(subscription);
        let row = row.map_err(|error| error.of("from_subscription"))?;
        if let Some(schedule) = &row.schedule {
            return Err(Error::parameter(
                "from_subscription",
                "resource_already_exists",
                format!(
                    "You cannot migrate a subscription that is already attached to a schedule: \
                     {schedule}"
                ),
            ));
        }
        let begun = row.status.is_live() && row.status != Status::Incomplete;
        if !begun || row.period.end <= self.now() {
            let message = "You cannot migrate a subscription that is not running.";
            return Err(Error::invalid(message));
        }
        let id = self.draw("sub_sched_1", 23);
        let phase = Phase {
            start: row.period.start,
            end: row.period.end,
            price: Arc::clone(&row.item.price),
            quantity: row.item.quantity,
            proration: Proration::default(),
            metadata: BTreeMap::new(),
        };
        self.plan(phase.end, Task::Phase(id.clone()));
        let schedule = Schedule {
            id: id.clone(),
            created: self.now(),
            customer: row.customer.clone(),
            subscription: row.id.clone(),
            state: ScheduleState::Active,
            phases: vec![phase],
            current: 0,
            at_end: AtEnd::default(),
            metadata: Metadata::default(),
        };
        self.create("subscription_schedule.created", schedule);
        self.change("customer.subscription.updated", subscription, |row: &mut Subscription| {
            row.schedule = Some(id.clone());
        })?;
        Ok(id)
    }

    /// Changes the phases and what follows them; the phase of this moment is changed with
    /// `proration`.
    pub fn update_schedule(
        &mut self,
        id: &str,
        phases: Option<Vec<NewPhase>>,
        at_end: Option<AtEnd>,
        proration: Proration,
    ) -> Result<(), Error> {
        let schedule = self.active_schedule(id, "update")?;
        let phases = match phases {
            Some(phases) => self.phases(&schedule, phases)?,
            None => schedule.phases.clone(),
        };
        let now = self.now();
        let current = phases.iter().position(|phase| phase.end > now);
        let Some(phase) = current.and_then(|current| phases.get(current)).cloned() else {
            return Err(Error::parameter("phases", "parameter_invalid", "The last phase is over."));
        };
        self.change("subscription_schedule.updated", id, |schedule: &mut Schedule| {
            schedule.phases = phases;
            schedule.current = current.unwrap_or_default();
            schedule.at_end = at_end.unwrap_or(schedule.at_end);
        })?;
        self.plan(phase.end, Task::Phase(id.into()));
        self.enter(&schedule.subscription, &phase, proration)
    }

    /// Lets go of the subscription.
    pub fn release_schedule(&mut self, id: &str) -> Result<(), Error> {
        self.active_schedule(id, "release")?;
        self.end_schedule(id, ScheduleState::Released(self.now()))
    }

    /// Changes what is attached to a schedule.
    pub(super) fn annotate_schedule(
        &mut self,
        id: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        self.change("subscription_schedule.updated", id, |schedule: &mut Schedule| {
            merge(&mut schedule.metadata, metadata);
        })?;
        Ok(())
    }

    fn active_schedule(&self, id: &str, verb: &str) -> Result<Arc<Schedule>, Error> {
        let schedule = self.find::<Schedule>(id)?;
        if schedule.state == ScheduleState::Active {
            return Ok(schedule);
        }
        let message = format!("You cannot {verb} a subscription schedule that has ended.");
        Err(Error::invalid(message))
    }

    pub(super) fn end_schedule(&mut self, id: &str, state: ScheduleState) -> Result<(), Error> {
        let schedule = self.edit(id, |schedule: &mut Schedule| schedule.state = state)?;
        self.tell(
            match state {
                ScheduleState::Canceled(_) => "subscription_schedule.canceled",
                _ => "subscription_schedule.released",
            },
            &schedule,
        );
        let kind = "customer.subscription.updated";
        self.change(kind, &schedule.subscription, |row: &mut Subscription| {
            row.schedule.take_if(|schedule| **schedule == *id);
        })?;
        Ok(())
    }
}
