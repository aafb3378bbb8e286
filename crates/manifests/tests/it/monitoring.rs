//! Alerts and dashboards: their form, and that they ask for what is measured.

use std::collections::{BTreeMap, BTreeSet};

use oc_manifests::{MONITORING, Object};
use serde::Deserialize;
use serde_json::Value;

use crate::fixtures::five_nodes;

/// A component that is watched.
struct Watched {
    name: &'static str,
    /// What the names of its alerts begin with.
    alerts: &'static str,
    /// What the names of its metrics begin with.
    metrics: &'static str,
    /// What it measures itself, by name, with the type.
    measured: &'static str,
}

const WATCHED: [Watched; 4] = [
    Watched {
        name: "token-proxy",
        alerts: "TokenProxy",
        metrics: "openclaw_token_proxy_",
        measured: include_str!("../../monitoring/token-proxy.metrics"),
    },
    Watched {
        name: "billing",
        alerts: "Billing",
        metrics: "openclaw_billing_",
        measured: include_str!("../../monitoring/billing.metrics"),
    },
    Watched {
        name: "channels",
        alerts: "Channels",
        metrics: "openclaw_channels_",
        measured: include_str!("../../monitoring/channels.metrics"),
    },
    Watched {
        name: "operator",
        alerts: "Operator",
        metrics: "openclaw_operator_",
        measured: include_str!("../../monitoring/operator.metrics"),
    },
];

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

impl Watched {
    fn alerts(&self) -> Vec<Alert> {
        let Self { name, .. } = self;
        let rules: Rules =
            serde_saphyr::from_str(&file(&format!("{name}-alerts"), &format!("{name}.rules.yaml")))
                .unwrap();
        assert!(rules.groups.iter().all(|group| group.name == *name));
        rules.groups.into_iter().flat_map(|group| group.rules).collect()
    }

    fn panels(&self) -> Vec<Value> {
        let text = file(&format!("{}-dashboard", self.name), &format!("{}.json", self.name));
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        dashboard.get("panels").and_then(Value::as_array).unwrap().clone()
    }

    /// Every expression of alerts and dashboard.
    fn expressions(&self) -> Vec<String> {
        let mut expressions: Vec<String> =
            self.alerts().into_iter().map(|alert| alert.expr).collect();
        for panel in self.panels() {
            let targets = panel.get("targets").and_then(Value::as_array).into_iter().flatten();
            let expression = |target: &Value| target.get("expr").unwrap().as_str().unwrap().into();
            expressions.extend(targets.map(expression));
        }
        expressions
    }

    fn lines(&self) -> impl Iterator<Item = &'static str> {
        self.measured.lines().filter(|line| !line.starts_with('#'))
    }

    /// Labels and type of its metrics, by their names.
    fn measured(&self) -> BTreeMap<&'static str, (BTreeSet<&'static str>, &'static str)> {
        let metric = |line: &'static str| {
            let (metric, kind) = line.rsplit_once(' ').unwrap();
            let (name, labels) = metric.split_once('{').unwrap_or((metric, "}"));
            let labels = labels.strip_suffix('}').unwrap().split(',');
            (name, (labels.filter(|label| !label.is_empty()).collect(), kind))
        };
        self.lines().map(metric).collect()
    }
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
    for watched in &WATCHED {
        let measured = watched.measured();
        let mut asked = BTreeSet::new();
        for expression in watched.expressions() {
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
}

#[test]
fn the_list_of_metrics_is_sorted_and_well_formed() {
    for watched in &WATCHED {
        assert!(watched.lines().is_sorted());
        for (name, (_, kind)) in watched.measured() {
            assert!(name.starts_with(watched.metrics), "{name}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{name}: {kind}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        }
    }
}

#[test]
fn jobs_are_asked_for_by_the_component_that_is_watched() {
    for watched in &WATCHED {
        for expression in watched.expressions() {
            for job in expression.split("job=\"").skip(1) {
                assert_eq!(job.split('"').next(), Some(watched.name), "{expression}");
            }
        }
    }
}

#[test]
fn labels_that_are_summed_by_or_selected_are_measured() {
    for watched in &WATCHED {
        let measured = watched.measured();
        for expression in watched.expressions() {
            let labels: BTreeSet<&str> = metrics(&expression)
                .iter()
                .filter_map(|name| measured.get(name.strip_suffix("_bucket").unwrap_or(name)))
                .flat_map(|(labels, _)| labels.iter().copied())
                .chain(["le", "instance", "job", "check"])
                .collect();
            let lists = expression.split(" by (").skip(1).map(|rest| rest.split(')').next());
            let grouped = lists.flat_map(|list| list.unwrap().split(", "));
            let selectors = expression.split('{').skip(1).map(|rest| rest.split('}').next());
            let selected = selectors.flat_map(|one| one.unwrap().split(','));
            let selected = selected.filter_map(|one| one.split(['=', '!']).next());
            for label in grouped.chain(selected) {
                assert!(labels.contains(label), "{label}: {expression}");
            }
        }
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_it_means() {
    for watched in &WATCHED {
        let alerts = watched.alerts();
        let names: BTreeSet<&str> = alerts.iter().map(|alert| alert.name.as_str()).collect();
        assert_eq!(names.len(), alerts.len());
        for alert in &alerts {
            let name = &alert.name;
            assert!(name.starts_with(watched.alerts), "{name}");
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
}

#[test]
fn panels_lie_side_by_side_and_have_ids_of_their_own() {
    for watched in &WATCHED {
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in watched.panels() {
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
}
