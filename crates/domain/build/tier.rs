//! Tiers are one file: an entry each, in the order of their price lists.

use std::{fmt, path::Path};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::{Findings, Id};

const FILE: &str = "tiers.json";

/// The tiers of the file, each held against the first: they have the same fields.
pub(super) fn read(folder: &Path, findings: &mut Findings) -> Vec<Id> {
    let what = "an entry for each tier";
    let entries: Option<Entries> = findings.json(folder, FILE, what);
    let entries = entries.map(|entries| entries.0).unwrap_or_default();
    let mut ids: Vec<Id> = Vec::new();
    for (name, tier) in &entries {
        let path = format!("{FILE}: tier {name:?}");
        findings.name(&path, name);
        if ids.iter().any(|id| id.name == *name) {
            findings.add(&path, "is there twice: remove one");
        }
        let summary = findings.summary(&path, tier.get("summary"));
        if let Some((first, model)) = entries.first() {
            compare(&path, first, ("", model), tier, findings);
        }
        ids.push(Id { name: name.clone(), summary });
    }
    ids
}

/// Fields that `tier` lacks and that it alone has, seen from the tier `first`.
fn compare(
    path: &str,
    first: &str,
    (at, model): (&str, &Map<String, Value>),
    tier: &Map<String, Value>,
    findings: &mut Findings,
) {
    for (field, example) in model.iter().filter(|(field, _)| *field != "summary") {
        match (example, tier.get(field)) {
            (_, None) => findings
                .add(path, format!("has no \"{at}{field}\": add it, tier {first:?} has {example}")),
            (Value::Object(model), Some(Value::Object(own))) => {
                compare(path, first, (&format!("{at}{field}."), model), own, findings);
            }
            (Value::Object(_), Some(own)) => findings
                .add(path, format!("has {own} for \"{at}{field}\": tier {first:?} has {example}")),
            _ => {}
        }
    }
    for field in tier.keys().filter(|field| *field != "summary" && !model.contains_key(*field)) {
        let message = format!("has \"{at}{field}\", which tier {first:?} has not: is it a slip?");
        findings.add(path, message);
    }
}

/// An object's entries as they stand: `serde_json`'s own map forgets their order and takes the last
/// of two equal keys.
struct Entries(Vec<(String, Map<String, Value>)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with an entry for each tier")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Entries, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}
