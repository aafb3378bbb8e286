//! The schemas of Stripe's `OpenAPI` document, as strict as they can be read.

use std::{collections::HashMap, fs, sync::LazyLock};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::installed;

/// The version of the document, older than what the stand-in speaks.
const VERSION: &str = "2026-08-26.dahlia";

/// What the stand-in says although the document does not: fields from long ago that Stripe still
/// sends, and that the generated types of 2026-09-30.endive ask for.
const BEYOND: [(&str, &str); 3] = [
    ("product", "type"),
    ("subscription_item", "plan"),
    ("subscription_schedule_configuration_item", "plan"),
];

/// What can be an event's object or an answer.
const OBJECTS: [&str; 15] = [
    "customer",
    "product",
    "price",
    "checkout.session",
    "subscription",
    "subscription_schedule",
    "invoice",
    "invoice_payment",
    "payment_intent",
    "charge",
    "refund",
    "dispute",
    "event",
    "billing_portal.session",
    "billing_portal.configuration",
];

static VALIDATORS: LazyLock<HashMap<&'static str, Validator>> = LazyLock::new(|| {
    let text = fs::read(installed::document()).unwrap();
    let mut document: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(document["info"]["version"], VERSION);
    let Value::Object(schemas) = document["components"]["schemas"].take() else { panic!() };
    let schemas: Map<String, Value> = schemas
        .into_iter()
        .map(|(name, schema)| {
            let schema = strict(&name, schema);
            (name, schema)
        })
        .collect();
    let mut root = json!({ "components": { "schemas": schemas } });
    let validator = |name: &'static str| {
        root["$ref"] = format!("#/components/schemas/{name}").into();
        (name, jsonschema::draft7::new(&root).unwrap())
    };
    OBJECTS.into_iter().chain(["error", "item"]).map(validator).collect()
});

/// JSON Schema from `OpenAPI` 3.0, which has `nullable` instead of a type; objects have no fields
/// that are not described.
fn strict(name: &str, schema: Value) -> Value {
    match schema {
        Value::Object(mut fields) => {
            let nullable = fields.remove("nullable") == Some(true.into());
            if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                for (_, field) in BEYOND.iter().filter(|(owner, _)| *owner == name) {
                    properties.insert((*field).to_owned(), json!(true));
                }
                fields.entry("additionalProperties").or_insert(false.into());
            }
            let inner = |(key, value)| {
                let value = if key == "properties" { each(value) } else { strict("", value) };
                (key, value)
            };
            let schema = Value::Object(fields.into_iter().map(inner).collect());
            if nullable { json!({ "anyOf": [schema, { "type": "null" }] }) } else { schema }
        }
        Value::Array(schemas) => schemas.into_iter().map(|schema| strict("", schema)).collect(),
        other => other,
    }
}

/// The schemas of properties, whose names mean nothing here.
fn each(properties: Value) -> Value {
    let Value::Object(properties) = properties else { panic!() };
    let strict = |(name, schema)| (name, strict("", schema));
    Value::Object(properties.into_iter().map(strict).collect())
}

/// Checks an object, or each of a list.
pub(crate) fn check(object: &Value) {
    match object["object"].as_str().unwrap() {
        "list" => object["data"].as_array().unwrap().iter().for_each(check),
        kind => conforms(kind, object),
    }
}

/// Checks what a request was refused with.
pub(crate) fn check_error(object: &Value) {
    conforms("error", object);
}

fn conforms(kind: &str, object: &Value) {
    let validator = VALIDATORS.get(kind).unwrap_or_else(|| panic!("{kind}"));
    let problems: Vec<String> = validator
        .iter_errors(object)
        .map(|error| {
            format!(
                "{} {}",
                error.instance_path(),
                error.to_string().chars().take(400).collect::<String>()
            )
        })
        .collect();
    assert!(problems.is_empty(), "{kind} {object:#}\n{}", problems.join("\n"));
}
