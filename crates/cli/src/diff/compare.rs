//! The differences of two JSON values, by pointer.

use std::collections::BTreeMap;

use oc_domain::diagnostic::child;
use serde_json::Value;

/// One place where two values differ.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    pub pointer: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// Every place where `before` and `after` differ, in order.
pub(super) fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(before), Some(after), &mut found);
    found
}

fn compare(pointer: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
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
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            for name in names {
                let (before, after) = (a.get(name).copied(), b.get(name).copied());
                compare(&child(pointer, name), before, after, found);
            }
        }
        (before, after) => found.push(Difference {
            pointer: pointer.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

/// Entries by their name where all have one, as Kubernetes merges them; else by position.
fn keyed(items: &[Value]) -> BTreeMap<String, &Value> {
    let name = |item: &Value| item["name"].as_str().map(str::to_owned);
    let named: BTreeMap<String, &Value> =
        items.iter().filter_map(|item| Some((name(item)?, item))).collect();
    if named.len() == items.len() {
        return named;
    }
    // Padded, so that ten comes after nine.
    items.iter().enumerate().map(|(index, item)| (format!("{index:04}"), item)).collect()
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
    fn what_comes_and_goes_is_one_difference() {
        let found = differences(&json!({"a": {"b": 1}}), &json!({}));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].after, None);
    }
}
