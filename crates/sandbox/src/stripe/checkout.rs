//! Checkout sessions: how subscriptions begin.

use std::sync::Arc;

use strum::{EnumString, IntoStaticStr};

use super::{
    catalog::Price,
    customer::{Card, Customer, Profile},
    engine::{DAY, Engine, Task},
    error::Error,
    id::{Id, Metadata},
    invoice::Invoice,
    subscription::{NewSubscription, Status, Subscription, WithoutCard},
};

/// A page on which a customer may begin a subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// `cs_test_`.
    pub id: Id,
    /// In seconds after 1970.
    pub created: i64,
    /// When it expires, in seconds after 1970.
    pub expires_at: i64,
    /// What was asked for.
    pub order: Arc<Order>,
    /// Who pays.
    pub customer: Option<Id>,
    /// How it stands.
    pub state: SessionState,
    /// The subscription that came of it.
    pub subscription: Option<Id>,
    /// Its first invoice.
    pub invoice: Option<Id>,
    /// Whether there was something to pay.
    pub charged: bool,
    /// The page.
    pub page: Arc<str>,
    /// What a declined card left behind.
    pub(super) attempt: Option<Id>,
}

/// How a session stands: the `status` of its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum SessionState {
    /// The page works.
    Open,
    /// There is a subscription.
    Complete,
    /// It is too late.
    Expired,
}

/// What a checkout session is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Who pays; a customer is made if absent.
    pub customer: Option<Id>,
    /// Their address, if there is no customer yet.
    pub customer_email: Option<String>,
    /// What is bought.
    pub price: Arc<Price>,
    /// The line that says so: `li_`.
    pub(super) line: Id,
    /// Units.
    pub quantity: u32,
    /// Where the page leads after payment.
    pub success_url: String,
    /// Where it leads without.
    pub cancel_url: Option<String>,
    /// The caller's own name for it.
    pub client_reference_id: Option<String>,
    /// The language of the page.
    pub locale: Option<String>,
    /// What is attached to the session.
    pub metadata: Metadata,
    /// What will be attached to the subscription.
    pub subscription_metadata: Metadata,
    /// Days without payment.
    pub trial_days: Option<u32>,
    /// What becomes of the subscription if the trial ends without a card.
    pub without_card: WithoutCard,
    /// Whether no card is asked for while there is nothing to pay.
    pub card_optional: bool,
    /// When it expires, in seconds after 1970; a day later if absent.
    pub expires_at: Option<i64>,
}

/// How a customer pays at checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum CheckoutCard {
    /// Works now and later.
    Works,
    /// Works now and is declined at renewals.
    WorksOnce,
    /// Is declined.
    Declines,
    /// There is none: for a trial that asks for none.
    None,
}

impl Order {
    /// An order of one unit without anything special.
    pub fn new(customer: Option<Id>, price: Arc<Price>, success_url: impl Into<String>) -> Self {
        Self {
            customer,
            customer_email: None,
            price,
            line: Id::default(),
            quantity: 1,
            success_url: success_url.into(),
            cancel_url: None,
            client_reference_id: None,
            locale: None,
            metadata: Metadata::default(),
            subscription_metadata: Metadata::default(),
            trial_days: None,
            without_card: WithoutCard::default(),
            card_optional: false,
            expires_at: None,
        }
    }
}

impl Engine {
    /// A page on which the order can be paid.
    pub fn create_checkout(&mut self, mut order: Order) -> Result<Id, Error> {
        if let Some(customer) = &order.customer {
            self.find::<Customer>(customer).map_err(|error| error.of("customer"))?;
        }
        if order.price.details.archived {
            let message = "The price specified is inactive. This field only accepts active prices.";
            return Err(Error::parameter("line_items[0][price]", "price_inactive", message));
        }
        let now = self.now();
        let expires_at = order.expires_at.unwrap_or(now + DAY);
        if !(now + 30 * 60..=now + DAY).contains(&expires_at) {
            let message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from \
                           Checkout Session creation.";
            return Err(Error::parameter("expires_at", "parameter_invalid", message));
        }
        let id = self.draw("cs_test_", 58);
        order.line = self.draw("li_1", 23);
        self.plan(expires_at, Task::Expire(id.clone()));
        let session = Session {
            id: id.clone(),
            created: now,
            expires_at,
            customer: order.customer.clone(),
            order: Arc::new(order),
            state: SessionState::Open,
            subscription: None,
            invoice: None,
            charged: false,
            page: format!("{}/c/pay/{id}", self.settings.pages).into(),
            attempt: None,
        };
        // Stripe has no event for it.
        self.add(session);
        Ok(id)
    }

    /// A customer pays on the page. A declined card leaves an incomplete subscription, which the
    /// next attempt on the same page pays.
    pub fn pay_checkout(&mut self, id: &str, card: CheckoutCard) -> Result<(), Error> {
        let session = self.find::<Session>(id)?;
        if session.state != SessionState::Open {
            return Err(Error::invalid("This Checkout Session is no longer open."));
        }
        let Order { trial_days, card_optional, .. } = *session.order;
        if card == CheckoutCard::None && !(card_optional && trial_days.is_some()) {
            return Err(Error::invalid("This Checkout Session asks for a card."));
        }
        let customer = self.payer(&session);
        let before = self.find::<Customer>(&customer)?.card;
        match card {
            CheckoutCard::None => {}
            CheckoutCard::Works | CheckoutCard::WorksOnce => {
                self.set_card(&customer, Card::Works)?;
            }
            // A card that is declined is not kept.
            CheckoutCard::Declines => self.set_card_silently(&customer, Card::Declines)?,
        }
        if card == CheckoutCard::Declines && trial_days.is_some() {
            self.set_card_silently(&customer, before)?;
            return Err(Error::declined());
        }
        let (subscription, invoice) = self.attempt(&session, customer.clone())?;
        let paid = self.collect(&invoice, false)?;
        match card {
            CheckoutCard::Declines => self.set_card_silently(&customer, before)?,
            CheckoutCard::WorksOnce => self.set_card_silently(&customer, Card::Declines)?,
            CheckoutCard::Works | CheckoutCard::None => {}
        }
        if paid { self.complete(id, subscription, invoice) } else { Err(Error::declined()) }
    }

    fn set_card_silently(&mut self, customer: &str, card: Card) -> Result<(), Error> {
        self.edit(customer, |customer: &mut Customer| customer.card = card)?;
        Ok(())
    }

    /// The customer of a session, made if there is none.
    fn payer(&mut self, session: &Session) -> Id {
        if let Some(customer) = &session.customer {
            return customer.clone();
        }
        let email = session.order.customer_email.clone();
        let customer = self.create_customer(Profile { email, ..Profile::default() });
        // The session was found a moment ago.
        let _ = self.edit(&session.id, |session: &mut Session| {
            session.customer = Some(customer.clone());
        });
        customer
    }

    /// The subscription and the invoice that a payment on this page is for.
    fn attempt(&mut self, session: &Session, customer: Id) -> Result<(Id, Id), Error> {
        let earlier = session.attempt.as_deref().and_then(|id| self.subscription(id));
        if let Some(row) = earlier.filter(|row| row.status == Status::Incomplete) {
            let (id, invoice) = (row.id.clone(), row.latest_invoice.clone().unwrap_or_default());
            let method = self.find::<Customer>(&customer)?.payment_method.clone();
            self.change("customer.subscription.updated", &id, |row: &mut Subscription| {
                row.payment_method = method;
            })?;
            return Ok((id, invoice));
        }
        let order = &session.order;
        let new = NewSubscription {
            customer,
            price: Arc::clone(&order.price),
            quantity: order.quantity,
            trial_days: order.trial_days,
            without_card: order.without_card,
            metadata: order.subscription_metadata.clone(),
        };
        let (subscription, invoice) = self.begin(new)?;
        self.edit(&session.id, |session: &mut Session| {
            session.attempt = Some(subscription.clone());
        })?;
        Ok((subscription, invoice))
    }

    fn complete(&mut self, id: &str, subscription: Id, invoice: Id) -> Result<(), Error> {
        let charged = self.find::<Invoice>(&invoice)?.paid > 0;
        let session = self.edit(id, |session: &mut Session| {
            session.state = SessionState::Complete;
            session.subscription = Some(subscription);
            session.invoice = Some(invoice);
            session.charged = charged;
        })?;
        self.tell("checkout.session.completed", &session);
        Ok(())
    }

    /// Closes a page that nobody has paid on.
    pub fn expire_checkout(&mut self, id: &str) -> Result<(), Error> {
        if self.find::<Session>(id)?.state != SessionState::Open {
            return Err(Error::invalid(
                "Only Checkout Sessions with a status in [\"open\"] can be expired.",
            ));
        }
        let session =
            self.edit(id, |session: &mut Session| session.state = SessionState::Expired)?;
        self.tell("checkout.session.expired", &session);
        Ok(())
    }

    /// The task of a session.
    pub(super) fn expire_due(&mut self, id: &str) -> Result<(), Error> {
        self.expire_checkout(id)
    }
}
