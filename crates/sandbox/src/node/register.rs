//! The node as the cluster sees it: an object, a status, and a lease that says that it lives.

use std::{collections::BTreeMap, env::consts::ARCH, net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Node, NodeAddress, NodeCondition, NodeStatus, NodeSystemInfo},
};
use k8s_openapi::apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::Time};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use oc_service::Clock;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::{NAME, NodeOptions, Shared};

/// The node's address: all of it is on this machine.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// As a kubelet renews its lease.
const RENEWAL: Duration = Duration::from_secs(10);
const LEASE_SECONDS: i32 = 40;

/// Makes the node, ready.
pub(super) async fn register(options: &NodeOptions) -> Result<()> {
    let NodeOptions { name, labels, taints, .. } = options;
    let mut labels = labels.clone();
    let own = [("hostname", name.as_str()), ("os", "linux"), ("arch", architecture())];
    labels.extend(own.map(|(key, value)| (format!("kubernetes.io/{key}"), value.to_owned())));
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": labels },
        "spec": { "taints": taints },
    });
    let nodes: Api<Node> = Api::all(options.client.clone());
    nodes.patch(name, &params(), &Patch::Apply(node)).await?;
    say_ready(options, Clock::system().now()).await?;
    renew_lease(options).await
}

/// Renews the lease for ever, and the status, should somebody have declared the node dead.
pub(super) async fn renew(shared: Arc<Shared>) {
    let since = Clock::system().now();
    let mut ticks = interval(RENEWAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // The API server may be away: pods live on, and the next round comes.
        let _ = renew_lease(&shared.options).await;
        // Nothing is written where nothing is different.
        let _ = say_ready(&shared.options, since).await;
    }
}

async fn renew_lease(options: &NodeOptions) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(options.client.clone(), "kube-node-lease");
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": options.name },
        "spec": {
            "holderIdentity": options.name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": Clock::system().now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        },
    });
    leases.patch(&options.name, &params(), &Patch::Apply(lease)).await?;
    Ok(())
}

async fn say_ready(options: &NodeOptions, since: Timestamp) -> Result<()> {
    let status = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": options.name },
        "status": status(options, since),
    });
    let nodes: Api<Node> = Api::all(options.client.clone());
    nodes.patch_status(&options.name, &params(), &Patch::Apply(status)).await?;
    Ok(())
}

fn status(options: &NodeOptions, since: Timestamp) -> NodeStatus {
    let resources = [
        ("cpu", options.cpu.clone()),
        ("memory", options.memory.clone()),
        ("pods", options.pods.to_string()),
        ("ephemeral-storage", "100Gi".to_owned()),
    ];
    let resources: BTreeMap<String, Quantity> =
        resources.map(|(key, value)| (key.to_owned(), Quantity(value))).into();
    let condition = |(name, status, reason): (&str, &str, &str)| NodeCondition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        last_heartbeat_time: Some(Time(since)),
        last_transition_time: Some(Time(since)),
        ..NodeCondition::default()
    };
    let address = |(kind, address): (&str, String)| NodeAddress { type_: kind.to_owned(), address };
    let addresses = [("InternalIP", ADDRESS.to_string()), ("Hostname", options.name.clone())];
    let conditions = [
        ("Ready", "True", "NodeReady"),
        ("MemoryPressure", "False", "NoPressure"),
        ("DiskPressure", "False", "NoPressure"),
        ("PIDPressure", "False", "NoPressure"),
    ];
    NodeStatus {
        addresses: Some(addresses.map(address).into()),
        allocatable: Some(resources.clone()),
        capacity: Some(resources),
        conditions: Some(conditions.map(condition).into()),
        node_info: Some(NodeSystemInfo {
            architecture: architecture().to_owned(),
            kubelet_version: NAME.to_owned(),
            operating_system: "linux".to_owned(),
            ..NodeSystemInfo::default()
        }),
        ..NodeStatus::default()
    }
}

fn params() -> PatchParams {
    PatchParams::apply(NAME).force()
}

/// This machine's architecture in the words of Go.
fn architecture() -> &'static str {
    match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
