//! Stripe's objects as they come: only the fields that are used. A field that is missing where the
//! types allow it is `None`, so that older and newer versions can be read.

use std::collections::BTreeMap;

use miniserde::Deserialize;

use crate::client::Listed;

#[derive(Deserialize)]
pub(crate) struct List<T> {
    pub(crate) data: Vec<T>,
    pub(crate) has_more: bool,
}

pub(crate) type Metadata = BTreeMap<String, String>;

#[derive(Deserialize)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) deleted: Option<bool>,
    pub(crate) metadata: Option<Metadata>,
}

#[derive(Deserialize)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) created: i64,
    pub(crate) items: Items,
    /// Until API 2025-03-31; then with the items.
    pub(crate) current_period_start: Option<i64>,
    pub(crate) current_period_end: Option<i64>,
    pub(crate) cancel_at_period_end: Option<bool>,
    pub(crate) cancel_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) trial_end: Option<i64>,
    pub(crate) schedule: Option<String>,
    pub(crate) metadata: Option<Metadata>,
}

#[derive(Deserialize)]
pub(crate) struct Items {
    pub(crate) data: Vec<Item>,
}

#[derive(Deserialize)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) current_period_start: Option<i64>,
    pub(crate) current_period_end: Option<i64>,
    pub(crate) price: Price,
}

#[derive(Deserialize)]
pub(crate) struct Price {
    pub(crate) id: String,
    pub(crate) active: Option<bool>,
    pub(crate) currency: Option<String>,
    pub(crate) unit_amount: Option<i64>,
    pub(crate) metadata: Option<Metadata>,
}

#[derive(Deserialize)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) active: Option<bool>,
    pub(crate) metadata: Option<Metadata>,
}

#[derive(Deserialize)]
pub(crate) struct Invoice {
    pub(crate) id: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) created: i64,
    pub(crate) attempt_count: Option<u32>,
    pub(crate) amount_due: Option<i64>,
    pub(crate) amount_paid: Option<i64>,
    /// Until API 2025-03-31; then below `parent`.
    pub(crate) subscription: Option<String>,
    pub(crate) parent: Option<Parent>,
    pub(crate) status_transitions: Option<Transitions>,
    pub(crate) billing_reason: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Parent {
    pub(crate) subscription_details: Option<SubscriptionDetails>,
}

#[derive(Deserialize)]
pub(crate) struct SubscriptionDetails {
    pub(crate) subscription: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Transitions {
    pub(crate) paid_at: Option<i64>,
}

#[derive(Deserialize)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) amount: i64,
    pub(crate) amount_refunded: i64,
    pub(crate) disputed: Option<bool>,
    pub(crate) payment_intent: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct InvoicePayment {
    pub(crate) id: String,
    pub(crate) invoice: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Dispute {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) status: String,
}

#[derive(Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) status: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Link {
    pub(crate) id: String,
    pub(crate) url: Option<String>,
    pub(crate) expires_at: Option<i64>,
}

#[derive(Deserialize)]
pub(crate) struct Schedule {
    pub(crate) id: String,
    pub(crate) status: Option<String>,
    pub(crate) phases: Option<Vec<Phase>>,
}

#[derive(Deserialize)]
pub(crate) struct Phase {
    pub(crate) start_date: i64,
    pub(crate) items: Vec<PhaseItem>,
}

#[derive(Deserialize)]
pub(crate) struct PhaseItem {
    pub(crate) price: String,
}

macro_rules! listed {
    ($($name:ident),*) => {$(
        impl Listed for $name {
            fn id(&self) -> &str {
                &self.id
            }
        }
    )*};
}

listed!(Charge, Dispute, InvoicePayment, Link, Price, Product, Refund, Subscription);

impl Listed for Invoice {
    fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }
}
