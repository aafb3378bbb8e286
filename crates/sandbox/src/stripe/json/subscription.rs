use serde_json::{Value, json};

use super::{
    super::{
        calendar::Period,
        shape::Shape,
        subscription::{Item, Subscription},
    },
    billing_mode, extend, invoice_settings, list, no_tax,
};

const NULLS: [&str; 18] = [
    "application",
    "application_fee_percent",
    "billing_cycle_anchor_config",
    "billing_thresholds",
    "customer_account",
    "days_until_due",
    "default_source",
    "description",
    "managed_payments",
    "next_pending_invoice_item_invoice",
    "on_behalf_of",
    "pause_collection",
    "pending_invoice_item_interval",
    "pending_setup_intent",
    "pending_update",
    "test_clock",
    "transfer_data",
    "trial_start",
];

impl Subscription {
    /// The JSON of it.
    pub(in super::super) fn json(&self, shape: Shape) -> Value {
        let status: &str = self.status.into();
        let items = [self.item_json(&self.item, shape)];
        let mut object = json!({
            "id": &*self.id, "object": "subscription", "created": self.created, "livemode": false,
            "automatic_tax": no_tax(), "billing_cycle_anchor": self.anchor,
            "cancel_at": self.cancel_at, "cancel_at_period_end": self.cancel_at_period_end,
            "canceled_at": self.canceled_at, "collection_method": "charge_automatically",
            "currency": &*self.item.price.currency, "customer": &*self.customer,
            "default_payment_method": self.payment_method, "default_tax_rates": [],
            "discounts": [], "ended_at": self.ended_at, "latest_invoice": self.latest_invoice,
            "items": list(&format!("/v1/subscription_items?subscription={}", self.id), &items),
            "metadata": *self.metadata, "schedule": self.schedule, "start_date": self.created,
            "status": status, "trial_end": self.trial.map(|trial| trial.end),
            "trial_start": self.trial.map(|trial| trial.start),
        });
        self.settings(&mut object, shape);
        let mut object = shape.finish(object, &NULLS);
        if let (Shape::Old, Some(fields)) = (shape, object.as_object_mut()) {
            fields.remove("billing_schedules");
            fields.remove("billing_mode");
        }
        object
    }

    fn settings(&self, object: &mut Value, shape: Shape) {
        let cancellation = json!({
            "reason": self.cancellation.reason, "feedback": self.cancellation.feedback,
            "comment": self.cancellation.comment, "feedback_option": null,
        });
        let without_card: &str = self.without_card.into();
        extend(
            object,
            json!({
                "billing_mode": billing_mode(),
                "billing_schedules": [], "cancellation_details": cancellation,
                "invoice_settings": invoice_settings(),
                "payment_settings": {
                    "payment_method_options": null, "payment_method_types": null,
                    "save_default_payment_method": "off",
                },
                "trial_settings": { "end_behavior": { "missing_payment_method": without_card } },
            }),
        );
        if let Some(update) = &self.pending_update {
            let item = self.item_json(&update.item, shape);
            let update = json!({
                "billing_cycle_anchor": null, "discount": null, "discounts": null,
                "expires_at": update.expires_at, "metadata": null, "subscription_items": [item],
                "trial_end": null, "trial_from_plan": null,
            });
            extend(object, json!({ "pending_update": update }));
        }
        if shape == Shape::Old {
            let Period { start, end } = self.period;
            extend(
                object,
                json!({
                    "current_period_start": start, "current_period_end": end, "discount": null,
                    "plan": self.item.price.plan(shape), "quantity": self.item.quantity,
                }),
            );
        }
    }

    fn item_json(&self, item: &Item, shape: Shape) -> Value {
        let mut object = json!({
            "id": &*item.id, "object": "subscription_item", "created": self.created,
            "billing_thresholds": null, "discounts": [], "metadata": {},
            "plan": item.price.plan(shape), "price": item.price.json(shape),
            "quantity": item.quantity, "subscription": &*self.id, "tax_rates": [],
        });
        if shape != Shape::Old {
            let Period { start, end } = self.period;
            extend(
                &mut object,
                json!({ "current_period_start": start, "current_period_end": end }),
            );
        }
        object
    }
}
