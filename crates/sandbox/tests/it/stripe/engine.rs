use std::collections::BTreeMap;

use oc_sandbox::stripe::{
    AtEnd, Behavior, Cancellation, Card, CheckoutCard, Exhausted, InvoiceState, NewPhase,
    NewRefund, PhaseEnd, Proration, Purpose, ScheduleState, SessionState, Settings, Shape, Status,
    Update, WithoutCard,
};

use super::support::{DAY, HOUR, START, Shop};

fn to(price: &oc_sandbox::stripe::Price, behavior: Behavior) -> Update {
    let proration = Proration::AlwaysInvoice;
    Update { price: Some(price.id.clone()), proration, behavior, ..Update::default() }
}

fn exhausted(exhausted: Exhausted) -> Shop {
    Shop::with(Settings { exhausted, ..Settings::default() })
}

#[test]
fn a_paid_checkout_makes_an_active_subscription() {
    let mut shop = Shop::new();
    let before = shop.engine.events().len();
    let id = shop.subscribe(CheckoutCard::Works);
    let row = shop.subscription(&id);
    assert_eq!(row.status, Status::Active);
    assert_eq!(row.period.start, START);
    assert_eq!(row.period.end, START + 30 * DAY);
    assert_eq!(shop.latest(&id).state, InvoiceState::Paid);
    let charge = shop.engine.charges().next().unwrap();
    assert_eq!((charge.amount, charge.paid), (1900, true));
    assert_eq!(
        shop.events_since(before),
        [
            "customer.updated",
            "customer.subscription.created",
            "invoice.created",
            "payment_intent.created",
            "invoice.finalized",
            "charge.succeeded",
            "payment_intent.succeeded",
            "invoice_payment.paid",
            "invoice.paid",
            "invoice.payment_succeeded",
            "customer.subscription.updated",
            "checkout.session.completed",
        ]
    );
}

#[test]
fn an_event_shows_its_object_as_it_was_and_what_changed() {
    let mut shop = Shop::new();
    shop.subscribe(CheckoutCard::Works);
    let event = |kind| shop.engine.events().iter().find(|event| event.kind == kind).unwrap();
    let created = event("customer.subscription.created").json(Shape::New, 1);
    assert_eq!(created["data"]["object"]["status"], "incomplete");
    let updated = event("customer.subscription.updated").json(Shape::New, 1);
    assert_eq!(updated["data"]["object"]["status"], "active");
    assert_eq!(
        updated["data"]["previous_attributes"],
        serde_json::json!({ "status": "incomplete" })
    );
    assert_eq!(updated["api_version"], "2026-09-30.endive");
}

#[test]
fn periods_stand_where_the_version_has_them() {
    let mut shop = Shop::new();
    shop.subscribe(CheckoutCard::Works);
    let json = |kind: &str, shape| {
        let event = shop.engine.events().iter().find(|event| event.kind == kind).unwrap();
        event.json(shape, 1)["data"]["object"].clone()
    };
    let kind = "customer.subscription.created";
    let (old, new) = (json(kind, Shape::Old), json(kind, Shape::New));
    assert_eq!(old["current_period_start"], START);
    assert!(old["items"]["data"][0]["current_period_start"].is_null());
    assert!(new["current_period_start"].is_null());
    assert_eq!(new["items"]["data"][0]["current_period_start"], START);
    let (old, new) = (json("invoice.paid", Shape::Old), json("invoice.paid", Shape::New));
    assert_eq!(old["subscription"], new["parent"]["subscription_details"]["subscription"]);
    assert!(new["subscription"].is_null() && old["parent"].is_null());
    assert!(!json(kind, Shape::Unknown)["unheard_of"].is_null());
}

#[test]
fn a_renewal_is_drafted_at_once_and_paid_an_hour_later() {
    let mut shop = Shop::new();
    let id = shop.subscribe(CheckoutCard::Works);
    shop.wait(30 * DAY);
    assert_eq!(shop.subscription(&id).period.start, START + 30 * DAY);
    assert_eq!(shop.latest(&id).state, InvoiceState::Draft);
    assert_eq!(shop.subscription(&id).status, Status::Active);
    shop.wait(HOUR - 1);
    assert_eq!(shop.latest(&id).state, InvoiceState::Draft);
    shop.wait(1);
    assert_eq!(shop.latest(&id).state, InvoiceState::Paid);
    assert_eq!(shop.latest(&id).paid_at, Some(START + 30 * DAY + HOUR));
}

#[test]
fn a_declined_checkout_leaves_an_incomplete_subscription_that_the_next_card_pays() {
    let mut shop = Shop::new();
    let order = shop.order(&shop.starter);
    let session = shop.engine.create_checkout(order).unwrap();
    let error = shop.engine.pay_checkout(&session, CheckoutCard::Declines).unwrap_err();
    assert_eq!((error.status, error.code), (402, Some("card_declined")));
    assert_eq!(shop.who().card, Card::None);
    assert_eq!(shop.engine.subscriptions().next().unwrap().status, Status::Incomplete);
    shop.engine.pay_checkout(&session, CheckoutCard::Works).unwrap();
    assert_eq!(shop.engine.subscriptions().count(), 1);
    assert_eq!(shop.engine.subscriptions().next().unwrap().status, Status::Active);
    assert_eq!(shop.engine.session(&session).unwrap().state, SessionState::Complete);
    let intent = shop.engine.payment_intents().next().unwrap();
    assert_eq!(shop.engine.charges().filter(|charge| charge.intent == intent.id).count(), 2);
}

#[test]
fn an_incomplete_subscription_expires_after_23_hours_and_its_page_after_24() {
    let mut shop = Shop::new();
    let order = shop.order(&shop.starter);
    let session = shop.engine.create_checkout(order).unwrap();
    shop.engine.pay_checkout(&session, CheckoutCard::Declines).unwrap_err();
    shop.wait(23 * HOUR);
    let row = shop.engine.subscriptions().next().unwrap();
    assert_eq!(row.status, Status::IncompleteExpired);
    assert_eq!(shop.latest(&row.id.clone()).state, InvoiceState::Void);
    assert_eq!(shop.engine.session(&session).unwrap().state, SessionState::Open);
    shop.wait(HOUR);
    assert_eq!(shop.engine.session(&session).unwrap().state, SessionState::Expired);
    assert_eq!(shop.engine.events().last().unwrap().kind, "checkout.session.expired");
}

#[test]
fn a_renewal_that_fails_is_tried_after_1_3_5_and_7_days_and_then_the_setting_decides() {
    for (setting, status) in [
        (Exhausted::Canceled, Status::Canceled),
        (Exhausted::Unpaid, Status::Unpaid),
        (Exhausted::PastDue, Status::PastDue),
    ] {
        let mut shop = exhausted(setting);
        let id = shop.subscribe(CheckoutCard::WorksOnce);
        shop.wait(30 * DAY + HOUR);
        let mut tried = vec![0];
        while let Some(next) = shop.latest(&id).next_attempt {
            assert_eq!(shop.subscription(&id).status, Status::PastDue);
            tried.push((next - START - 30 * DAY - HOUR) / DAY);
            shop.engine.advance_to(next);
        }
        assert_eq!(tried, [0, 1, 3, 5, 7]);
        assert_eq!(shop.latest(&id).attempts, 5);
        assert_eq!(shop.subscription(&id).status, status);
        assert!(shop.who().delinquent);
    }
}

#[test]
fn a_card_that_works_again_heals_at_the_next_retry() {
    let mut shop = Shop::new();
    let id = shop.subscribe(CheckoutCard::WorksOnce);
    shop.wait(30 * DAY + HOUR);
    assert_eq!(shop.subscription(&id).status, Status::PastDue);
    shop.engine.set_card(&shop.customer.clone(), Card::Works).unwrap();
    shop.wait(DAY);
    assert_eq!(shop.subscription(&id).status, Status::Active);
    assert_eq!(shop.latest(&id).attempts, 2);
    assert!(!shop.who().delinquent);
}

#[test]
fn an_unpaid_subscription_collects_nothing_until_its_invoice_is_paid() {
    let mut shop = exhausted(Exhausted::Unpaid);
    let id = shop.subscribe(CheckoutCard::WorksOnce);
    shop.wait(62 * DAY);
    assert_eq!(shop.subscription(&id).status, Status::Unpaid);
    assert_eq!(shop.latest(&id).state, InvoiceState::Draft);
    assert!(!shop.latest(&id).advances);
    shop.engine.set_card(&shop.customer.clone(), Card::Works).unwrap();
    let latest = shop.latest(&id).id.clone();
    shop.engine.pay_invoice(&latest).unwrap();
    assert_eq!(shop.subscription(&id).status, Status::Active);
}

#[test]
fn a_manual_payment_does_not_move_the_schedule_of_retries() {
    let mut shop = Shop::new();
    let id = shop.subscribe(CheckoutCard::WorksOnce);
    shop.wait(30 * DAY + 2 * HOUR);
    let before = shop.latest(&id).clone();
    let error = shop.engine.pay_invoice(&before.id).unwrap_err();
    assert_eq!(error.status, 402);
    assert_eq!(shop.latest(&id).attempts, before.attempts);
    assert_eq!(shop.latest(&id).next_attempt, before.next_attempt);
}

#[test]
fn an_upgrade_bills_the_difference_to_the_second() {
    let mut shop = Shop::new();
    let id = shop.subscribe(CheckoutCard::Works);
    shop.wait(10 * DAY);
    let update = to(&shop.pro, Behavior::AllowIncomplete);
    shop.engine.update_subscription(&id, &update).unwrap();
    let amounts: Vec<i64> = shop.latest(&id).lines.iter().map(|line| line.amount).collect();
    assert_eq!(amounts, [-1267, 3267]);
    assert_eq!((shop.latest(&id).due, shop.latest(&id).paid), (2000, 2000));
    assert_eq!(shop.subscription(&id).item.price, shop.pro);
    assert_eq!(shop.subscription(&id).period.start, START);
}

#[test]
fn an_upgrade_that_is_not_paid_does_what_its_behavior_says() {
    let mut shop = Shop::new();
    let id = shop.subscribe(CheckoutCard::WorksOnce);
    shop.wait(10 * DAY);
    let try_with = |behavior| {
        let mut shop = shop.clone();
        let update = to(&shop.pro, behavior);
        let done = shop.engine.update_subscription(&id, &update);
        (shop, done)
    };

    let (refused, done) = try_with(Behavior::ErrorIfIncomplete);
    assert_eq!(done.unwrap_err().status, 402);
    assert_eq!(refused.engine.events().len(), shop.engine.events().len());

    let (allowed, done) = try_with(Behavior::AllowIncomplete);
    done.unwrap();
    assert_eq!(allowed.subscription(&id).status, Status::PastDue);
    assert_eq!(allowed.subscription(&id).item.price, shop.pro);

    let (pending, done) = try_with(Behavior::PendingIfIncomplete);
    done.unwrap();
    assert_eq!(pending.subscription(&id).status, Status::Active);
    assert_eq!(pending.subscription(&id).item.price, shop.starter);
    assert_eq!(pending.latest(&id).purpose, Purpose::Update);

    let mut late = pending.clone();
    late.wait(23 * HOUR);
    assert!(late.subscription(&id).pending_update.is_none());
    assert_eq!(late.latest(&id).state, InvoiceState::Void);
    assert_eq!(late.subscription(&id).item.price, shop.starter);

    let mut paid = pending;
    paid.engine.set_card(&shop.customer, Card::Works).unwrap();
    let invoice = paid.latest(&id).id.clone();
    paid.engine.pay_invoice(&invoice).unwrap();
    assert_eq!(paid.subscription(&id).item.price, shop.pro);
    assert!(paid.subscription(&id).pending_update.is_none());
}

#[test]
fn credit_from_a_downgrade_now_pays_the_next_renewal() {
    let mut shop = Shop::new();
    let order = shop.order(&shop.pro);
    let session = shop.engine.create_checkout(order).unwrap();
    shop.engine.pay_checkout(&session, CheckoutCard::Works).unwrap();
    let id = shop.engine.session(&session).unwrap().subscription.clone().unwrap();
    shop.wait(15 * DAY);
    let update = to(&shop.starter, Behavior::AllowIncomplete);
    shop.engine.update_subscription(&id, &update).unwrap();
    assert_eq!(shop.latest(&id).total(), -1500);
    assert_eq!(shop.who().balance, -1500);
    shop.wait(15 * DAY + HOUR);
    assert_eq!((shop.latest(&id).total(), shop.latest(&id).due), (1900, 400));
    assert_eq!(shop.who().balance, 0);
}

#[test]
fn another_interval_begins_a_period() {
    let mut shop = Shop::new();
    let id = shop.subscribe(CheckoutCard::Works);
    shop.wait(15 * DAY);
    let update = to(&shop.yearly, Behavior::AllowIncomplete);
    shop.engine.update_subscription(&id, &update).unwrap();
    assert_eq!(shop.latest(&id).due, 19_000 - 950);
    let period = shop.subscription(&id).period;
    assert_eq!((period.start, period.end), (START + 15 * DAY, START + (15 + 365) * DAY));
}

#[test]
fn a_cancellation_at_period_end_can_be_undone_until_then() {
    let mut shop = Shop::new();
    let id = shop.subscribe(CheckoutCard::Works);
    let ends = |end| Update { cancel_at_period_end: Some(end), ..Update::default() };
    shop.engine.update_subscription(&id, &ends(true)).unwrap();
    assert_eq!(shop.subscription(&id).cancel_at, Some(START + 30 * DAY));
    assert_eq!(shop.subscription(&id).canceled_at, Some(START));
    shop.engine.update_subscription(&id, &ends(false)).unwrap();
    assert_eq!(shop.subscription(&id).cancel_at, None);
    assert_eq!(shop.subscription(&id).canceled_at, None);
    shop.engine.update_subscription(&id, &ends(true)).unwrap();
    shop.wait(30 * DAY);
    let row = shop.subscription(&id);
    assert_eq!((row.status, row.ended_at), (Status::Canceled, Some(START + 30 * DAY)));
    assert_eq!(row.cancellation.reason, Some("cancellation_requested"));
    assert_eq!(shop.engine.invoices().count(), 1);
}

#[test]
fn an_ended_subscription_is_not_collected_any_more() {
    let mut shop = Shop::new();
    let id = shop.subscribe(CheckoutCard::Works);
    shop.wait(30 * DAY);
    shop.engine.cancel(&id, Cancellation::default()).unwrap();
    shop.wait(DAY);
    assert_eq!(shop.latest(&id).state, InvoiceState::Draft);
    assert!(!shop.latest(&id).advances);
    assert_eq!(shop.engine.cancel(&id, Cancellation::default()).unwrap_err().status, 404);
}

#[test]
fn a_trial_without_a_card_pauses_and_a_payment_resumes_it() {
    let mut shop = Shop::new();
    let mut order = shop.order(&shop.starter);
    order.trial_days = Some(14);
    order.without_card = WithoutCard::Pause;
    order.card_optional = true;
    let session = shop.engine.create_checkout(order).unwrap();
    shop.engine.pay_checkout(&session, CheckoutCard::None).unwrap();
    let json = shop.engine.events().last().unwrap().json(Shape::New, 0);
    assert_eq!(json["data"]["object"]["payment_status"], "no_payment_required");
    let id = shop.engine.session(&session).unwrap().subscription.clone().unwrap();
    assert_eq!(shop.subscription(&id).status, Status::Trialing);
    assert_eq!((shop.latest(&id).due, shop.latest(&id).state), (0, InvoiceState::Paid));
    shop.wait(11 * DAY);
    let kind = shop.engine.events().last().unwrap().kind;
    assert_eq!(kind, "customer.subscription.trial_will_end");
    shop.wait(3 * DAY);
    assert_eq!(shop.subscription(&id).status, Status::Paused);
    assert_eq!(shop.engine.events().last().unwrap().kind, "customer.subscription.paused");

    shop.engine.resume(&id).unwrap();
    assert_eq!(shop.subscription(&id).status, Status::Paused);
    shop.wait(23 * HOUR);
    assert_eq!(shop.latest(&id).state, InvoiceState::Void);
    shop.engine.set_card(&shop.customer.clone(), Card::Works).unwrap();
    shop.engine.resume(&id).unwrap();
    assert_eq!(shop.subscription(&id).status, Status::Active);
    assert_eq!(shop.subscription(&id).period.start, shop.engine.now());
    assert_eq!(shop.engine.events().last().unwrap().kind, "customer.subscription.resumed");
}

#[test]
fn a_trial_with_a_card_is_paid_an_hour_after_its_end() {
    let mut shop = Shop::new();
    let mut order = shop.order(&shop.starter);
    order.trial_days = Some(7);
    let session = shop.engine.create_checkout(order).unwrap();
    shop.engine.pay_checkout(&session, CheckoutCard::Works).unwrap();
    let id = shop.engine.session(&session).unwrap().subscription.clone().unwrap();
    shop.wait(7 * DAY);
    assert_eq!(shop.subscription(&id).status, Status::Active);
    assert_eq!(shop.engine.charges().count(), 0);
    shop.wait(HOUR);
    assert_eq!((shop.latest(&id).paid, shop.latest(&id).state), (1900, InvoiceState::Paid));
}

fn downgrade(shop: &mut Shop, id: &str) -> oc_sandbox::stripe::Id {
    let schedule = shop.engine.schedule_from(id).unwrap();
    let phase = |start, end, price: &oc_sandbox::stripe::Price| NewPhase {
        start,
        end,
        price: price.id.clone(),
        quantity: 1,
        proration: Proration::None,
        metadata: BTreeMap::new(),
    };
    let end = shop.subscription(id).period.end;
    let phases = vec![
        phase(Some(START), PhaseEnd::At(end), &shop.pro),
        phase(None, PhaseEnd::Periods(1), &shop.starter),
    ];
    let (at_end, none) = (Some(AtEnd::Release), Proration::None);
    shop.engine.update_schedule(&schedule, Some(phases), at_end, none).unwrap();
    schedule
}

fn pro(shop: &mut Shop) -> oc_sandbox::stripe::Id {
    let order = shop.order(&shop.pro);
    let session = shop.engine.create_checkout(order).unwrap();
    shop.engine.pay_checkout(&session, CheckoutCard::Works).unwrap();
    shop.engine.session(&session).unwrap().subscription.clone().unwrap()
}

#[test]
fn a_scheduled_downgrade_happens_with_the_renewal() {
    let mut shop = Shop::new();
    let id = pro(&mut shop);
    shop.wait(DAY);
    let schedule = downgrade(&mut shop, &id);
    assert_eq!(shop.subscription(&id).item.price, shop.pro);
    shop.wait(29 * DAY + HOUR);
    assert_eq!(shop.subscription(&id).item.price, shop.starter);
    assert_eq!(shop.latest(&id).paid, 1900);
    assert_eq!(shop.subscription(&id).schedule.as_ref(), Some(&schedule));
    shop.wait(31 * DAY);
    assert_eq!(shop.subscription(&id).schedule, None);
    let state = shop.engine.schedule(&schedule).unwrap().state;
    assert!(matches!(state, ScheduleState::Released(_)));
    assert_eq!(shop.subscription(&id).item.price, shop.starter);
}

#[test]
fn a_released_schedule_changes_nothing_any_more() {
    let mut shop = Shop::new();
    let id = pro(&mut shop);
    let schedule = downgrade(&mut shop, &id);
    let ends = Update { cancel_at_period_end: Some(true), ..Update::default() };
    assert_eq!(shop.engine.update_subscription(&id, &ends.clone()).unwrap_err().status, 400);
    shop.engine.release_schedule(&schedule).unwrap();
    shop.wait(30 * DAY + HOUR);
    assert_eq!(shop.latest(&id).paid, 4900);
    shop.engine.update_subscription(&id, &ends).unwrap();
}

#[test]
fn refunds_go_no_further_than_their_charge() {
    let mut shop = Shop::new();
    shop.subscribe(CheckoutCard::Works);
    let charge = shop.engine.charges().next().unwrap().id.clone();
    let refund = |amount| NewRefund { of: charge.to_string(), amount, ..NewRefund::default() };
    shop.engine.create_refund(refund(Some(500))).unwrap();
    assert_eq!(shop.engine.create_refund(refund(Some(1500))).unwrap_err().status, 400);
    shop.engine.create_refund(refund(None)).unwrap();
    assert_eq!(shop.engine.charge(&charge).unwrap().refunded, 1900);
    let error = shop.engine.create_refund(refund(None)).unwrap_err();
    assert_eq!(error.code, Some("charge_already_refunded"));
    let json = shop.engine.events().last().unwrap().json(Shape::New, 0);
    assert_eq!(json["type"], "charge.refunded");
    assert_eq!(json["data"]["object"]["refunded"], true);
    assert_eq!(json["data"]["previous_attributes"]["amount_refunded"], 500);
}

#[test]
fn a_dispute_is_opened_once_and_closed_once() {
    let mut shop = Shop::new();
    shop.subscribe(CheckoutCard::Works);
    let charge = shop.engine.charges().next().unwrap().id.clone();
    let before = shop.engine.events().len();
    let dispute = shop.engine.open_dispute(&charge).unwrap();
    assert!(shop.engine.open_dispute(&charge).is_err());
    shop.engine.close_dispute(&dispute, true).unwrap();
    assert!(shop.engine.close_dispute(&dispute, false).is_err());
    assert_eq!(
        shop.events_since(before),
        [
            "charge.updated",
            "charge.dispute.created",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.funds_reinstated",
            "charge.dispute.closed",
        ]
    );
}
