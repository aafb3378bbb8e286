//! Alerts and dashboards: their form, and that they ask for what is measured.

use std::collections::{BTreeMap, BTreeSet};

use oc_manifests::{MONITORING, Object};
use serde::Deserialize;
use serde_json::Value;

use crate::fixtures::five_nodes;

/// What the token proxy measures itself, by name, with the type.
const MEASURED: &str = include_str!("../../monitoring/token-proxy.metrics");
/// What the process kit measures in every service, and what Prometheus says of every target.
const COMMON: [&str; 4] =
    ["openclaw_ready", "process_cpu_seconds_total", "process_resident_memory_bytes", "up"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    rules: Vec<Alert>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alert {
    #[serde(rename = "alert")]
    name: String,
    expr: String,
    #[serde(default, rename = "for")]
    lasting: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// A file of a ConfigMap in namespace `monitoring`.
pub(crate) fn file(map: &str, file: &str) -> String {
    let platform = oc_manifests::platform(&five_nodes());
    let data = platform.iter().find_map(|object| match object {
        Object::ConfigMap(found)
            if object.name() == map && object.namespace() == Some(MONITORING) =>
        {
            found.data.as_ref()
        }
        _ => None,
    });
    data.unwrap()[file].clone()
}

fn alerts() -> Vec<Alert> {
    let rules: Rules =
        serde_saphyr::from_str(&file("token-proxy-alerts", "token-proxy.rules.yaml")).unwrap();
    assert!(rules.groups.iter().all(|group| group.name == "token-proxy"));
    rules.groups.into_iter().flat_map(|group| group.rules).collect()
}

fn dashboard() -> Value {
    let text = file("token-proxy-dashboard", "token-proxy.json");
    serde_json::from_str(&text).unwrap()
}

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().unwrap()
}

/// Every expression of alerts and dashboard.
fn expressions() -> Vec<String> {
    let mut expressions: Vec<String> = alerts().into_iter().map(|alert| alert.expr).collect();
    for panel in panels(&dashboard()) {
        let targets = panel["targets"].as_array().into_iter().flatten();
        expressions.extend(targets.map(|target| target["expr"].as_str().unwrap().to_owned()));
    }
    expressions
}

/// Names of series by the type of their metric.
fn measured() -> BTreeMap<&'static str, (BTreeSet<&'static str>, &'static str)> {
    let lines = MEASURED.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (metric, kind) = line.rsplit_once(' ').unwrap();
            let (name, labels) = metric.split_once('{').unwrap_or((metric, "}"));
            let labels = labels.strip_suffix('}').unwrap().split(',');
            (name, (labels.filter(|label| !label.is_empty()).collect(), kind))
        })
        .collect()
}

/// The metrics that an expression names: words that begin as those of ours or of a target do.
fn metrics(expression: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let known = |name: &&str| {
        ["openclaw_", "process_"].iter().any(|prefix| name.starts_with(prefix)) || *name == "up"
    };
    let names = expression.split(|c| !word(c)).filter(known);
    names.map(str::to_owned).collect()
}

#[test]
fn alerts_and_dashboard_ask_for_what_is_measured_and_leave_nothing_out() {
    let measured = measured();
    let mut asked = BTreeSet::new();
    for expression in expressions() {
        let names = metrics(&expression);
        assert!(!names.is_empty(), "{expression}");
        for name in names.iter().filter(|name| !COMMON.contains(&name.as_str())) {
            let base = name.strip_suffix("_bucket").unwrap_or(name);
            let (_, kind) = measured
                .get(base)
                .unwrap_or_else(|| panic!("nobody measures {name}: {expression}"));
            assert_eq!(base != name, *kind == "histogram", "{name}: {expression}");
            asked.insert(base.to_owned());
        }
    }
    let all: BTreeSet<String> = measured.keys().map(|&name| name.to_owned()).collect();
    assert_eq!(asked, all);
}

#[test]
fn the_list_of_metrics_is_sorted_and_well_formed() {
    let names: Vec<&str> = MEASURED.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(names.is_sorted());
    for (name, (_, kind)) in measured() {
        assert!(name.starts_with("openclaw_token_proxy_"), "{name}");
        assert!(["counter", "gauge", "histogram"].contains(&kind), "{name}: {kind}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
    }
}

#[test]
fn labels_that_are_summed_by_are_measured() {
    let measured = measured();
    for expression in expressions() {
        let labels: BTreeSet<&str> = metrics(&expression)
            .iter()
            .filter_map(|name| measured.get(name.strip_suffix("_bucket").unwrap_or(name)))
            .flat_map(|(labels, _)| labels.iter().copied())
            .chain(["le", "instance", "job", "check"])
            .collect();
        let lists = expression.split(" by (").skip(1).map(|rest| rest.split(')').next().unwrap());
        for label in lists.flat_map(|list| list.split(", ")) {
            assert!(labels.contains(label), "{label}: {expression}");
        }
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_it_means() {
    let alerts = alerts();
    let names: BTreeSet<&str> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(names.len(), alerts.len());
    for alert in &alerts {
        let name = &alert.name;
        assert!(name.starts_with("TokenProxy"), "{name}");
        let severity = alert.labels.get("severity").map(String::as_str);
        assert!(matches!(severity, Some("critical" | "warning")), "{name}");
        assert!(alert.annotations["summary"].ends_with('.'), "{name}");
        let duration = |text: &String| {
            let (number, unit) = text.split_at(text.len() - 1);
            number.parse::<u32>().is_ok() && ["s", "m", "h"].contains(&unit)
        };
        assert!(alert.lasting.as_ref().is_none_or(duration), "{name}");
    }
}

#[test]
fn panels_lie_side_by_side_and_have_ids_of_their_own() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels(&dashboard) {
        assert!(ids.insert(panel["id"].as_u64().unwrap()));
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24);
        for line in at("y")..at("y") + at("h") {
            for column in at("x")..at("x") + at("w") {
                assert!(taken.insert((line, column)), "{}", panel["title"]);
            }
        }
    }
}
