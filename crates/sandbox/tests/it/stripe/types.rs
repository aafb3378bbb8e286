//! The generated types of `async-stripe`, which are of API version 2026-09-30.endive and strict.

use miniserde::Deserialize;
use oc_sandbox::stripe::Shape;
use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use super::{
    steps::{cases, settings, step, take},
    support::Shop,
};

fn parses<T: Deserialize>(object: &Value) -> bool {
    miniserde::json::from_str::<T>(&object.to_string()).is_ok()
}

/// Whether the generated type of an object takes it.
fn accepted(object: &Value) -> bool {
    match object["object"].as_str().unwrap() {
        "customer" => parses::<stripe_shared::Customer>(object),
        "product" => parses::<stripe_shared::Product>(object),
        "price" => parses::<stripe_shared::Price>(object),
        "checkout.session" => parses::<stripe_shared::CheckoutSession>(object),
        "subscription" => parses::<stripe_shared::Subscription>(object),
        "subscription_schedule" => parses::<stripe_shared::SubscriptionSchedule>(object),
        "invoice" => parses::<stripe_shared::Invoice>(object),
        "invoice_payment" => parses::<stripe_shared::InvoicePayment>(object),
        "payment_intent" => parses::<stripe_shared::PaymentIntent>(object),
        "charge" => parses::<stripe_shared::Charge>(object),
        "refund" => parses::<stripe_shared::Refund>(object),
        "dispute" => parses::<stripe_shared::Dispute>(object),
        "billing_portal.session" => parses::<stripe_billing::BillingPortalSession>(object),
        "billing_portal.configuration" => {
            parses::<stripe_billing::BillingPortalConfiguration>(object)
        }
        other => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn the_generated_types_take_every_object(settings in settings(), steps in vec(step(), 1..40)) {
        let mut shop = Shop::with(settings);
        let customer = shop.customer.clone();
        shop.engine.create_portal(&customer, None, None, None).unwrap();
        for step in &steps {
            take(&mut shop, step);
        }
        for event in shop.engine.events() {
            let event = event.json(Shape::New, 1);
            prop_assert!(parses::<stripe_shared::Event>(&event), "{event}");
            prop_assert!(accepted(&event["data"]["object"]), "{}", event["data"]["object"]);
        }
    }
}

#[test]
fn the_generated_types_are_of_the_version_that_the_stand_in_speaks() {
    assert_eq!(stripe_shared::version::VERSION.as_str(), Shape::New.version());
}

#[test]
fn the_generated_types_are_strict_enough_to_witness() {
    let mut shop = Shop::new();
    shop.subscribe(oc_sandbox::stripe::CheckoutCard::Works);
    let event = shop.engine.events().iter().find(|event| event.kind == "invoice.paid").unwrap();
    let mut object = event.json(Shape::New, 1)["data"]["object"].take();
    assert!(accepted(&object));
    object.as_object_mut().unwrap().remove("status_transitions");
    assert!(!accepted(&object));
}
