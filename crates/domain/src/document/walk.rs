//! Compares a JSON tree with the schema of its type and collects everything that does not fit.
//!
//! It knows the keywords that our own types produce, no more. The words of its messages are the
//! point: what was found, what was expected, the nearest valid name.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde_json::{Map, Value};

use crate::{
    diagnostic::{Diagnostic, alternatives, child},
    tenant::TenantId,
};

/// Adds to `errors` each place of `value` that `schema` does not allow, and says whether every value
/// is of the kind that belongs there.
pub(super) fn walk(
    file: &str,
    schema: &Value,
    value: &Value,
    errors: &mut Vec<Diagnostic>,
) -> bool {
    let mut walk = Walk { file, root: schema, errors, kinds_fit: true };
    walk.value(schema, value, "");
    walk.kinds_fit
}

struct Walk<'s, 'e> {
    file: &'s str,
    root: &'s Value,
    errors: &'e mut Vec<Diagnostic>,
    kinds_fit: bool,
}

impl<'s> Walk<'s, '_> {
    fn error(&mut self, pointer: &str, message: impl Into<String>) {
        self.errors.push(Diagnostic::error(self.file, pointer, message));
    }

    fn value(&mut self, schema: &'s Value, value: &Value, pointer: &str) {
        if value.is_null() && accepts_null(schema) {
            return;
        }
        let schema = self.resolve(schema);
        let options = options(schema);
        if !options.is_empty() {
            return self.option(&options, value, pointer);
        }
        let expected = types(schema);
        if !expected.is_empty() && !expected.iter().any(|name| is(name, value)) {
            let expected: Vec<&str> = expected.into_iter().map(article).collect();
            let found = describe(value);
            self.kinds_fit = false;
            return self
                .error(pointer, format!("found {found}, expected {}", expected.join(" or ")));
        }
        match value {
            Value::Object(object) => self.object(schema, object, pointer),
            Value::Array(items) => self.array(schema, items, pointer),
            Value::String(text) => self.string(schema, text, pointer),
            Value::Number(number) => {
                let at_least = schema["minimum"].as_f64();
                let at_most = schema["maximum"].as_f64();
                let found = number.as_f64().unwrap_or(f64::NAN);
                if at_least.is_some_and(|least| found < least)
                    || at_most.is_some_and(|most| found > most)
                {
                    self.error(pointer, format!("found {number}, which is out of range"));
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Follows references, and the `anyOf [T, null]` of an optional field to its `T`.
    fn resolve(&self, mut schema: &'s Value) -> &'s Value {
        loop {
            let next = match (schema["$ref"].as_str(), schema["anyOf"].as_array()) {
                (Some(reference), _) => self.root.pointer(reference.trim_start_matches('#')),
                (None, Some(options)) => options.iter().find(|option| option["type"] != "null"),
                (None, None) => None,
            };
            match next {
                Some(next) => schema = next,
                None => return schema,
            }
        }
    }

    fn option(&mut self, options: &[&'s str], value: &Value, pointer: &str) {
        let expected = alternatives(options.iter().copied());
        match value {
            Value::String(text) if options.contains(&text.as_str()) => {}
            Value::String(text) => {
                let message = format!("found {}, expected {expected}", describe(value));
                let diagnostic = Diagnostic::error(self.file, pointer, message)
                    .suggest(text, options.iter().copied());
                self.errors.push(diagnostic);
            }
            _ => {
                self.kinds_fit = false;
                self.error(pointer, format!("found {}, expected {expected}", describe(value)));
            }
        }
    }

    fn object(&mut self, schema: &'s Value, object: &Map<String, Value>, pointer: &str) {
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !object.contains_key(name) {
                self.error(pointer, format!("found no field {name:?}, which is required"));
            }
        }
        let none = Map::new();
        let properties = schema["properties"].as_object();
        for (name, value) in object {
            let at = child(pointer, name);
            let extra = &schema["additionalProperties"];
            if let Some(property) = properties.and_then(|properties| properties.get(name)) {
                self.value(property, value, &at);
            } else if extra.is_object() {
                self.value(extra, value, &at);
            } else if *extra == Value::Bool(false) {
                let known: Vec<&str> =
                    properties.unwrap_or(&none).keys().map(String::as_str).collect();
                let expected = alternatives(known.iter().copied());
                let message = format!("found an unknown field, expected {expected}");
                self.errors.push(Diagnostic::error(self.file, at, message).suggest(name, known));
            }
        }
    }

    fn array(&mut self, schema: &'s Value, items: &[Value], pointer: &str) {
        if schema["minItems"].as_u64().is_some_and(|least| (items.len() as u64) < least) {
            self.error(pointer, "found an empty list, expected at least one entry");
        }
        for (index, item) in items.iter().enumerate() {
            let at = child(pointer, &index.to_string());
            if schema["uniqueItems"] == true && items.iter().take(index).any(|other| other == item)
            {
                let message = format!("found {} twice, expected each entry once", describe(item));
                self.error(&at, message);
            }
            self.value(&schema["items"], item, &at);
        }
    }

    fn string(&mut self, schema: &'s Value, text: &str, pointer: &str) {
        let characters = text.chars().count() as u64;
        if schema["minLength"].as_u64().is_some_and(|least| characters < least) {
            return self.error(pointer, "found an empty text, expected one");
        }
        if let Some(most) = schema["maxLength"].as_u64().filter(|most| characters > *most) {
            let message = format!("found {characters} characters, expected at most {most}");
            return self.error(pointer, message);
        }
        let expected = match schema["format"].as_str() {
            Some("ipv4") if text.parse::<Ipv4Addr>().is_err() => "an IPv4 address like 10.0.0.2",
            Some("ipv4-cidr") if text.parse::<Ipv4Net>().is_err() => "a network like 10.0.0.0/16",
            Some("tenant-id") if text.parse::<TenantId>().is_err() => TenantId::EXPECTED,
            _ => return,
        };
        self.error(pointer, format!("found {text:?}, expected {expected}"));
    }
}

fn accepts_null(schema: &Value) -> bool {
    let options = schema["anyOf"].as_array().into_iter().flatten();
    types(schema).contains(&"null") || options.into_iter().any(|option| option["type"] == "null")
}

/// The texts of an enumeration, in whichever of its three spellings the schema has.
fn options(schema: &Value) -> Vec<&str> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    let documented = schema["oneOf"].as_array().into_iter().flatten();
    listed
        .chain(documented.flat_map(|option| {
            let nested = option["enum"].as_array().into_iter().flatten();
            std::iter::once(&option["const"]).chain(nested)
        }))
        .chain(std::iter::once(&schema["const"]))
        .filter_map(Value::as_str)
        .collect()
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        _ => true,
    }
}

fn article(name: &str) -> &str {
    match name {
        "object" => "an object",
        "array" => "a list",
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        other => other,
    }
}

/// What a person would call `value`: short values themselves, others by their kind.
fn describe(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) if text.chars().count() > 60 => {
            let start: String = text.chars().take(40).collect();
            format!("a text of {} characters starting {start:?}", text.chars().count())
        }
        other => other.to_string(),
    }
}
