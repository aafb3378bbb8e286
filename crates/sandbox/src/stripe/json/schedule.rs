use serde_json::{Value, json};

use super::{
    super::{
        schedule::{Phase, Schedule, ScheduleState},
        shape::Shape,
        subscription::Proration,
    },
    billing_mode, extend, invoice_settings, no_tax,
};

const NULLS: [&str; 4] = ["application", "completed_at", "customer_account", "test_clock"];
const PHASE_NULLS: [&str; 11] = [
    "application_fee_percent",
    "automatic_tax",
    "billing_cycle_anchor",
    "billing_thresholds",
    "collection_method",
    "default_payment_method",
    "description",
    "invoice_settings",
    "on_behalf_of",
    "transfer_data",
    "trial_end",
];

impl Schedule {
    /// The JSON of it.
    pub(in super::super) fn json(&self, shape: Shape) -> Value {
        let (status, released_at, canceled_at) = match self.state {
            ScheduleState::Active => ("active", None, None),
            ScheduleState::Released(at) => ("released", Some(at), None),
            ScheduleState::Canceled(at) => ("canceled", None, Some(at)),
        };
        let current = self.phases.get(self.current).filter(|_| status == "active");
        let current =
            current.map(|phase| json!({ "start_date": phase.start, "end_date": phase.end }));
        let at_end: &str = self.at_end.into();
        let mut invoices = invoice_settings();
        extend(&mut invoices, json!({ "days_until_due": null }));
        let defaults = json!({
            "application_fee_percent": null, "automatic_tax": no_tax(),
            "billing_cycle_anchor": "automatic", "billing_thresholds": null,
            "collection_method": "charge_automatically", "default_payment_method": null,
            "description": null, "on_behalf_of": null,
            "invoice_settings": invoices,
            "transfer_data": null,
        });
        let phases: Vec<Value> = self.phases.iter().map(|phase| phase.json(shape)).collect();
        let object = json!({
            "id": &*self.id, "object": "subscription_schedule", "created": self.created,
            "livemode": false, "billing_mode": billing_mode(),
            "canceled_at": canceled_at, "current_phase": current, "customer": &*self.customer,
            "default_settings": defaults, "end_behavior": at_end, "metadata": *self.metadata,
            "phases": phases, "released_at": released_at,
            "released_subscription": released_at.map(|_| &*self.subscription), "status": status,
            "subscription": released_at.is_none().then_some(&*self.subscription),
        });
        shape.finish(object, &NULLS)
    }
}

impl Phase {
    fn json(&self, shape: Shape) -> Value {
        let proration = match self.proration {
            Proration::CreateProrations => "create_prorations",
            Proration::AlwaysInvoice => "always_invoice",
            Proration::None => "none",
        };
        let item = json!({
            "billing_thresholds": null, "discounts": [], "metadata": {}, "plan": &*self.price.id,
            "price": &*self.price.id, "quantity": self.quantity, "tax_rates": [],
        });
        let mut object = json!({
            "add_invoice_items": [], "currency": &*self.price.currency, "default_tax_rates": [],
            "discounts": [], "end_date": self.end, "items": [item], "metadata": self.metadata,
            "proration_behavior": proration, "start_date": self.start,
        });
        object = shape.finish(object, &PHASE_NULLS);
        if let Some(fields) = object.as_object_mut() {
            fields.remove("automatic_tax");
        }
        object
    }
}
