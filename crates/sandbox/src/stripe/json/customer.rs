use serde_json::{Value, json};

use super::super::{customer::Customer, shape::Shape};

const NULLS: [&str; 6] =
    ["address", "customer_account", "default_source", "discount", "shipping", "test_clock"];

impl Customer {
    /// The JSON of it.
    pub(in super::super) fn json(&self, shape: Shape) -> Value {
        let profile = &self.profile;
        let settings = json!({
            "custom_fields": null, "default_payment_method": self.payment_method, "footer": null,
            "rendering_options": null,
        });
        let object = json!({
            "id": &*self.id, "object": "customer", "created": self.created, "livemode": false,
            "email": profile.email, "name": profile.name, "phone": profile.phone,
            "description": profile.description, "preferred_locales": profile.locales,
            "metadata": *profile.metadata, "balance": self.balance, "currency": null,
            "delinquent": self.delinquent, "invoice_prefix": &*self.prefix,
            "invoice_settings": settings, "next_invoice_sequence": self.next_number,
            "tax_exempt": "none",
        });
        shape.finish(object, &NULLS)
    }
}
