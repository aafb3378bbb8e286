//! The differences of two JSON values, by pointer.

use std::collections::{BTreeMap, BTreeSet};

use oc_domain::diagnostic::child;
use serde::Serialize;
use serde_json::Value;

/// One place where two values differ. Entries of a list that have names are known by them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Difference {
    pub pointer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// Every place where `before` and `after` differ, in order.
pub(super) fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(before), Some(after), &mut found);
    found
}

fn compare(
    pointer: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    match (before, after) {
        (a, b) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            for name in names {
                compare(&child(pointer, name), a.get(name), b.get(name), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            let (a, b) = (keyed(a), keyed(b));
            let keys: BTreeSet<&Key> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let (before, after) = (a.get(key).copied(), b.get(key).copied());
                compare(&child(pointer, &key.token()), before, after, found);
            }
        }
        (before, after) => found.push(Difference {
            pointer: pointer.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

/// A position, or a name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(usize, String);

impl Key {
    /// As a part of a pointer.
    pub(super) fn token(&self) -> String {
        let Self(index, name) = self;
        if name.is_empty() { index.to_string() } else { name.clone() }
    }

    #[cfg(feature = "cluster")]
    pub(super) fn is_name(&self) -> bool {
        !self.1.is_empty()
    }
}

/// Entries by their name where all have one, as Kubernetes merges them; else by position.
pub(super) fn keyed(items: &[Value]) -> BTreeMap<Key, &Value> {
    let name = |item: &Value| item["name"].as_str().map(str::to_owned);
    let named: BTreeMap<Key, &Value> =
        items.iter().filter_map(|item| Some((Key(0, name(item)?), item))).collect();
    if named.len() == items.len() {
        return named;
    }
    items.iter().enumerate().map(|(index, item)| (Key(index, String::new()), item)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_with_names_are_compared_by_name() {
        let before = json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]});
        let after = json!({"env": [{"name": "B", "value": "3"}, {"name": "A", "value": "1"}]});
        let found = differences(&before, &after);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pointer, "/env/B/value");
        assert_eq!(found[0].after, Some(json!("3")));
    }

    #[test]
    fn entries_without_names_are_compared_by_position() {
        let found = differences(&json!([1, 2, 3]), &json!([1, 5]));
        let pointers: Vec<&str> = found.iter().map(|found| found.pointer.as_str()).collect();
        assert_eq!(pointers, ["/1", "/2"]);
    }

    #[test]
    fn what_comes_and_goes_is_one_difference() {
        let found = differences(&json!({"a": {"b": 1}}), &json!({}));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].after, None);
    }
}
