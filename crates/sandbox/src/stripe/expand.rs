//! `expand[]`: objects in the place of their ids, and what is left out unless it is asked for.

use serde_json::{Value, json};

use super::{
    engine::{Engine, Entity},
    error::Error,
    payment::InvoicePayment,
    refund::Refund,
    shape::Shape,
    subscription::Subscription,
};

/// Expands a path such as `data.latest_invoice.payments`.
pub(super) fn expand(
    engine: &Engine,
    shape: Shape,
    value: &mut Value,
    path: &str,
) -> Result<(), Error> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let fields = match value {
        Value::Array(rows) => {
            return rows.iter_mut().try_for_each(|row| expand(engine, shape, row, path));
        }
        Value::Object(fields) => fields,
        _ => return Ok(()),
    };
    if !fields.contains_key(name) {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let found = left_out(engine, shape, text("object"), text("id"), name);
        fields.insert(name.to_owned(), found.ok_or_else(|| impossible(name))?);
    }
    let Some(field) = fields.get_mut(name) else { return Ok(()) };
    if let Some(id) = field.as_str() {
        *field = engine.snapshot(id).ok_or_else(|| impossible(name))?.json(shape);
    }
    match rest {
        Some(rest) => expand(engine, shape, field, rest),
        None => Ok(()),
    }
}

fn impossible(name: &str) -> Error {
    let message = format!("This property cannot be expanded ({name}).");
    Error::parameter("expand", "parameter_invalid", message)
}

fn left_out(engine: &Engine, shape: Shape, object: &str, id: &str, name: &str) -> Option<Value> {
    let (url, data) = match (object, name) {
        ("checkout.session", "line_items") => {
            let lines = engine.session(id)?.lines(shape);
            return Some(list(&format!("/v1/checkout/sessions/{id}/line_items"), &lines));
        }
        ("invoice", "payments") => (
            format!("/v1/invoices/{id}/payments"),
            rows(engine, shape, |row: &InvoicePayment| *row.invoice == *id),
        ),
        ("charge", "refunds") => (
            format!("/v1/charges/{id}/refunds"),
            rows(engine, shape, |row: &Refund| *row.charge == *id),
        ),
        ("customer", "subscriptions") => (
            format!("/v1/customers/{id}/subscriptions"),
            rows(engine, shape, |row: &Subscription| *row.customer == *id && row.status.is_live()),
        ),
        _ => return None,
    };
    Some(list(&url, &data))
}

fn rows<T: Entity>(engine: &Engine, shape: Shape, wanted: impl Fn(&T) -> bool) -> Value {
    let rows = engine.all::<T>().rev().filter(|row| wanted(row));
    rows.map(|row| std::sync::Arc::clone(row).snapshot().json(shape)).collect()
}

fn list(url: &str, data: &Value) -> Value {
    json!({ "object": "list", "data": data, "has_more": false, "url": url })
}
