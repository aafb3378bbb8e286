//! How subscriptions end.

use super::{
    super::{
        engine::Engine,
        error::Error,
        invoice::{Invoice, InvoiceState, Purpose},
        schedule::ScheduleState,
    },
    Cancellation, Status, Subscription,
};

impl Engine {
    /// Ends a subscription at once.
    pub fn cancel(&mut self, id: &str, cancellation: Cancellation) -> Result<(), Error> {
        let row = self.find::<Subscription>(id)?;
        if !row.status.is_live() {
            return Err(Error { status: 404, ..Error::no_such("subscription", id) });
        }
        let now = self.now();
        self.edit(id, |row: &mut Subscription| {
            row.cancellation = cancellation;
            row.canceled_at = Some(now);
        })?;
        if row.status == Status::Incomplete {
            let invoice = row.latest_invoice.as_deref().unwrap_or_default();
            return self.give_up(invoice);
        }
        self.end(id, Some("cancellation_requested"))
    }

    /// Keeps what a customer says of the end of their subscription.
    pub(in super::super) fn explain_cancellation(
        &mut self,
        id: &str,
        details: Cancellation,
    ) -> Result<(), Error> {
        self.change("customer.subscription.updated", id, |row: &mut Subscription| {
            row.cancellation = Cancellation { reason: row.cancellation.reason, ..details };
        })?;
        Ok(())
    }

    /// The end of a subscription; a reason that is known already stays.
    pub(in super::super) fn end(
        &mut self,
        id: &str,
        reason: Option<&'static str>,
    ) -> Result<(), Error> {
        let now = self.now();
        let before = self.find::<Subscription>(id)?;
        let row = self.edit(id, |row: &mut Subscription| {
            row.status = Status::Canceled;
            row.canceled_at.get_or_insert(now);
            row.ended_at = Some(now);
            row.cancellation.reason = row.cancellation.reason.or(reason);
            row.schedule = None;
            row.pending_update = None;
        })?;
        self.tell("customer.subscription.deleted", &row);
        if let Some(schedule) = &before.schedule {
            self.end_schedule(schedule, ScheduleState::Canceled(now))?;
        }
        if let Some(update) = &before.pending_update {
            self.void(&update.invoice)?;
        }
        self.stop_collecting(id)
    }

    /// The task of an invoice that must be paid within a day or not at all.
    pub(in super::super) fn give_up(&mut self, id: &str) -> Result<(), Error> {
        let invoice = self.find::<Invoice>(id)?;
        if invoice.state != InvoiceState::Open {
            return Ok(());
        }
        self.void(id)?;
        let now = self.now();
        match invoice.purpose {
            Purpose::Resumption => Ok(()),
            Purpose::Update => self.drop_pending(&invoice.subscription, id),
            Purpose::Service => {
                let kind = "customer.subscription.updated";
                self.change(kind, &invoice.subscription, |row: &mut Subscription| {
                    row.status = Status::IncompleteExpired;
                    row.ended_at = Some(now);
                })?;
                Ok(())
            }
        }
    }
}
