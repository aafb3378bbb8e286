//! Objects as Stripe spells them.

use serde_json::{Value, json};

mod catalog;
mod checkout;
mod customer;
mod invoice;
mod payment;
mod portal;
mod refund;
mod schedule;
mod subscription;

/// A list inside of an object.
fn list(url: &str, data: &[Value]) -> Value {
    json!({ "object": "list", "data": data, "has_more": false, "url": url })
}

fn no_tax() -> Value {
    json!({ "enabled": false, "liability": null, "disabled_reason": null })
}

fn address(email: Option<&str>, name: Option<&str>) -> Value {
    let fields = ["city", "country", "line1", "line2", "postal_code", "state"];
    let address: serde_json::Map<_, _> =
        fields.into_iter().map(|field| (field.to_owned(), Value::Null)).collect();
    json!({ "address": address, "email": email, "name": name, "phone": null, "tax_id": null })
}

/// Adds the fields of `more` to an object.
fn extend(object: &mut Value, more: Value) {
    if let (Some(fields), Value::Object(more)) = (object.as_object_mut(), more) {
        fields.extend(more);
    }
}

fn billing_mode() -> Value {
    json!({ "type": "flexible", "flexible": { "proration_discounts": "included" } })
}

fn invoice_settings() -> Value {
    json!({
        "account_tax_ids": null, "issuer": { "type": "self" }, "custom_fields": null,
        "description": null, "footer": null,
    })
}
