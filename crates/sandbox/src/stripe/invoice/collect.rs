//! How invoices are collected.

use super::super::{
    customer::{Card, Customer},
    engine::{Engine, Task},
    error::Error,
    id::Id,
    invoice::{Invoice, InvoiceState, Purpose, Reason},
};

impl Engine {
    /// Pays an invoice now, a draft included, whatever the schedule of retries says.
    pub fn pay_invoice(&mut self, id: &str) -> Result<(), Error> {
        let invoice = self.find::<Invoice>(id)?;
        let message = match invoice.state {
            InvoiceState::Draft => {
                self.finalize(id)?;
                return self.pay_open(id);
            }
            InvoiceState::Open => return self.pay_open(id),
            InvoiceState::Paid => "Invoice is already paid",
            InvoiceState::Void => "Invoice is void and cannot be paid",
        };
        let code = Some("invoice_not_editable");
        Err(Error { code, ..Error::invalid(message) })
    }

    fn pay_open(&mut self, id: &str) -> Result<(), Error> {
        let invoice = self.find::<Invoice>(id)?;
        let card = self.find::<Customer>(&invoice.customer)?.card;
        if self.collect(id, false)? {
            return Ok(());
        }
        Err(match card {
            Card::None => Error::invalid(
                "There is no default payment method set on this Customer or Invoice. Please set a \
                 default payment method",
            ),
            Card::Works | Card::Declines => Error::declined(),
        })
    }

    /// Tries to take the money for an open invoice; says whether it is paid.
    pub(in super::super) fn collect(&mut self, id: &str, automatic: bool) -> Result<bool, Error> {
        let invoice = self.find::<Invoice>(id)?;
        let (InvoiceState::Open, Some(intent)) = (invoice.state, &invoice.intent) else {
            return Ok(invoice.state == InvoiceState::Paid);
        };
        let paid = self.charge_intent(intent)?;
        // Any first attempt counts; later ones only if the schedule made them.
        let counts = automatic || invoice.attempts == 0;
        let now = self.now();
        self.edit(id, |invoice: &mut Invoice| {
            invoice.attempts += u32::from(counts);
            invoice.attempted = true;
            invoice.first_attempt.get_or_insert(now);
        })?;
        if paid {
            self.settle(id, true)?;
        } else {
            self.attempt_failed(id, counts)?;
        }
        Ok(paid)
    }

    /// An invoice is paid, by a charge or because nothing was to pay.
    pub(super) fn settle(&mut self, id: &str, charged: bool) -> Result<(), Error> {
        let now = self.now();
        let invoice = self.edit(id, |invoice: &mut Invoice| {
            invoice.state = InvoiceState::Paid;
            invoice.attempted = true;
            invoice.advances = false;
            invoice.next_attempt = None;
            invoice.paid = invoice.due;
            invoice.paid_at = Some(now);
        })?;
        if charged {
            self.end_payment(&invoice, true)?;
            self.change("customer.updated", &invoice.customer, |customer: &mut Customer| {
                customer.delinquent = false;
            })?;
        }
        self.tell("invoice.paid", &invoice);
        self.tell("invoice.payment_succeeded", &invoice);
        self.invoice_paid(&invoice)
    }

    fn attempt_failed(&mut self, id: &str, counts: bool) -> Result<(), Error> {
        let invoice = self.find::<Invoice>(id)?;
        let next = if counts { self.next_attempt(&invoice) } else { invoice.next_attempt };
        let invoice = self.change("invoice.updated", id, |invoice: &mut Invoice| {
            invoice.next_attempt = next;
            invoice.advances = next.is_some();
        })?;
        if let (true, Some(at)) = (counts, next) {
            self.plan(at, Task::Retry(id.into()));
        }
        self.tell("invoice.payment_failed", &invoice);
        self.change("customer.updated", &invoice.customer, |customer: &mut Customer| {
            customer.delinquent = true;
        })?;
        self.invoice_failed(&invoice)
    }

    /// When the schedule tries an invoice again.
    fn next_attempt(&self, invoice: &Invoice) -> Option<i64> {
        let first = invoice.first_attempt?;
        let made = usize::try_from(invoice.attempts).ok()?;
        let after = self.settings.retries.get(made.checked_sub(1)?)?;
        let live = self.subscription(&invoice.subscription)?.status.is_live();
        let renewal = invoice.reason != Reason::SubscriptionCreate;
        let retried = live && renewal && invoice.purpose == Purpose::Service;
        // A moment of the schedule that is over is made up for at once.
        retried.then_some(first.saturating_add(*after).max(self.now() + 1))
    }

    /// The task of an open invoice.
    pub(in super::super) fn retry_due(&mut self, id: &str) -> Result<(), Error> {
        let invoice = self.find::<Invoice>(id)?;
        if invoice.state == InvoiceState::Open && invoice.next_attempt == Some(self.now()) {
            self.collect(id, true)?;
        }
        Ok(())
    }

    /// An open invoice or a draft that nobody will pay.
    pub(in super::super) fn void(&mut self, id: &str) -> Result<(), Error> {
        let invoice = self.find::<Invoice>(id)?;
        self.end_payment(&invoice, false)?;
        let now = self.now();
        let invoice = self.edit(id, |invoice: &mut Invoice| {
            invoice.state = InvoiceState::Void;
            invoice.advances = false;
            invoice.next_attempt = None;
            invoice.voided_at = Some(now);
        })?;
        self.tell("invoice.voided", &invoice);
        Ok(())
    }

    /// The subscription is gone: what it left unpaid is not collected by itself any more.
    pub(in super::super) fn stop_collecting(&mut self, subscription: &str) -> Result<(), Error> {
        let unpaid: Vec<Id> = self
            .invoices()
            .filter(|invoice| &*invoice.subscription == subscription && invoice.advances)
            .filter(|invoice| matches!(invoice.state, InvoiceState::Draft | InvoiceState::Open))
            .map(|invoice| invoice.id.clone())
            .collect();
        for id in unpaid {
            self.change("invoice.updated", &id, |invoice: &mut Invoice| {
                invoice.advances = false;
                invoice.next_attempt = None;
                invoice.finalizes_at = None;
            })?;
        }
        Ok(())
    }
}
