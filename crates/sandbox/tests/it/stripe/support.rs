use std::sync::Arc;

use oc_sandbox::stripe::{
    Cadence, CheckoutCard, Customer, Engine, Id, Interval, Invoice, NewPrice, Order, Price,
    PriceDetails, ProductDetails, Profile, Settings, Subscription,
};

/// 2026-11-21T12:00:00Z.
pub(crate) const START: i64 = 1_795_262_400;
pub(crate) const HOUR: i64 = 3600;
pub(crate) const DAY: i64 = 24 * HOUR;

/// An account with a customer and three monthly prices and a yearly one.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) engine: Engine,
    pub(crate) customer: Id,
    pub(crate) starter: Arc<Price>,
    pub(crate) pro: Arc<Price>,
    pub(crate) yearly: Arc<Price>,
}

impl Shop {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let mut engine = Engine::new(7, START, settings);
        let customer = engine.create_customer(Profile {
            email: Some("ana@example.com".to_owned()),
            ..Profile::default()
        });
        let mut price = |name: &str, unit_amount, interval| {
            let details = ProductDetails { name: name.to_owned(), ..ProductDetails::default() };
            let product = engine.create_product(None, details).unwrap();
            let cadence = Cadence { interval, count: 1 };
            let new = NewPrice {
                product,
                currency: "usd".to_owned(),
                unit_amount,
                cadence,
                details: PriceDetails::default(),
                transfer_lookup_key: false,
            };
            let id = engine.create_price(new).unwrap();
            Arc::new(engine.price(&id).unwrap().clone())
        };
        let starter = price("Starter", 1900, Interval::Month);
        let pro = price("Pro", 4900, Interval::Month);
        let yearly = price("Starter, by the year", 19_000, Interval::Year);
        Self { engine, customer, starter, pro, yearly }
    }

    pub(crate) fn order(&self, price: &Arc<Price>) -> Order {
        let url = "https://shop.example/done?session={CHECKOUT_SESSION_ID}";
        Order::new(Some(self.customer.clone()), Arc::clone(price), url)
    }

    /// A checkout of the starter that this card paid.
    pub(crate) fn subscribe(&mut self, card: CheckoutCard) -> Id {
        let order = self.order(&Arc::clone(&self.starter));
        let session = self.engine.create_checkout(order).unwrap();
        self.engine.pay_checkout(&session, card).unwrap();
        self.engine.session(&session).unwrap().subscription.clone().unwrap()
    }

    pub(crate) fn subscription(&self, id: &str) -> &Subscription {
        self.engine.subscription(id).unwrap()
    }

    pub(crate) fn latest(&self, subscription: &str) -> &Invoice {
        let id = self.subscription(subscription).latest_invoice.as_ref().unwrap();
        self.engine.invoice(id).unwrap()
    }

    pub(crate) fn who(&self) -> &Customer {
        self.engine.customer(&self.customer).unwrap()
    }

    /// Lets so many seconds pass.
    pub(crate) fn wait(&mut self, seconds: i64) {
        self.engine.advance_to(self.engine.now() + seconds);
    }

    /// The types of the events since there were so many.
    pub(crate) fn events_since(&self, count: usize) -> Vec<&'static str> {
        self.engine.events()[count..].iter().map(|event| event.kind).collect()
    }
}
