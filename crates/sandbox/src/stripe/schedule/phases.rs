//! Phases: what they may be, and how one follows the other.

use std::sync::Arc;

use super::{
    super::{
        calendar::Cadence,
        catalog::Price,
        engine::{Engine, Task},
        error::Error,
        id::merge,
        subscription::{Behavior, Item, Proration, Subscription},
    },
    AtEnd, NewPhase, Phase, PhaseEnd, Schedule, ScheduleState,
};

impl Engine {
    pub(super) fn phases(
        &self,
        schedule: &Schedule,
        new: Vec<NewPhase>,
    ) -> Result<Vec<Phase>, Error> {
        let mut phases: Vec<Phase> = Vec::new();
        let began = schedule.phases.get(schedule.current).map(|phase| phase.start);
        for (place, phase) in new.into_iter().enumerate() {
            let name = |field: &str| format!("phases[{place}][{field}]");
            let invalid =
                |field: &str, text: &str| Error::parameter(&name(field), "parameter_invalid", text);
            let before = phases.last().map(|phase| phase.end);
            let start = phase.start.or(before).or(began).unwrap_or(self.now());
            if before.is_some_and(|end| end != start) {
                return Err(invalid("start_date", "Phases must follow each other without a gap."));
            }
            if before.is_none() && began.is_some_and(|began| began != start) {
                return Err(invalid(
                    "start_date",
                    "You can not modify the start date of the current phase.",
                ));
            }
            let price = self.find::<Price>(&phase.price);
            let price = price.map_err(|error| error.of(&name("items][0][price")))?;
            let end = match phase.end {
                PhaseEnd::At(end) => end,
                PhaseEnd::After(duration) => duration.next(start, start),
                PhaseEnd::Periods(count) => {
                    let count = price.cadence.count.saturating_mul(count.max(1));
                    Cadence { count, ..price.cadence }.next(start, start)
                }
            };
            if end <= start {
                return Err(invalid("end_date", "A phase must end after it starts."));
            }
            let NewPhase { quantity, proration, metadata, .. } = phase;
            phases.push(Phase { start, end, price, quantity, proration, metadata });
        }
        Ok(phases)
    }

    /// The task at the end of a phase.
    pub(in super::super) fn end_phase(&mut self, id: &str) -> Result<(), Error> {
        let schedule = self.find::<Schedule>(id)?;
        let over = schedule.phases.get(schedule.current).is_some_and(|one| one.end == self.now());
        if schedule.state != ScheduleState::Active || !over {
            return Ok(());
        }
        let Some(phase) = schedule.phases.get(schedule.current + 1) else {
            return match schedule.at_end {
                AtEnd::Release => self.release_schedule(id),
                AtEnd::Cancel => self.end(&schedule.subscription, None),
            };
        };
        self.change("subscription_schedule.updated", id, |schedule: &mut Schedule| {
            schedule.current += 1;
        })?;
        self.plan(phase.end, Task::Phase(id.into()));
        self.enter(&schedule.subscription, phase, phase.proration)
    }

    /// Orders what a phase says. Where a period ends as well there is nothing to prorate, and the
    /// renewal that follows bills the new price.
    pub(super) fn enter(
        &mut self,
        id: &str,
        phase: &Phase,
        proration: Proration,
    ) -> Result<(), Error> {
        let row = self.find::<Subscription>(id)?;
        let price = Arc::clone(&phase.price);
        let item = Item { price, quantity: phase.quantity, ..row.item.clone() };
        if row.period.end == self.now() {
            let now = self.now();
            self.change("customer.subscription.updated", id, |row: &mut Subscription| {
                if row.item.price.cadence != item.price.cadence {
                    row.anchor = now;
                }
                row.item = item;
                merge(&mut row.metadata, &phase.metadata);
            })?;
            return Ok(());
        }
        if !phase.metadata.is_empty() {
            self.annotate(id, &phase.metadata)?;
        }
        if item == row.item {
            return Ok(());
        }
        self.order_item(&row, item, proration, Behavior::AllowIncomplete, None)
    }
}
