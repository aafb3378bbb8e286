//! What we render is what the pinned OpenClaw understands.

use std::{fs, path::Path, process::Command};

use oc_domain::{Locale, NicheId, ProviderId, TierId};
use serde_json::{Map, Value};
use strum::VariantArray as _;

use crate::pod::{node, packages, rendered, spec};

fn openclaw(state: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(node());
    command.arg(packages().join("openclaw/openclaw.mjs")).args(arguments);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", state);
    let output = command.env("OPENCLAW_STATE_DIR", state).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The definitions of a schema: OpenClaw's refers to them as if they stood at its root.
fn collect(schema: &Value, definitions: &mut Map<String, Value>) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let ("$defs", Value::Object(found)) = (name.as_str(), value) {
                    definitions.extend(found.clone());
                }
                collect(value, definitions);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect(item, definitions);
            }
        }
        _ => {}
    }
}

#[test]
fn every_niche_in_every_language_and_tier_is_valid_in_openclaws_own_schema() {
    let state = tempfile::tempdir().unwrap();
    // The same character in words that every engine knows.
    let text = openclaw(state.path(), &["config", "schema"]).replace(r"\\0", r"\\x00");
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    let mut definitions = Map::new();
    collect(&schema, &mut definitions);
    schema["$defs"] = definitions.into();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let mut count = 0;
    for niche in NicheId::VARIANTS {
        for locale in Locale::VARIANTS {
            for tier in TierId::VARIANTS {
                for connections in [Vec::new(), ProviderId::VARIANTS.to_vec()] {
                    let mut spec = spec(*tier, *niche, *locale);
                    spec.connections = connections;
                    let text = rendered(&spec)("ConfigMap")["data"]["openclaw.json"].clone();
                    let config: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
                    let errors: Vec<_> =
                        schema.iter_errors(&config).map(|error| error.to_string()).collect();
                    assert!(errors.is_empty(), "{niche} {locale} {tier}: {errors:#?}");
                    count += 1;
                }
            }
        }
    }
    println!("{count} configurations are valid");
    // The gateway demands more than its schema says.
    let spec = spec(TierId::Starter, NicheId::Pharmacy, Locale::PtBr);
    let text = rendered(&spec)("ConfigMap")["data"]["openclaw.json"].clone();
    fs::write(state.path().join("openclaw.json"), text.as_str().unwrap()).unwrap();
    let answer = openclaw(state.path(), &["config", "validate", "--json"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["valid"], true, "{answer}");
}
