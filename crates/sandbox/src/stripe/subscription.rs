//! Subscriptions: how they begin, what their invoices mean for them, and how they end.

use std::{collections::BTreeMap, sync::Arc};

use strum::{EnumString, IntoStaticStr};

use super::{
    calendar::Period,
    catalog::Price,
    customer::Customer,
    engine::{DAY, Engine, Exhausted, HOUR, Task},
    error::Error,
    id::{Id, Metadata, merge},
    invoice::{Draft, Invoice, Line, Purpose, Reason},
};

mod change;
mod cycle;
mod end;

pub use change::{Behavior, Proration, Update};

/// How long a first payment, an update or a resumption waits to be paid, in seconds.
const PATIENCE: i64 = 23 * HOUR;

/// A customer's standing order for one price.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// `sub_`.
    pub id: Id,
    /// In seconds after 1970.
    pub created: i64,
    /// Who pays.
    pub customer: Id,
    /// How it stands.
    pub status: Status,
    /// What is ordered.
    pub item: Item,
    /// What is paid for, or the trial.
    pub period: Period,
    /// What its periods are counted from, in seconds after 1970.
    pub anchor: i64,
    /// The trial, past or present.
    pub trial: Option<Period>,
    /// What becomes of it when the trial ends and there is no card.
    pub without_card: WithoutCard,
    /// When it will end, in seconds after 1970.
    pub cancel_at: Option<i64>,
    /// Whether that is the end of its period.
    pub cancel_at_period_end: bool,
    /// When its end was asked for, in seconds after 1970.
    pub canceled_at: Option<i64>,
    /// When it ended, in seconds after 1970.
    pub ended_at: Option<i64>,
    /// Why it ends.
    pub cancellation: Cancellation,
    /// Its newest invoice.
    pub latest_invoice: Option<Id>,
    /// The schedule that directs it.
    pub schedule: Option<Id>,
    /// An update that waits for its payment.
    pub pending_update: Option<PendingUpdate>,
    /// What the caller attached.
    pub metadata: Metadata,
    /// What its customer pays with.
    pub payment_method: Option<Id>,
    /// Prorations that the next invoice will bill.
    pub(super) pending_lines: Vec<Line>,
}

/// How a subscription stands: the `status` of its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, EnumString)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "Stripe documents them")]
pub enum Status {
    Incomplete,
    IncompleteExpired,
    Trialing,
    Active,
    PastDue,
    Unpaid,
    Paused,
    Canceled,
}

/// What a subscription orders.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// `si_`.
    pub id: Id,
    /// The price.
    pub price: Arc<Price>,
    /// Units.
    pub quantity: u32,
}

/// An update that waits for its payment.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingUpdate {
    /// What would be ordered.
    pub item: Item,
    /// The invoice that is to be paid.
    pub invoice: Id,
    /// When it is given up, in seconds after 1970.
    pub expires_at: i64,
}

/// Why a subscription ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cancellation {
    /// Stripe's word for it.
    pub reason: Option<&'static str>,
    /// What the customer chose from Stripe's list.
    pub feedback: Option<String>,
    /// What the customer wrote.
    pub comment: Option<String>,
}

/// What becomes of a subscription whose trial ends without a card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum WithoutCard {
    /// It goes on, and its invoice is not paid.
    #[default]
    CreateInvoice,
    /// It pauses.
    Pause,
    /// It ends.
    Cancel,
}

/// A subscription to be made.
#[derive(Clone, Debug)]
pub(super) struct NewSubscription {
    pub(super) customer: Id,
    pub(super) price: Arc<Price>,
    pub(super) quantity: u32,
    pub(super) trial_days: Option<u32>,
    pub(super) without_card: WithoutCard,
    pub(super) metadata: Metadata,
}

impl Status {
    /// Whether it has neither ended nor failed to begin.
    pub fn is_live(self) -> bool {
        !matches!(self, Self::Canceled | Self::IncompleteExpired)
    }
}

impl Item {
    /// Cents for a whole period.
    pub fn amount(&self) -> i64 {
        self.price.unit_amount.saturating_mul(self.quantity.into())
    }
}

impl Engine {
    /// A subscription and its first invoice, which is open unless there is nothing to pay.
    pub(super) fn begin(&mut self, new: NewSubscription) -> Result<(Id, Id), Error> {
        let (id, invoice) = (self.draw("sub_1", 23), self.draw("in_1", 23));
        let now = self.now();
        let trial =
            new.trial_days.map(|days| Period { start: now, end: now + DAY * i64::from(days) });
        let period = trial.unwrap_or_else(|| self.period_from_now(&new.price));
        let item = Item { id: self.draw("si_", 14), price: new.price, quantity: new.quantity };
        let subscription = Subscription {
            id: id.clone(),
            created: now,
            payment_method: self.find::<Customer>(&new.customer)?.payment_method.clone(),
            customer: new.customer,
            status: if trial.is_some() { Status::Trialing } else { Status::Incomplete },
            item,
            period,
            anchor: trial.map_or(now, |trial| trial.end),
            trial,
            without_card: new.without_card,
            cancel_at: None,
            cancel_at_period_end: false,
            canceled_at: None,
            ended_at: None,
            cancellation: Cancellation::default(),
            latest_invoice: Some(invoice.clone()),
            schedule: None,
            pending_update: None,
            metadata: new.metadata,
            pending_lines: Vec::new(),
        };
        let row = self.create("customer.subscription.created", subscription);
        self.first_invoice(&row, &invoice)?;
        match trial.map(|trial| trial.end - 3 * DAY) {
            None => self.plan(now + PATIENCE, Task::GiveUp(invoice.clone())),
            Some(notice) if notice > now => self.plan(notice, Task::TrialWillEnd(id.clone())),
            Some(_) => self.trial_will_end(&id)?,
        }
        self.plan(period.end, Task::Cycle(id.clone()));
        Ok((id, invoice))
    }

    fn first_invoice(&mut self, subscription: &Subscription, id: &Id) -> Result<(), Error> {
        let Subscription { item, period, .. } = subscription;
        let line = if subscription.trial.is_some() {
            self.line(item, 0, *period, |what| format!("Trial period for {what}"))
        } else {
            self.line(item, item.amount(), *period, str::to_owned)
        };
        let draft = Draft {
            id: id.clone(),
            reason: Reason::SubscriptionCreate,
            purpose: Purpose::Service,
            period: Period { start: self.now(), end: self.now() },
            lines: vec![line],
            finalizes_at: None,
        };
        self.draft(subscription, draft)?;
        self.finalize(id)
    }

    /// The newest invoice that speaks for the state of a subscription.
    pub(super) fn speaks_for(&self, subscription: &str) -> Option<&Invoice> {
        self.invoices()
            .rev()
            .find(|invoice| &*invoice.subscription == subscription && invoice.counts())
    }

    /// What a paid invoice means for its subscription.
    pub(super) fn invoice_paid(&mut self, invoice: &Invoice) -> Result<(), Error> {
        let row = self.find::<Subscription>(&invoice.subscription)?;
        if row.pending_update.as_ref().is_some_and(|update| update.invoice == invoice.id) {
            self.apply_pending(&row.id)?;
        }
        let newest = || self.speaks_for(&row.id).is_some_and(|newest| newest.id == invoice.id);
        match (row.status, invoice.purpose) {
            (Status::Paused, Purpose::Resumption) => self.resumed(&row.id, invoice),
            (Status::Incomplete, _) => self.set_status(&row.id, Status::Active),
            (Status::PastDue | Status::Unpaid, _) if newest() => {
                self.set_status(&row.id, Status::Active)
            }
            _ => Ok(()),
        }
    }

    /// What a failed attempt to collect an invoice means for its subscription.
    pub(super) fn invoice_failed(&mut self, invoice: &Invoice) -> Result<(), Error> {
        let row = self.find::<Subscription>(&invoice.subscription)?;
        let newest = self.speaks_for(&row.id).is_some_and(|newest| newest.id == invoice.id);
        let begins = matches!(row.status, Status::Incomplete | Status::Paused);
        if !newest || begins || !row.status.is_live() {
            return Ok(());
        }
        if row.status == Status::Active {
            self.set_status(&row.id, Status::PastDue)?;
        }
        let attempts = usize::try_from(invoice.attempts).unwrap_or(usize::MAX);
        if invoice.next_attempt.is_some() || attempts <= self.settings.retries.len() {
            return Ok(());
        }
        match self.settings.exhausted {
            Exhausted::Canceled => self.end(&row.id, Some("payment_failed")),
            Exhausted::PastDue => Ok(()),
            Exhausted::Unpaid => {
                self.stop_collecting(&row.id)?;
                self.set_status(&row.id, Status::Unpaid)
            }
        }
    }

    pub(super) fn set_status(&mut self, id: &str, status: Status) -> Result<(), Error> {
        self.change("customer.subscription.updated", id, |row: &mut Subscription| {
            row.status = status;
        })?;
        Ok(())
    }

    /// Changes what is attached to a subscription, an ended one too.
    pub fn annotate(&mut self, id: &str, metadata: &BTreeMap<String, String>) -> Result<(), Error> {
        self.change("customer.subscription.updated", id, |row: &mut Subscription| {
            merge(&mut row.metadata, metadata);
        })?;
        Ok(())
    }
}
