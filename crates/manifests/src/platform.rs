//! The platform: its base, which must be there before the first service of ours, and the
//! services.
//!
//! Each service's objects are made by [`crate::Service`].
//! Secrets are none of our output. The ones that these objects name: `postgres` (`password`),
//! `redis` (`users.acl`), `backup` (`rclone.conf` with the keys of remote `s3`), `token-proxy`
//! (`upstreams.json`, `platform-token.pub`, `link-key`, `database-url`, `redis-url`), `channels`
//! (`platform-token.pub`, `internal-key`, `envelope-keys`, `link-key`, `database-url`, `redis-url`),
//! `billing` (`webhook-secrets`, `stripe-key`, `internal-key`, `admin-key`, `link-key`, `fleet-key`,
//! `fleet-known-hosts`, `database-url`, `redis-url`), `operator` (`platform-token.key`, `fleet-key`,
//! `fleet-known-hosts`, `database-url`, `redis-url`).

use k8s_openapi::{
    api::{core::v1::Namespace, node::v1::RuntimeClass, scheduling::v1::PriorityClass},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use oc_domain::{Inventory, catalog::Family};
use serde_json::json;

use crate::{
    HelmChart, HelmChartSpec, MONITORING, Object, PLATFORM,
    labels::{Labels, component, pod_security},
    network::{Peer, Port, policy},
    service::{SCRATCH, secret_file},
};

mod backup;
mod billing;
mod channels;
mod monitoring;
mod operator;
mod postgres;
mod redis;
mod stateful;
mod token_proxy;

/// Every object of the platform, in the order in which they can be applied.
pub fn platform(inventory: &Inventory) -> Vec<Object> {
    let mut objects: Vec<Object> = vec![
        namespace(PLATFORM, "restricted").into(),
        // Node metrics read the host's files, which `restricted` and `baseline` forbid.
        namespace(MONITORING, "privileged").into(),
        priority_class("openclaw-platform", 1_000_000, "What all tenants need.").into(),
        tenant_priority(Family::Business, 20_000).into(),
        tenant_priority(Family::Personal, 10_000).into(),
        default_deny(PLATFORM).into(),
        default_deny(MONITORING).into(),
    ];
    objects.extend(runtime_classes(inventory));
    objects.extend(postgres::objects(inventory));
    objects.extend(redis::objects(inventory));
    objects.extend(backup::objects(inventory));
    objects.extend(token_proxy::objects(inventory));
    objects.extend(channels::objects(inventory));
    objects.extend(billing::objects(inventory));
    objects.extend(operator::objects(inventory));
    objects.push(cert_manager().into());
    objects
}

/// Mebibytes for a clone of the fleet repository: megabytes for ten thousand tenants. It may be lost
/// with its pod at any time.
const FLEET_MIB: u32 = 1024;

/// What a service that works with the fleet repository is told of it; its Secret has the two keys.
fn fleet_repository(inventory: &Inventory) -> [(&'static str, String); 4] {
    [
        ("OPENCLAW_FLEET_REMOTE", inventory.cluster.fleet_remote.clone()),
        ("OPENCLAW_FLEET_DIRECTORY", format!("{SCRATCH}/fleet")),
        // A deploy key opens one repository; a password opens all that its user may. OpenSSH
        // takes a key that its group can read as long as somebody else, root, owns the file.
        ("OPENCLAW_FLEET_SSH_KEY", secret_file("fleet-key")),
        ("OPENCLAW_FLEET_KNOWN_HOSTS", secret_file("fleet-known-hosts")),
    ]
}

/// The way to Postgres and Redis.
fn databases() -> Vec<(Peer, Vec<Port>)> {
    [(postgres::NAME, postgres::PORT), (redis::NAME, redis::PORT)]
        .map(|(name, port)| (Peer::Platform(name), vec![Port::Tcp(port)]))
        .into()
}

/// Everybody outside of the cluster, for services whose peers publish no networks: they answer from
/// addresses that change by the day, so a list in the inventory would be an outage.
fn internet(inventory: &Inventory) -> Peer {
    let cluster = &inventory.cluster;
    let inside = [cluster.private_network, cluster.cluster_cidr, cluster.service_cidr];
    Peer::Internet { except: inside.map(|network| network.0.to_string()).into() }
}

fn namespace(name: &str, level: &str) -> Namespace {
    let mut labels = component(name);
    labels.extend(pod_security(level));
    let metadata =
        ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    Namespace { metadata, ..Namespace::default() }
}

fn priority_class(name: &str, value: i32, description: &str) -> PriorityClass {
    PriorityClass {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(component(name)),
            ..ObjectMeta::default()
        },
        value,
        description: Some(description.to_owned()),
        // A tenant never puts another tenant's pod out: a full cluster keeps the new one waiting.
        preemption_policy: (value < 1_000_000).then(|| "Never".to_owned()),
        ..PriorityClass::default()
    }
}

fn tenant_priority(family: Family, value: i32) -> PriorityClass {
    let description = format!("Tenants of the {family} tiers; they wait, and evict nobody.");
    priority_class(&format!("openclaw-{family}"), value, &description)
}

/// Nothing goes in or out of a namespace but what another policy names.
fn default_deny(namespace: &str) -> k8s_openapi::api::networking::v1::NetworkPolicy {
    let metadata = ObjectMeta {
        name: Some("default-deny".to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(component("default-deny")),
        ..ObjectMeta::default()
    };
    policy(metadata, Labels::new(), &[], &[])
}

fn runtime_classes(inventory: &Inventory) -> impl Iterator<Item = Object> {
    inventory.cluster.runtime_classes.iter().map(|class| {
        RuntimeClass {
            metadata: ObjectMeta {
                name: Some(class.name.clone()),
                labels: Some(component("runtime-class")),
                ..ObjectMeta::default()
            },
            handler: class.handler.clone(),
            ..RuntimeClass::default()
        }
        .into()
    })
}

fn cert_manager() -> HelmChart {
    HelmChart {
        metadata: ObjectMeta {
            name: Some("cert-manager".to_owned()),
            // Where K3s looks for charts.
            namespace: Some("kube-system".to_owned()),
            labels: Some(component("cert-manager")),
            ..ObjectMeta::default()
        },
        spec: HelmChartSpec {
            chart: "oci://quay.io/jetstack/charts/cert-manager".to_owned(),
            repo: None,
            version: "v1.21.2".to_owned(),
            target_namespace: "cert-manager".to_owned(),
            create_namespace: true,
            values_content: json!({ "crds": { "enabled": true } }).to_string(),
        },
    }
}
