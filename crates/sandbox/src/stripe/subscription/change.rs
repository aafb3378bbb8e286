//! Changes of what a subscription orders, and of when it ends.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use strum::EnumString;

use super::{
    super::{
        calendar::{Period, share},
        catalog::Price,
        customer::{Card, Customer},
        engine::{Engine, Task},
        error::Error,
        id::Id,
        invoice::{Draft, Line, Purpose, Reason, due},
    },
    Item, PATIENCE, PendingUpdate, Status, Subscription,
};

/// What is to be changed; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// Another price.
    pub price: Option<Id>,
    /// Another number of units.
    pub quantity: Option<u32>,
    /// What becomes of the period that has begun.
    pub proration: Proration,
    /// What happens if the change costs something and is not paid.
    pub behavior: Behavior,
    /// The moment from which it is prorated, now if absent; in seconds after 1970.
    pub proration_date: Option<i64>,
    /// Whether it ends with its period.
    pub cancel_at_period_end: Option<bool>,
    /// When it ends, in seconds after 1970, or that it does not.
    pub cancel_at: Option<Option<i64>>,
    /// What is attached to it; an empty value takes its key away.
    pub metadata: BTreeMap<String, String>,
}

/// What becomes of the period that has begun when the price changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Proration {
    /// The difference is billed with the next period.
    #[default]
    CreateProrations,
    /// The difference is billed now.
    AlwaysInvoice,
    /// There is no difference.
    None,
}

/// What happens if a change costs something and is not paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Behavior {
    /// The subscription is changed and past due.
    #[default]
    AllowIncomplete,
    /// Nothing is changed, and the request is refused.
    ErrorIfIncomplete,
    /// The change waits for its payment.
    PendingIfIncomplete,
}

impl Engine {
    /// Changes a subscription.
    pub fn update_subscription(&mut self, id: &str, update: &Update) -> Result<(), Error> {
        let row = self.find::<Subscription>(id)?;
        let ends = update.cancel_at_period_end.is_some() || update.cancel_at.is_some();
        let orders = update.price.is_some() || update.quantity.is_some();
        if !row.status.is_live() && (ends || orders) {
            return Err(Error::invalid(
                "A canceled subscription can only update its cancellation_details and metadata.",
            ));
        }
        if let (true, Some(schedule)) = (ends, &row.schedule) {
            return Err(Error::invalid(format!(
                "The subscription is managed by the subscription schedule `{schedule}`, and \
                 updating any cancelation behavior directly is not allowed. Please update the \
                 schedule instead."
            )));
        }
        if orders {
            self.order(&row, update)?;
        }
        if !update.metadata.is_empty() {
            self.annotate(id, &update.metadata)?;
        }
        if ends { self.set_end(id, update) } else { Ok(()) }
    }

    fn set_end(&mut self, id: &str, update: &Update) -> Result<(), Error> {
        let now = self.now();
        let at_period_end = update.cancel_at_period_end.unwrap_or(false);
        let period_end = self.find::<Subscription>(id)?.period.end;
        let at = if at_period_end { Some(period_end) } else { update.cancel_at.flatten() };
        if at.is_some_and(|at| at <= now) {
            let message = "The subscription must end in the future.";
            return Err(Error::parameter("cancel_at", "parameter_invalid", message));
        }
        self.change("customer.subscription.updated", id, |row: &mut Subscription| {
            row.cancel_at_period_end = at_period_end;
            row.cancel_at = at;
            row.canceled_at = at.map(|_| row.canceled_at.unwrap_or(now));
            row.cancellation.reason = at.map(|_| "cancellation_requested");
        })?;
        if let Some(at) = at {
            self.plan(at, Task::Cycle(id.into()));
        }
        Ok(())
    }

    fn order(&mut self, row: &Subscription, update: &Update) -> Result<(), Error> {
        let price = match &update.price {
            Some(price) => {
                self.find::<Price>(price).map_err(|error| error.of("items[0][price]"))?
            }
            None => Arc::clone(&row.item.price),
        };
        let quantity = update.quantity.unwrap_or(row.item.quantity);
        let item = Item { price, quantity, ..row.item.clone() };
        self.order_item(row, item, update.proration, update.behavior, update.proration_date)
    }

    /// Changes what is ordered, and bills the difference.
    pub(in super::super) fn order_item(
        &mut self,
        row: &Subscription,
        item: Item,
        proration: Proration,
        behavior: Behavior,
        date: Option<i64>,
    ) -> Result<(), Error> {
        if item.price.currency != row.item.price.currency {
            let message = "The price specified is in another currency than the subscription's.";
            return Err(Error::parameter("items[0][price]", "currency_mismatch", message));
        }
        if row.status == Status::Incomplete {
            return Err(Error::invalid("The subscription's first invoice is not paid yet."));
        }
        if let Some(update) = &row.pending_update {
            self.give_up(&update.invoice)?;
        }
        let same_cadence = item.price.cadence == row.item.price.cadence;
        let billed = matches!(row.status, Status::Active | Status::PastDue) && item != row.item;
        if !billed || (same_cadence && proration == Proration::None) {
            return self.set_item(&row.id, item, Vec::new());
        }
        let lines = self.prorate(row, &item, proration, date.unwrap_or(self.now()));
        if same_cadence && proration == Proration::CreateProrations {
            return self.set_item(&row.id, item, lines);
        }
        self.order_now(row, item, lines, behavior)
    }

    /// Credit for what is left of the old order, and what the new one costs.
    fn prorate(
        &mut self,
        row: &Subscription,
        item: &Item,
        proration: Proration,
        at: i64,
    ) -> Vec<Line> {
        let whole = row.period.end - row.period.start;
        let period = Period { start: at.clamp(row.period.start, row.period.end), ..row.period };
        let left = period.end - period.start;
        let day = Timestamp::from_second(at).unwrap_or_default().strftime("%d %b %Y");
        let mut lines = Vec::new();
        if proration != Proration::None {
            let credit = -share(row.item.amount(), left, whole);
            lines.push(Line {
                proration: true,
                ..self.line(&row.item, credit, period, |what| {
                    format!("Unused time on {what} after {day}")
                })
            });
        }
        lines.push(if item.price.cadence == row.item.price.cadence {
            let cost = share(item.amount(), left, whole);
            let text = |what: &str| format!("Remaining time on {what} after {day}");
            Line { proration: true, ..self.line(item, cost, period, text) }
        } else {
            let period = self.period_from_now(&item.price);
            self.line(item, item.amount(), period, str::to_owned)
        });
        lines
    }

    /// Bills a change at once.
    fn order_now(
        &mut self,
        row: &Subscription,
        item: Item,
        lines: Vec<Line>,
        behavior: Behavior,
    ) -> Result<(), Error> {
        let customer = self.find::<Customer>(&row.customer)?;
        let total = lines.iter().map(|line| line.amount).sum();
        let fails = due(total, customer.balance).0 > 0 && customer.card != Card::Works;
        if fails && behavior == Behavior::ErrorIfIncomplete {
            return Err(Error::declined());
        }
        let waits = fails && behavior == Behavior::PendingIfIncomplete;
        let invoice = self.draw("in_1", 23);
        let draft = Draft {
            id: invoice.clone(),
            reason: Reason::SubscriptionUpdate,
            purpose: if waits { Purpose::Update } else { Purpose::Service },
            period: row.period,
            lines,
            finalizes_at: None,
        };
        self.draft(row, draft)?;
        if waits {
            let expires_at = (self.now() + PATIENCE).min(row.period.end);
            let update = PendingUpdate { item, invoice: invoice.clone(), expires_at };
            self.plan(expires_at, Task::GiveUp(invoice.clone()));
            self.change("customer.subscription.updated", &row.id, |row: &mut Subscription| {
                row.pending_update = Some(update);
                row.latest_invoice = Some(invoice.clone());
            })?;
        } else {
            self.edit(&row.id, |row: &mut Subscription| {
                row.latest_invoice = Some(invoice.clone());
            })?;
            self.set_item(&row.id, item, Vec::new())?;
        }
        self.finalize(&invoice)?;
        self.collect(&invoice, true)?;
        Ok(())
    }

    /// Puts an item in place; another cadence begins a new period.
    fn set_item(&mut self, id: &str, item: Item, lines: Vec<Line>) -> Result<(), Error> {
        let period = self.period_from_now(&item.price);
        let row = self.change("customer.subscription.updated", id, |row: &mut Subscription| {
            let begins = item.price.cadence != row.item.price.cadence
                && matches!(row.status, Status::Active | Status::PastDue);
            row.item = item;
            row.pending_lines.extend(lines);
            if begins {
                row.period = period;
                row.anchor = period.start;
            }
            if row.cancel_at_period_end {
                row.cancel_at = Some(row.period.end);
            }
        })?;
        if row.period.end > self.now() {
            self.plan(row.period.end, Task::Cycle(id.into()));
        }
        Ok(())
    }

    /// A pending update was paid.
    pub(super) fn apply_pending(&mut self, id: &str) -> Result<(), Error> {
        let row = self.find::<Subscription>(id)?;
        let Some(update) = row.pending_update.clone() else { return Ok(()) };
        self.edit(id, |row: &mut Subscription| row.pending_update = None)?;
        self.set_item(id, update.item, Vec::new())?;
        let row = self.find::<Subscription>(id)?;
        self.tell("customer.subscription.pending_update_applied", &row);
        Ok(())
    }

    /// A pending update was not paid.
    pub(super) fn drop_pending(&mut self, id: &str, invoice: &str) -> Result<(), Error> {
        let row = self.change("customer.subscription.updated", id, |row: &mut Subscription| {
            row.pending_update.take_if(|update| &*update.invoice == invoice);
        })?;
        self.tell("customer.subscription.pending_update_expired", &row);
        Ok(())
    }
}
