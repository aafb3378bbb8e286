//! The account: its objects, its clock, and what falls due.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    calendar::Period,
    catalog::{Price, Product},
    checkout::Session,
    customer::Customer,
    error::Error,
    event::{Event, Request, Snapshot},
    id::{Draw, Id},
    invoice::Invoice,
    payment::{Charge, InvoicePayment, PaymentIntent},
    portal::{Configuration, PortalSession},
    refund::{Dispute, Refund},
    schedule::Schedule,
    subscription::Subscription,
    table::Table,
};

mod agenda;

use agenda::Due;
pub(super) use agenda::Task;

pub(super) const HOUR: i64 = 3600;
pub(super) const DAY: i64 = 24 * HOUR;

/// An account at Stripe: a state machine without a clock or a network of its own.
///
/// The same seed and the same calls give the same ids, objects and events.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(super) settings: Settings,
    pub(super) request: Option<Arc<Request>>,
    now: i64,
    draw: Draw,
    tables: Tables,
    agenda: BTreeSet<Due>,
    order: u64,
    events: Vec<Arc<Event>>,
}

/// What the owner of the account chose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seconds after the first failure at which a renewal's payment is tried again.
    pub retries: Vec<i64>,
    /// What becomes of a subscription when the last retry has failed.
    pub exhausted: Exhausted,
    /// Where the pages of checkout, portal and invoices are.
    pub pages: String,
}

/// What becomes of a subscription that could not be collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Exhausted {
    /// It ends.
    Canceled,
    /// It stays, and later invoices stay drafts.
    Unpaid,
    /// It stays, and later invoices are collected.
    PastDue,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retries: vec![DAY, 3 * DAY, 5 * DAY, 7 * DAY],
            exhausted: Exhausted::Canceled,
            pages: "https://stripe.example".to_owned(),
        }
    }
}

/// An object of the account.
pub(super) trait Entity: Clone + PartialEq {
    /// What refusals call it.
    const NOUN: &'static str;
    fn id(&self) -> &Id;
    fn created(&self) -> i64;
    fn table(tables: &Tables) -> &Table<Self>;
    fn table_mut(tables: &mut Tables) -> &mut Table<Self>;
    fn snapshot(self: Arc<Self>) -> Snapshot;
}

macro_rules! entities {
    ($($rows:ident $row:ident $type:ident $noun:literal $text:literal;)*) => {
        #[derive(Clone, Debug, Default)]
        pub(super) struct Tables { $($rows: Table<$type>,)* }

        $(impl Entity for $type {
            const NOUN: &'static str = $noun;
            fn id(&self) -> &Id { &self.id }
            fn created(&self) -> i64 { self.created }
            fn table(tables: &Tables) -> &Table<Self> { &tables.$rows }
            fn table_mut(tables: &mut Tables) -> &mut Table<Self> { &mut tables.$rows }
            fn snapshot(self: Arc<Self>) -> Snapshot { Snapshot::$type(self) }
        })*

        impl Engine {
            $(
                #[doc = concat!("The ", $text, " with this id.")]
                pub fn $row(&self, id: &str) -> Option<&$type> {
                    self.tables.$rows.get(id).map(|row| &**row)
                }

                #[doc = concat!("Every ", $text, ", oldest first.")]
                pub fn $rows(&self) -> impl DoubleEndedIterator<Item = &$type> {
                    self.tables.$rows.iter().map(|row| &**row)
                }
            )*

            /// The object with this id, whatever it is.
            pub(super) fn snapshot(&self, id: &str) -> Option<Snapshot> {
                $(if let Some(row) = self.tables.$rows.get(id) {
                    return Some(Snapshot::$type(Arc::clone(row)));
                })*
                None
            }
        }
    };
}

entities! {
    customers customer Customer "customer" "customer";
    products product Product "product" "product";
    prices price Price "price" "price";
    sessions session Session "checkout.session" "checkout session";
    subscriptions subscription Subscription "subscription" "subscription";
    schedules schedule Schedule "subscription schedule" "subscription schedule";
    invoices invoice Invoice "invoice" "invoice";
    invoice_payments invoice_payment InvoicePayment "invoice payment" "payment of an invoice";
    payment_intents payment_intent PaymentIntent "payment_intent" "payment intent";
    charges charge Charge "charge" "charge";
    refunds refund Refund "refund" "refund";
    disputes dispute Dispute "dispute" "dispute";
    portal_sessions portal_session PortalSession "portal session" "portal session";
    configurations configuration Configuration "configuration" "configuration of the portal";
}

impl Engine {
    /// An empty account at this moment, in seconds after 1970.
    pub fn new(seed: u64, now: i64, settings: Settings) -> Self {
        Self {
            settings,
            request: None,
            now,
            draw: Draw::new(seed),
            tables: Tables::default(),
            agenda: BTreeSet::new(),
            order: 0,
            events: Vec::new(),
        }
    }

    /// The moment, in seconds after 1970.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// What happened so far, in order.
    pub fn events(&self) -> &[Arc<Event>] {
        &self.events
    }

    /// Changes what the owner chose; it holds for what falls due from now on.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// A new id of this kind.
    pub(super) fn draw(&mut self, prefix: &str, length: usize) -> Id {
        self.draw.id(prefix, length)
    }

    /// From now for one of `price`'s periods.
    pub(super) fn period_from_now(&self, price: &Price) -> Period {
        Period { start: self.now, end: price.cadence.next(self.now, self.now) }
    }

    /// The object with this id, or the refusal that says there is none.
    pub(super) fn find<T: Entity>(&self, id: &str) -> Result<Arc<T>, Error> {
        let found = T::table(&self.tables).get(id).cloned();
        found.ok_or_else(|| Error::no_such(T::NOUN, id))
    }

    /// Every object of a kind, oldest first.
    pub(super) fn all<T: Entity>(&self) -> std::slice::Iter<'_, Arc<T>> {
        T::table(&self.tables).iter()
    }

    /// Adds an object without a word.
    pub(super) fn add<T: Entity>(&mut self, row: T) -> Arc<T> {
        T::table_mut(&mut self.tables).insert(row)
    }

    /// Adds an object and tells of it.
    pub(super) fn create<T: Entity>(&mut self, kind: &'static str, row: T) -> Arc<T> {
        let row = self.add(row);
        self.tell(kind, &row);
        row
    }

    /// Changes an object without a word.
    pub(super) fn edit<T: Entity>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut T),
    ) -> Result<Arc<T>, Error> {
        let row = T::table_mut(&mut self.tables).get_mut(id);
        let row = row.ok_or_else(|| Error::no_such(T::NOUN, id))?;
        change(Arc::make_mut(row));
        Ok(Arc::clone(row))
    }

    /// Changes an object, and tells of it if that made a difference.
    pub(super) fn change<T: Entity>(
        &mut self,
        kind: &'static str,
        id: &str,
        change: impl FnOnce(&mut T),
    ) -> Result<Arc<T>, Error> {
        let before = self.find::<T>(id)?;
        let after = self.edit(id, change)?;
        if before != after {
            self.push(kind, Arc::clone(&after).snapshot(), Some(before.snapshot()));
        }
        Ok(after)
    }

    /// Tells of an object as it is.
    pub(super) fn tell<T: Entity>(&mut self, kind: &'static str, row: &Arc<T>) {
        self.push(kind, Arc::clone(row).snapshot(), None);
    }

    fn push(&mut self, kind: &'static str, object: Snapshot, before: Option<Snapshot>) {
        let id = self.draw("evt_1", 23);
        let (created, request) = (self.now, self.request.clone());
        self.events.push(Arc::new(Event { id, kind, created, object, before, request }));
    }
}
