use oc_sandbox::stripe::Shape;
use proptest::{collection::vec, prelude::*};

use crate::{
    schema,
    steps::{cases, settings, step, take},
    support::Shop,
};

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn every_event_and_its_object_conform(settings in settings(), steps in vec(step(), 1..40)) {
        let mut shop = Shop::with(settings);
        let customer = shop.customer.clone();
        shop.engine.create_portal(&customer, None, None, None).unwrap();
        for step in &steps {
            take(&mut shop, step);
        }
        for event in shop.engine.events() {
            let event = event.json(Shape::New, 1);
            schema::check(&event);
            schema::check(&event["data"]["object"]);
        }
    }
}
