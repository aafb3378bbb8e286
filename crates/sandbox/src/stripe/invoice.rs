//! Invoices: drafted, finalised, and settled or given up.

use std::sync::Arc;

use strum::IntoStaticStr;

use super::{
    calendar::Period,
    catalog::{Price, Product},
    customer::Customer,
    engine::{Engine, Task},
    error::Error,
    id::{Id, Metadata},
    subscription::{Item, Subscription},
};

mod collect;

/// Cents below which Stripe charges nobody; they wait on the customer's balance.
const MINIMUM: i64 = 50;

/// What a customer is to pay for a subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Invoice {
    /// `in_`.
    pub id: Id,
    /// In seconds after 1970.
    pub created: i64,
    /// Its number, once it is finalised.
    pub number: Option<Arc<str>>,
    /// Who pays.
    pub customer: Id,
    /// Their e-mail address then.
    pub email: Option<String>,
    /// Their name then.
    pub name: Option<String>,
    /// The currency, in lower-case letters.
    pub currency: Id,
    /// What it is for.
    pub subscription: Id,
    /// The subscription's metadata then.
    pub metadata: Metadata,
    /// Why there is an invoice.
    pub reason: Reason,
    /// What its payment leads to.
    pub purpose: Purpose,
    /// How far it is.
    pub state: InvoiceState,
    /// What it looks back on.
    pub period: Period,
    /// What is billed.
    pub lines: Arc<Vec<Line>>,
    /// Cents that the customer owed before.
    pub starting_balance: i64,
    /// Cents that the customer owes after, once it is finalised.
    pub ending_balance: Option<i64>,
    /// Cents to pay.
    pub due: i64,
    /// Cents paid.
    pub paid: i64,
    /// Attempts on the schedule of retries.
    pub attempts: u32,
    /// Whether payment was ever tried.
    pub attempted: bool,
    /// Whether Stripe goes on with it by itself.
    pub advances: bool,
    /// When the draft is finalised, in seconds after 1970.
    pub finalizes_at: Option<i64>,
    /// When payment is tried again, in seconds after 1970.
    pub next_attempt: Option<i64>,
    /// When it was first tried, in seconds after 1970.
    pub(super) first_attempt: Option<i64>,
    /// In seconds after 1970.
    pub finalized_at: Option<i64>,
    /// In seconds after 1970.
    pub paid_at: Option<i64>,
    /// In seconds after 1970.
    pub voided_at: Option<i64>,
    /// How it is paid.
    pub intent: Option<Id>,
    pub(super) payment: Option<Id>,
    pub(super) page: Arc<str>,
}

/// Why there is an invoice: the `billing_reason` of its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// The subscription begins.
    SubscriptionCreate,
    /// A period begins.
    SubscriptionCycle,
    /// It was changed.
    SubscriptionUpdate,
}

/// What the payment of an invoice leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The subscription goes on.
    Service,
    /// Its pending update is applied.
    Update,
    /// It is resumed.
    Resumption,
}

/// How far an invoice is: the `status` of its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum InvoiceState {
    /// May change yet.
    Draft,
    /// To be paid.
    Open,
    /// Paid.
    Paid,
    /// Given up.
    Void,
}

/// What is billed on an invoice.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// `il_`.
    pub id: Id,
    /// Cents; negative for a credit.
    pub amount: i64,
    /// What for.
    pub description: String,
    /// When it is for.
    pub period: Period,
    /// Whether it is for a part of a period.
    pub proration: bool,
    /// The price.
    pub price: Arc<Price>,
    /// Units.
    pub quantity: u32,
    /// The item of the subscription.
    pub item: Id,
}

/// What an invoice is made from.
pub(super) struct Draft {
    pub(super) id: Id,
    pub(super) reason: Reason,
    pub(super) purpose: Purpose,
    pub(super) period: Period,
    pub(super) lines: Vec<Line>,
    /// When it is finalised by itself; none if that is done at once or never.
    pub(super) finalizes_at: Option<i64>,
}

impl Invoice {
    /// The sum of its lines, in cents.
    pub fn total(&self) -> i64 {
        self.lines.iter().map(|line| line.amount).sum()
    }

    /// Whether it speaks for the state of its subscription: a draft, a void one and one for an
    /// update that has not happened do not.
    pub fn counts(&self) -> bool {
        let open = matches!(self.state, InvoiceState::Open | InvoiceState::Paid);
        open && (self.purpose == Purpose::Service || self.state == InvoiceState::Paid)
    }
}

impl Engine {
    pub(super) fn draft(&mut self, subscription: &Subscription, draft: Draft) -> Result<(), Error> {
        let customer = self.find::<Customer>(&subscription.customer)?;
        let page = format!("{}/i/{}", self.settings.pages, draft.id);
        let invoice = Invoice {
            id: draft.id,
            created: self.now(),
            number: None,
            customer: customer.id.clone(),
            email: customer.profile.email.clone(),
            name: customer.profile.name.clone(),
            currency: subscription.item.price.currency.clone(),
            subscription: subscription.id.clone(),
            metadata: subscription.metadata.clone(),
            reason: draft.reason,
            purpose: draft.purpose,
            state: InvoiceState::Draft,
            period: draft.period,
            due: 0,
            lines: Arc::new(draft.lines),
            starting_balance: 0,
            ending_balance: None,
            paid: 0,
            attempts: 0,
            attempted: false,
            advances: draft.finalizes_at.is_some(),
            finalizes_at: draft.finalizes_at,
            next_attempt: draft.finalizes_at,
            first_attempt: None,
            finalized_at: None,
            paid_at: None,
            voided_at: None,
            intent: None,
            payment: None,
            page: page.into(),
        };
        let due = due(invoice.total(), customer.balance).0;
        let invoice = Invoice { due, starting_balance: customer.balance, ..invoice };
        if let Some(at) = draft.finalizes_at {
            self.plan(at, Task::Finalize(invoice.id.clone()));
        }
        self.create("invoice.created", invoice);
        Ok(())
    }

    /// A draft becomes a bill: it gets its number, uses the customer's balance, and is paid at once
    /// if nothing is left to pay.
    pub(super) fn finalize(&mut self, id: &str) -> Result<(), Error> {
        let invoice = self.find::<Invoice>(id)?;
        let balance = self.find::<Customer>(&invoice.customer)?.balance;
        let (due, rest) = due(invoice.total(), balance);
        let customer = self.edit(&invoice.customer, |customer: &mut Customer| {
            customer.balance = rest;
            customer.next_number += 1;
        })?;
        let number = format!("{}-{:04}", customer.prefix, customer.next_number - 1);
        let payment = (due > 0).then(|| self.expect_payment(&invoice, due));
        let now = self.now();
        let invoice = self.edit(id, |invoice: &mut Invoice| {
            invoice.number = Some(number.into());
            invoice.state = InvoiceState::Open;
            invoice.starting_balance = balance;
            invoice.ending_balance = Some(rest);
            invoice.due = due;
            invoice.finalizes_at = None;
            invoice.next_attempt = None;
            invoice.finalized_at = Some(now);
            if let Some((intent, payment)) = payment {
                invoice.intent = Some(intent);
                invoice.payment = Some(payment);
            }
        })?;
        self.tell("invoice.finalized", &invoice);
        if rest != balance {
            self.tell("customer.updated", &customer);
        }
        if due == 0 { self.settle(id, false) } else { Ok(()) }
    }

    /// The task of a draft.
    pub(super) fn finalize_due(&mut self, id: &str) -> Result<(), Error> {
        let invoice = self.find::<Invoice>(id)?;
        if invoice.state == InvoiceState::Draft && invoice.advances {
            self.finalize(id)?;
            self.collect(id, true)?;
        }
        Ok(())
    }

    /// A line for a price over a period.
    pub(super) fn line(
        &mut self,
        item: &Item,
        amount: i64,
        period: Period,
        text: impl FnOnce(&str) -> String,
    ) -> Line {
        let name =
            self.product(&item.price.product).map(|product: &Product| &*product.details.name);
        let description = text(&format!("{} × {}", item.quantity, name.unwrap_or_default()));
        Line {
            id: self.draw("il_1", 23),
            amount,
            description,
            period,
            proration: false,
            price: Arc::clone(&item.price),
            quantity: item.quantity,
            item: item.id.clone(),
        }
    }
}

/// What is to pay of a total with this balance before, and the balance after.
pub(super) fn due(total: i64, balance: i64) -> (i64, i64) {
    let sum = total + balance;
    if sum < MINIMUM { (0, sum) } else { (sum, 0) }
}
