//! Random steps of a history.

use std::sync::Arc;

use oc_sandbox::stripe::{
    AtEnd, Behavior, Cancellation, Card, CheckoutCard, Engine, Exhausted, Id, InvoiceState,
    NewPhase, NewRefund, PhaseEnd, Price, Proration, Settings, Update, WithoutCard,
};
use proptest::{prelude::*, sample::select};

use super::support::{DAY, HOUR, Shop};

/// So many random histories.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// What somebody does; what makes no sense then is refused.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Wait(i64),
    Order { price: usize, trial: Option<u32> },
    Checkout(CheckoutCard),
    Card(Card),
    Change { price: usize, proration: Proration, behavior: Behavior },
    End(bool),
    Cancel,
    Resume,
    Schedule { price: usize, at_end: AtEnd },
    Release,
    Pay,
    Refund(Option<i64>),
    Dispute,
    Close(bool),
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let proration =
        select(vec![Proration::CreateProrations, Proration::AlwaysInvoice, Proration::None]);
    let behavior = select(vec![
        Behavior::AllowIncomplete,
        Behavior::ErrorIfIncomplete,
        Behavior::PendingIfIncomplete,
    ]);
    let checkout = select(vec![
        CheckoutCard::Works,
        CheckoutCard::Works,
        CheckoutCard::WorksOnce,
        CheckoutCard::Declines,
        CheckoutCard::None,
    ]);
    let wait = prop_oneof![0..3 * HOUR, 0..3 * DAY, 0..40 * DAY];
    prop_oneof![
        6 => wait.prop_map(Step::Wait),
        2 => (0..3_usize, proptest::option::of(1..20_u32))
            .prop_map(|(price, trial)| Step::Order { price, trial }),
        4 => checkout.prop_map(Step::Checkout),
        2 => select(vec![Card::None, Card::Works, Card::Works, Card::Declines]).prop_map(Step::Card),
        3 => (0..3_usize, proration, behavior)
            .prop_map(|(price, proration, behavior)| Step::Change { price, proration, behavior }),
        1 => any::<bool>().prop_map(Step::End),
        1 => Just(Step::Cancel),
        1 => Just(Step::Resume),
        1 => (0..3_usize, select(vec![AtEnd::Release, AtEnd::Release, AtEnd::Cancel]))
            .prop_map(|(price, at_end)| Step::Schedule { price, at_end }),
        1 => Just(Step::Release),
        2 => Just(Step::Pay),
        1 => proptest::option::of(1..3000_i64).prop_map(Step::Refund),
        1 => Just(Step::Dispute),
        1 => any::<bool>().prop_map(Step::Close),
    ]
}

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    select(vec![Exhausted::Canceled, Exhausted::Unpaid, Exhausted::PastDue])
        .prop_map(|exhausted| Settings { exhausted, ..Settings::default() })
}

pub(crate) fn take(shop: &mut Shop, step: &Step) {
    let prices = [&shop.starter, &shop.pro, &shop.yearly].map(Arc::clone);
    let newest = shop.engine.subscriptions().last().map(|row| row.id.clone());
    let newest = newest.unwrap_or_else(|| Id::from("sub_none"));
    let customer = shop.customer.clone();
    let engine = &mut shop.engine;
    match step {
        Step::Wait(seconds) => engine.advance_to(engine.now() + seconds),
        Step::Order { price, trial } => {
            let mut order = shop.order(&prices[*price]);
            order.trial_days = *trial;
            order.card_optional = true;
            order.without_card = WithoutCard::Pause;
            shop.engine.create_checkout(order).unwrap();
        }
        Step::Checkout(card) => {
            let session = engine.sessions().last().map(|session| session.id.clone());
            let _ = session.map(|session| engine.pay_checkout(&session, *card));
        }
        Step::Card(card) => engine.set_card(&customer, *card).unwrap(),
        Step::Change { price, proration, behavior } => {
            let price = Some(prices[*price].id.clone());
            let (proration, behavior) = (*proration, *behavior);
            let update = Update { price, proration, behavior, ..Update::default() };
            let _ = engine.update_subscription(&newest, &update);
        }
        Step::End(end) => {
            let update = Update { cancel_at_period_end: Some(*end), ..Update::default() };
            let _ = engine.update_subscription(&newest, &update);
        }
        Step::Cancel => drop(engine.cancel(&newest, Cancellation::default())),
        Step::Resume => drop(engine.resume(&newest)),
        Step::Schedule { price, at_end } => schedule(engine, &newest, &prices[*price], *at_end),
        Step::Release => {
            let schedule = engine.schedules().last().map(|schedule| schedule.id.clone());
            let _ = schedule.map(|schedule| engine.release_schedule(&schedule));
        }
        Step::Pay => {
            let open = engine.invoices().rfind(|bill| bill.state != InvoiceState::Paid);
            let _ = open.map(|bill| bill.id.clone()).map(|bill| engine.pay_invoice(&bill));
        }
        Step::Refund(amount) => {
            let of = engine.charges().last().map(|charge| charge.id.to_string());
            let amount = *amount;
            let _ =
                of.map(|of| engine.create_refund(NewRefund { of, amount, ..NewRefund::default() }));
        }
        Step::Dispute => {
            let charge = engine.charges().last().map(|charge| charge.id.clone());
            let _ = charge.map(|charge| engine.open_dispute(&charge));
        }
        Step::Close(won) => {
            let dispute = engine.disputes().last().map(|dispute| dispute.id.clone());
            let _ = dispute.map(|dispute| engine.close_dispute(&dispute, *won));
        }
    }
}

fn schedule(engine: &mut Engine, subscription: &str, price: &Price, at_end: AtEnd) {
    let Ok(schedule) = engine.schedule_from(subscription) else { return };
    let row = engine.subscription(subscription).unwrap();
    let phase = |start, end, price: &Price| NewPhase {
        start: Some(start),
        end,
        price: price.id.clone(),
        quantity: 1,
        proration: Proration::CreateProrations,
        metadata: [("phase".to_owned(), start.to_string())].into(),
    };
    let phases = vec![
        phase(row.period.start, PhaseEnd::At(row.period.end), &row.item.price),
        phase(row.period.end, PhaseEnd::Periods(2), price),
    ];
    // Refused where the period is over, as in a pause.
    let _ = engine.update_schedule(&schedule, Some(phases), Some(at_end), Proration::None);
}
