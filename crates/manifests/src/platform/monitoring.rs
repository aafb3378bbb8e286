//! What the monitoring stack is told about a component: alerts and a dashboard, each a `ConfigMap`
//! that Prometheus or Grafana mounts.
//!
//! Both are data in `monitoring/`, and know a scrape job by the name of its component.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use crate::{MONITORING, labels::component};

mod dashboard;

/// A file of Prometheus rules.
pub(super) fn alerts(name: &str, rules: &str) -> ConfigMap {
    config_map(name, "alerts", "rules.yaml", rules.to_owned())
}

/// A Grafana dashboard; the label is the one that Grafana's sidecar looks for.
pub(super) fn dashboard(name: &str, board: &str) -> ConfigMap {
    let mut map = config_map(name, "dashboard", "json", dashboard::expand(name, board));
    let labels = map.metadata.labels.get_or_insert_default();
    labels.insert("grafana_dashboard".to_owned(), "1".to_owned());
    map
}

fn config_map(name: &str, what: &str, extension: &str, content: String) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(format!("{name}-{what}")),
            namespace: Some(MONITORING.to_owned()),
            labels: Some(component(name)),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(format!("{name}.{extension}"), content)])),
        ..ConfigMap::default()
    }
}
