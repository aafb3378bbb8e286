//! The operator: every tenant of the fleet repository becomes a healthy, sealed namespace.

use k8s_openapi::api::rbac::v1::PolicyRule;
use oc_domain::Inventory;

use super::{FLEET_MIB, databases, fleet_repository, internet, monitoring};
use crate::{
    Access, Object,
    network::Port,
    service::{Service, secret_file},
};

const NAME: &str = "operator";
const ALERTS: &str = include_str!("../../monitoring/operator.alerts.yaml");
const DASHBOARD: &str = include_str!("../../monitoring/operator.dashboard.json");

/// One line of what the operator may do: API group, resources, verbs.
type Right = (&'static str, &'static [&'static str], &'static [&'static str]);

/// What it does to each kind that it renders: read by watch, server-side apply (which is `patch`, and
/// `create` where there is nothing yet), prune.
const OWN: &[&str] = &["list", "watch", "patch", "create", "delete"];

/// What it may do in the whole cluster: tenants' namespaces come and go, so no Role can stand in them
/// first. A test of the operator holds each verb to its use.
const EVERYWHERE: &[Right] = &[
    ("openclaw.cloud", &["tenants"], OWN),
    ("openclaw.cloud", &["tenants/status"], &["patch"]),
    ("", &["resourcequotas", "limitranges", "serviceaccounts", "configmaps"], OWN),
    // Every Secret, those of `platform` too. `resourceNames` could name the one that is written,
    // since the API server lets a watch of all namespaces through that selects `metadata.name` (tried);
    // a Secret of another name with our labels would not be pruned then. And whoever may make
    // Deployments anywhere may mount any Secret, so it would be less to read and no less power.
    ("", &["secrets"], OWN),
    ("networking.k8s.io", &["networkpolicies"], OWN),
    // Whether a namespace has gone, and whether a Deployment's controller has seen it, is asked.
    ("", &["namespaces"], &["list", "watch", "get", "patch", "create", "delete"]),
    ("apps", &["deployments"], &["list", "watch", "get", "patch", "create", "delete"]),
    // Never deleted: a claim holds what cannot be rendered.
    ("", &["persistentvolumeclaims"], &["list", "watch", "patch", "create"]),
    ("", &["persistentvolumes"], &["patch"]),
    ("", &["pods"], &["list", "watch", "patch", "delete"]),
    // Read for what the kubelet says of a volume, written for people.
    ("", &["events"], &["list"]),
    ("events.k8s.io", &["events"], &["create", "patch"]),
    ("storage.k8s.io", &["storageclasses"], &["get"]),
];

/// What it may do in its own namespace: be the one that leads.
const HERE: &[Right] = &[("coordination.k8s.io", &["leases"], &["get", "create", "patch"])];

pub(super) fn objects(inventory: &Inventory) -> Vec<Object> {
    let mut egress = databases();
    // The host of the fleet repository.
    egress.push((internet(inventory), vec![Port::Tcp(443), Port::Tcp(22)]));
    let service = Service {
        name: NAME,
        arguments: &["serve"],
        // One leads; when it ends the other takes over.
        replicas: 2,
        port: None,
        address: None,
        cpu_millis: (100, 1000),
        memory_mib: (128, 384),
        environment: [
            ("OPENCLAW_OPERATOR_SIGNING_KEY_FILE", secret_file("platform-token.key")),
            ("DATABASE_URL_FILE", secret_file("database-url")),
            ("REDIS_URL_FILE", secret_file("redis-url")),
        ]
        .into_iter()
        .chain(fleet_repository(inventory))
        .collect(),
        secret: Some(NAME),
        scratch_mib: Some(FLEET_MIB),
        ingress: Vec::new(),
        egress,
        access: Access::Cluster { everywhere: rules(EVERYWHERE), here: rules(HERE) },
        grace_seconds: 30,
    };
    let mut objects = service.objects(inventory);
    objects.push(monitoring::alerts(NAME, ALERTS).into());
    objects.push(monitoring::dashboard(NAME, DASHBOARD).into());
    objects
}

fn rules(rights: &[Right]) -> Vec<PolicyRule> {
    let list = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let rule = |(group, resources, verbs): &Right| PolicyRule {
        api_groups: Some(list(&[*group])),
        resources: Some(list(resources)),
        verbs: list(verbs),
        ..PolicyRule::default()
    };
    rights.iter().map(rule).collect()
}
