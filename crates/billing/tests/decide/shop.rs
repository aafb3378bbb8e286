//! A customer of the stand-in, and what it may do.

use std::{collections::BTreeMap, sync::Arc};

use oc_domain::TierId;
use oc_sandbox::stripe::{
    Behavior, Cadence, Cancellation, Card, CheckoutCard, Engine, Exhausted, Id, Interval,
    InvoiceState, NewPhase, NewPrice, NewRefund, Order, PhaseEnd, Price, PriceDetails,
    ProductDetails, Profile, Proration, Settings, Update, WithoutCard,
};
use proptest::{prelude::*, sample::select};

/// 2026-11-21T12:00:00Z.
pub(crate) const START: i64 = 1_795_262_400;
pub(crate) const HOUR: i64 = 3600;
pub(crate) const DAY: i64 = 24 * HOUR;
pub(crate) const TIERS: [TierId; 3] = [TierId::Starter, TierId::Pro, TierId::Business];

/// What happens; what makes no sense then is refused.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Wait(i64),
    Buy { tier: usize, trial: Option<u32>, card: CheckoutCard },
    Card(Card),
    Upgrade(usize),
    Downgrade(usize),
    AtPeriodEnd(bool),
    Cancel,
    Resume,
    Pay,
    Refund(Option<i64>),
    Dispute,
    Close(bool),
    Clear,
}

pub(crate) struct Shop {
    pub(crate) engine: Engine,
    pub(crate) customer: Id,
    prices: Vec<Arc<Price>>,
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![0..3 * HOUR, 0..3 * DAY, 0..40 * DAY];
    let card = select(vec![
        CheckoutCard::Works,
        CheckoutCard::Works,
        CheckoutCard::WorksOnce,
        CheckoutCard::Declines,
    ]);
    prop_oneof![
        8 => wait.prop_map(Step::Wait),
        3 => (0..3_usize, proptest::option::weighted(0.2, 1..20_u32), card)
            .prop_map(|(tier, trial, card)| Step::Buy { tier, trial, card }),
        2 => select(vec![Card::None, Card::Works, Card::Works, Card::Declines]).prop_map(Step::Card),
        1 => (0..3_usize).prop_map(Step::Upgrade),
        1 => (0..3_usize).prop_map(Step::Downgrade),
        1 => any::<bool>().prop_map(Step::AtPeriodEnd),
        1 => Just(Step::Cancel),
        1 => Just(Step::Resume),
        2 => Just(Step::Pay),
        1 => proptest::option::of(1..3000_i64).prop_map(Step::Refund),
        1 => Just(Step::Dispute),
        1 => any::<bool>().prop_map(Step::Close),
        1 => Just(Step::Clear),
    ]
}

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    select(vec![Exhausted::Canceled, Exhausted::Unpaid, Exhausted::PastDue])
        .prop_map(|exhausted| Settings { exhausted, ..Settings::default() })
}

impl Shop {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut engine = Engine::new(7, START, settings);
        let customer = engine.create_customer(Profile::default());
        let mut price = |tier: TierId| {
            let details = ProductDetails { name: tier.to_string(), ..ProductDetails::default() };
            let product = engine.create_product(None, details).unwrap();
            let metadata = BTreeMap::from([("tier".to_owned(), tier.to_string())]);
            let id = engine.create_price(NewPrice {
                product,
                currency: "usd".to_owned(),
                unit_amount: i64::try_from(tier.get().price_cents).unwrap(),
                cadence: Cadence { interval: Interval::Month, count: 1 },
                details: PriceDetails { metadata: metadata.into(), ..PriceDetails::default() },
                transfer_lookup_key: false,
            });
            Arc::new(engine.price(&id.unwrap()).unwrap().clone())
        };
        let prices = TIERS.map(&mut price).to_vec();
        Self { engine, customer, prices }
    }

    /// Whether there is something that can be changed; a second subscription is never sold.
    fn live(&self) -> Option<Id> {
        let live = self.engine.subscriptions().rev().find(|one| one.ended_at.is_none());
        live.map(|one| one.id.clone())
    }

    /// Does it, unless it takes time.
    pub(crate) fn take(&mut self, step: &Step, tenant: &str) {
        match step {
            Step::Wait(_) | Step::Clear => {}
            Step::Buy { tier, trial, card } => self.buy(*tier, *trial, *card, tenant),
            Step::Card(card) => self.engine.set_card(&self.customer, *card).unwrap(),
            Step::Pay => {
                let open = |bill: &&oc_sandbox::stripe::Invoice| bill.state == InvoiceState::Open;
                let open = self.engine.invoices().rfind(open).map(|bill| bill.id.clone());
                let _ = open.map(|bill| self.engine.pay_invoice(&bill));
            }
            Step::Refund(amount) => {
                let of = self.engine.charges().last().map(|charge| charge.id.to_string());
                let amount = *amount;
                let _ = of.map(|of| {
                    self.engine.create_refund(NewRefund { of, amount, ..NewRefund::default() })
                });
            }
            Step::Dispute => {
                let charge = self.engine.charges().last().map(|charge| charge.id.clone());
                let _ = charge.map(|charge| self.engine.open_dispute(&charge));
            }
            Step::Close(won) => {
                let dispute = self.engine.disputes().last().map(|dispute| dispute.id.clone());
                let _ = dispute.map(|dispute| self.engine.close_dispute(&dispute, *won));
            }
            change => {
                let Some(live) = self.live() else { return };
                self.change(change, &live);
            }
        }
    }

    fn buy(&mut self, tier: usize, trial: Option<u32>, card: CheckoutCard, tenant: &str) {
        if self.live().is_some() {
            return;
        }
        let price = Arc::clone(&self.prices[tier]);
        let mut order = Order::new(Some(self.customer.clone()), price, "https://shop.example/");
        order.trial_days = trial;
        order.without_card = WithoutCard::Pause;
        let metadata = BTreeMap::from([
            ("openclaw_tenant_id".to_owned(), tenant.to_owned()),
            ("niche".to_owned(), "pharmacy".to_owned()),
            ("locale".to_owned(), "pt-BR".to_owned()),
        ]);
        order.subscription_metadata = metadata.into();
        let session = self.engine.create_checkout(order).unwrap();
        if self.engine.pay_checkout(&session, card).is_err() {
            let _ = self.engine.expire_checkout(&session);
        }
    }

    fn change(&mut self, step: &Step, live: &str) {
        let engine = &mut self.engine;
        match step {
            Step::Upgrade(tier) => {
                let update = Update {
                    price: Some(self.prices[*tier].id.clone()),
                    proration: Proration::AlwaysInvoice,
                    behavior: Behavior::ErrorIfIncomplete,
                    ..Update::default()
                };
                let _ = engine.update_subscription(live, &update);
            }
            Step::Downgrade(tier) => {
                let Ok(schedule) = engine.schedule_from(live) else { return };
                let row = engine.subscription(live).unwrap().clone();
                let phase = |start, end, price: &Price| NewPhase {
                    start: Some(start),
                    end,
                    price: price.id.clone(),
                    quantity: 1,
                    proration: Proration::None,
                    metadata: BTreeMap::new(),
                };
                let phases = vec![
                    phase(row.period.start, PhaseEnd::At(row.period.end), &row.item.price),
                    phase(row.period.end, PhaseEnd::Periods(1), &self.prices[*tier]),
                ];
                let _ = engine.update_schedule(&schedule, Some(phases), None, Proration::None);
            }
            Step::AtPeriodEnd(end) => {
                let update = Update { cancel_at_period_end: Some(*end), ..Update::default() };
                let _ = engine.update_subscription(live, &update);
            }
            Step::Cancel => drop(engine.cancel(live, Cancellation::default())),
            Step::Resume => drop(engine.resume(live)),
            _ => {}
        }
    }
}
