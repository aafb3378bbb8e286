//! What holds after every step of any history.

use std::{collections::HashMap, sync::Arc, time::Instant};

use oc_sandbox::stripe::{
    CheckoutCard, Customer, Engine, Event, IntentState, Invoice, InvoiceState, PaymentState, Shape,
    Snapshot, Status, Subscription,
};
use proptest::{collection::vec, prelude::*};

use super::{
    steps::{Step, cases, settings, step, take},
    support::{DAY, HOUR, Shop},
};

fn check(engine: &Engine) {
    engine.invoices().for_each(|invoice| check_invoice(engine, invoice));
    engine.customers().for_each(|customer| check_balance(engine, customer));
    engine.subscriptions().for_each(|row| check_subscription(engine, row));
    for charge in engine.charges() {
        let refunds = engine.refunds().filter(|refund| refund.charge == charge.id);
        assert_eq!(refunds.map(|refund| refund.amount).sum::<i64>(), charge.refunded);
        assert!(charge.refunded <= charge.amount);
    }
    assert!(engine.next_due().is_none_or(|due| due > engine.now()), "something is overdue");
}

fn check_invoice(engine: &Engine, invoice: &Invoice) {
    assert_eq!(invoice.total(), invoice.lines.iter().map(|line| line.amount).sum::<i64>());
    assert!(!invoice.lines.is_empty() && invoice.due >= 0);
    if let Some(after) = invoice.ending_balance {
        assert_eq!(invoice.total() + invoice.starting_balance, invoice.due + after);
    }
    let paid = invoice.state == InvoiceState::Paid;
    assert_eq!(invoice.paid, if paid { invoice.due } else { 0 });
    assert_eq!(invoice.intent.is_some(), invoice.ending_balance.is_some() && invoice.due > 0);
    let Some(intent) = &invoice.intent else { return };
    let intent = engine.payment_intent(intent).unwrap();
    assert_eq!(intent.amount, invoice.due);
    let charges = engine.charges().filter(|charge| charge.intent == intent.id);
    let good: Vec<_> = charges.filter(|charge| charge.paid).collect();
    let payment = engine.invoice_payments().find(|payment| payment.invoice == invoice.id).unwrap();
    match (invoice.state, intent.state, payment.state) {
        (InvoiceState::Paid, IntentState::Succeeded, PaymentState::Paid(at)) => {
            assert_eq!(good.len(), 1);
            assert_eq!((good[0].amount, Some(at)), (invoice.due, invoice.paid_at));
        }
        (InvoiceState::Open, IntentState::RequiresPaymentMethod, PaymentState::Open)
        | (InvoiceState::Void, IntentState::Canceled(_), PaymentState::Canceled(_)) => {
            assert!(good.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

fn check_balance(engine: &Engine, customer: &Customer) {
    let mine = engine.invoices().filter(|invoice| invoice.customer == customer.id);
    let moved = mine.filter_map(|bill| bill.ending_balance.map(|end| end - bill.starting_balance));
    assert_eq!(customer.balance, moved.sum::<i64>());
}

fn check_subscription(engine: &Engine, row: &Subscription) {
    let newest = engine
        .invoices()
        .rev()
        .find(|invoice| invoice.subscription == row.id && invoice.counts())
        .map(|invoice| invoice.state);
    let now = engine.now();
    match row.status {
        Status::Active => assert_eq!(newest, Some(InvoiceState::Paid)),
        Status::PastDue | Status::Unpaid => assert_eq!(newest, Some(InvoiceState::Open)),
        Status::Trialing => assert!(row.trial.unwrap().end > now),
        Status::Incomplete => assert!(row.created + 23 * HOUR > now),
        Status::Canceled | Status::IncompleteExpired => assert!(row.ended_at.is_some()),
        Status::Paused => assert!(row.trial.is_some()),
    }
    if matches!(row.status, Status::Active | Status::PastDue | Status::Unpaid | Status::Trialing) {
        assert!((row.period.start..row.period.end).contains(&now), "{row:?} at {now}");
    }
    if !row.status.is_live() {
        assert!(row.schedule.is_none() && row.pending_update.is_none());
        let mut mine = engine.invoices().filter(|invoice| invoice.subscription == row.id);
        assert!(mine.all(|invoice| !invoice.advances));
    }
}

/// Each event follows from the one before of the same object, and the last one shows it as it is.
fn check_events(engine: &Engine) {
    let mut last: HashMap<&str, &Event> = HashMap::new();
    let mut at = 0;
    for event in engine.events() {
        assert!(event.created >= at);
        at = event.created;
        let before = last.insert(event.object.id(), event);
        let (Snapshot::Subscription(new), Some(Snapshot::Subscription(old))) =
            (&event.object, before.map(|event| &event.object))
        else {
            continue;
        };
        assert!(old.status.is_live(), "{} after the end", event.kind);
        let follows = new.period.start == old.period.end || new.period.start == event.created;
        // A resumption bills from when it was asked for.
        let resumes = old.status == Status::Paused && new.period.start > old.period.end;
        assert!(
            new.period == old.period || follows || resumes,
            "{:?} after {:?}",
            new.period,
            old.period
        );
    }
    for row in engine.subscriptions() {
        let Snapshot::Subscription(shown) = &last[&*row.id].object else { panic!() };
        assert_eq!(&**shown, row);
    }
    for row in engine.invoices() {
        let Snapshot::Invoice(shown) = &last[&*row.id].object else { panic!() };
        assert_eq!(&**shown, row);
    }
    for row in engine.charges() {
        let Snapshot::Charge(shown) = &last[&*row.id].object else { panic!() };
        assert_eq!(&**shown, row);
    }
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn the_account_is_sound_after_every_step(settings in settings(), steps in vec(step(), 1..40)) {
        let mut shop = Shop::with(settings);
        for step in &steps {
            take(&mut shop, step);
            check(&shop.engine);
        }
        check_events(&shop.engine);
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn the_same_steps_give_the_same_account(settings in settings(), steps in vec(step(), 1..40)) {
        let run = |jump: bool| {
            let mut shop = Shop::with(settings.clone());
            for step in &steps {
                match step {
                    // Whether time passes at once or bit by bit makes no difference.
                    Step::Wait(seconds) if !jump => {
                        let end = shop.engine.now() + seconds;
                        while let Some(due) = shop.engine.next_due().filter(|due| *due <= end) {
                            shop.engine.advance_to(due);
                        }
                        shop.engine.advance_to(end);
                    }
                    step => take(&mut shop, step),
                }
            }
            let json = |event: &Arc<Event>| event.json(Shape::New, 0);
            shop.engine.events().iter().map(json).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(true), run(false));
    }
}

#[test]
fn a_month_takes_microseconds_and_a_copy_too() {
    let mut shop = Shop::new();
    shop.subscribe(CheckoutCard::Works);
    let best = |mut work: Box<dyn FnMut() + '_>| {
        let time = |()| {
            let start = Instant::now();
            work();
            start.elapsed()
        };
        [(); 100].map(time).into_iter().min().unwrap()
    };
    let month = best(Box::new(|| shop.wait(30 * DAY)));
    let copy = best(Box::new(|| drop(shop.engine.clone())));
    println!("a month {month:?}, a copy of {} events {copy:?}", shop.engine.events().len());
    // Debug builds are slow; a millisecond would still spoil a property test.
    assert!(month.as_micros() < 1000 && copy.as_micros() < 1000, "{month:?} {copy:?}");
}
