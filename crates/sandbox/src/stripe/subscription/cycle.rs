//! Periods that end, trials that end, pauses.

use super::{
    super::{
        calendar::Period,
        customer::{Card, Customer},
        engine::{Engine, HOUR, Task},
        error::Error,
        invoice::{Draft, Invoice, InvoiceState, Purpose, Reason},
    },
    PATIENCE, Status, Subscription, WithoutCard,
};

impl Engine {
    /// The task at the end of a period, and at the moment that a subscription shall end.
    pub(in super::super) fn cycle(&mut self, id: &str) -> Result<(), Error> {
        let row = self.find::<Subscription>(id)?;
        let now = self.now();
        if !row.status.is_live() {
            return Ok(());
        }
        if row.cancel_at.is_some_and(|at| at <= now) {
            return self.end(id, None);
        }
        if row.period.end != now || matches!(row.status, Status::Paused | Status::Incomplete) {
            return Ok(());
        }
        let card = self.find::<Customer>(&row.customer)?.card;
        match (row.status, card, row.without_card) {
            (Status::Trialing, Card::None, WithoutCard::Cancel) => self.end(id, None),
            (Status::Trialing, Card::None, WithoutCard::Pause) => {
                self.set_status(id, Status::Paused)?;
                let row = self.find::<Subscription>(id)?;
                self.tell("customer.subscription.paused", &row);
                Ok(())
            }
            _ => self.renew(&row),
        }
    }

    /// The next period, and the draft of its invoice.
    fn renew(&mut self, row: &Subscription) -> Result<(), Error> {
        let now = self.now();
        let end = row.item.price.cadence.next(row.anchor, now);
        let period = Period { start: now, end };
        let mut lines = row.pending_lines.clone();
        lines.push(self.line(&row.item, row.item.amount(), period, str::to_owned));
        let invoice = self.draw("in_1", 23);
        let draft = Draft {
            id: invoice.clone(),
            reason: Reason::SubscriptionCycle,
            purpose: Purpose::Service,
            period: row.period,
            lines,
            finalizes_at: (row.status != Status::Unpaid).then_some(now + HOUR),
        };
        self.draft(row, draft)?;
        self.change("customer.subscription.updated", &row.id, |row: &mut Subscription| {
            row.period = period;
            row.pending_lines.clear();
            row.latest_invoice = Some(invoice);
            if row.status == Status::Trialing {
                row.status = Status::Active;
            }
        })?;
        self.plan(end, Task::Cycle(row.id.clone()));
        Ok(())
    }

    /// The task three days before the end of a trial.
    pub(in super::super) fn trial_will_end(&mut self, id: &str) -> Result<(), Error> {
        let row = self.find::<Subscription>(id)?;
        if row.status == Status::Trialing {
            self.tell("customer.subscription.trial_will_end", &row);
        }
        Ok(())
    }

    /// Asks for the payment that ends a pause; without it the subscription stays paused.
    pub fn resume(&mut self, id: &str) -> Result<(), Error> {
        let row = self.find::<Subscription>(id)?;
        if row.status != Status::Paused {
            return Err(Error::invalid("Only paused subscriptions can be resumed."));
        }
        let latest = row.latest_invoice.as_deref().and_then(|invoice| self.invoice(invoice));
        let open = latest.filter(|invoice| {
            invoice.purpose == Purpose::Resumption && invoice.state == InvoiceState::Open
        });
        if let Some(invoice) = open.map(|invoice| invoice.id.clone()) {
            self.collect(&invoice, false)?;
            return Ok(());
        }
        let period = self.period_from_now(&row.item.price);
        let line = self.line(&row.item, row.item.amount(), period, str::to_owned);
        let invoice = self.draw("in_1", 23);
        let draft = Draft {
            id: invoice.clone(),
            reason: Reason::SubscriptionUpdate,
            purpose: Purpose::Resumption,
            period: row.period,
            lines: vec![line],
            finalizes_at: None,
        };
        self.draft(&row, draft)?;
        self.change("customer.subscription.updated", id, |row: &mut Subscription| {
            row.latest_invoice = Some(invoice.clone());
        })?;
        self.finalize(&invoice)?;
        self.plan(self.now() + PATIENCE, Task::GiveUp(invoice.clone()));
        self.collect(&invoice, false)?;
        Ok(())
    }

    /// A resumption was paid: its period begins.
    pub(super) fn resumed(&mut self, id: &str, invoice: &Invoice) -> Result<(), Error> {
        let Some(period) = invoice.lines.first().map(|line| line.period) else { return Ok(()) };
        let row = self.change("customer.subscription.updated", id, |row: &mut Subscription| {
            row.status = Status::Active;
            row.period = period;
            row.anchor = period.start;
        })?;
        self.tell("customer.subscription.resumed", &row);
        self.plan(period.end, Task::Cycle(id.into()));
        Ok(())
    }
}
