//! The table of crates in the design: arrows point downwards only, and the types of an outside
//! system stay in its adapter.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

/// Layers from the top; a crate may use those below it. A new crate takes its place here first.
const LAYERS: &[(&str, &[&str])] = &[
    (
        "service",
        &[
            "operator",
            "billing",
            "token-proxy",
            "browser-proxy",
            "egress-proxy",
            "channels",
            "api",
            "onboarding",
            "agent",
        ],
    ),
    ("tool", &["cli"]),
    ("adapter", &["store", "streams", "gitops", "stripe", "nango", "telegram"]),
    ("process kit", &["service"]),
    ("renderer", &["manifests"]),
    ("words", &["platform-token"]),
    ("names", &["domain", "i18n"]),
];

/// Never shipped: they may use anything, and nothing shipped may use them but in tests.
const NOT_SHIPPED: &[&str] = &["sandbox", "testkit", "xtask"];

/// SDKs, and the one crate that may use each.
const SDKS: &[(&str, &str)] = &[
    ("sqlx", "store"),
    ("redis", "streams"),
    ("async-stripe", "stripe"),
    ("frankenstein", "telegram"),
];

/// What the pure crates may not use: they do no I/O.
const IMPURE: &[&str] = &["tokio", "hyper", "reqwest", "axum", "sqlx", "redis", "rustls", "rustix"];

struct Crate {
    name: String,
    uses: BTreeSet<String>,
    uses_in_tests: BTreeSet<String>,
}

fn crates() -> BTreeMap<String, Crate> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--locked"])
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let name = package["name"].as_str().unwrap();
            let dependencies = |of_tests: bool| {
                package["dependencies"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|dependency| (dependency["kind"] == "dev") == of_tests)
                    .map(|dependency| short(dependency["name"].as_str().unwrap()))
                    .collect()
            };
            let found = Crate {
                name: short(name),
                uses: dependencies(false),
                uses_in_tests: dependencies(true),
            };
            (found.name.clone(), found)
        })
        .collect()
}

fn short(package: &str) -> String {
    package.strip_prefix("oc-").unwrap_or(package).to_owned()
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, crates)| crates.contains(&name))
}

#[test]
fn every_crate_has_a_place_in_the_table() {
    for name in crates().keys() {
        assert!(layer(name).is_some() || NOT_SHIPPED.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn arrows_point_downwards_only() {
    let crates = crates();
    for Crate { name, uses, .. } in crates.values() {
        for used in uses.iter().filter(|used| crates.contains_key(*used)) {
            let allowed = match (layer(name), layer(used)) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(above), Some(below)) => above < below,
            };
            assert!(allowed, "{name} may not use {used}");
        }
    }
}

#[test]
fn services_do_not_meet_in_tests_either() {
    for Crate { name, uses_in_tests, .. } in crates().values() {
        for used in uses_in_tests {
            let both = layer(name) == Some(0) && layer(used) == Some(0) && name != used;
            assert!(!both, "{name} may not test with {used}");
        }
    }
}

#[test]
fn sdks_stay_in_their_adapters() {
    for Crate { name, uses, .. } in crates().values() {
        for (sdk, adapter) in SDKS {
            let found =
                uses.iter().find(|used| *used == sdk || used.starts_with(&format!("{sdk}-")));
            assert!(found.is_none() || name == adapter, "{name} may not use {sdk}: {adapter} does");
        }
    }
}

#[test]
fn pure_crates_do_no_io() {
    for Crate { name, uses, .. } in crates().values() {
        if layer(name) >= layer("manifests") {
            for used in IMPURE {
                assert!(!uses.contains(*used), "{name} is pure and may not use {used}");
            }
        }
    }
}
