//! A cluster for all tests, a node for each, and a tenant on it.

use std::{
    env,
    fmt::Debug,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use oc_domain::{Inventory, inventory};
use oc_manifests::Object;
use oc_sandbox::node::{Forward, Image, Node, NodeOptions};
use oc_testkit::{Cluster, Options, apply_strict, wait_for};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::tenant::Tenant;

const INVENTORY: &str = include_str!("../../../../nodes/inventory.json");
pub(crate) const MANAGER: &str = "node-test";
/// Longer than everything but what a test waits for on purpose.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// The kubelet's delay, in tests.
pub(crate) const REFRESH: Duration = Duration::from_secs(3);

/// Whether this process may make namespaces. Where it may not, the test says how; in CI it fails.
pub(crate) fn root() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(env::var_os("CI").is_none(), "the local node takes root, and CI must have it");
    eprintln!("NOT RUN: the local node takes root (sudo -E cargo test -p oc-sandbox --test node)");
    false
}

pub(crate) fn inventory() -> Inventory {
    let mut inventory = Inventory::parse(inventory::PATH, INVENTORY.as_bytes()).ok().unwrap();
    // The node has no runtime but its own.
    inventory.cluster.tenant_runtime_class = None;
    inventory
}

/// A control plane with what tenants need of the platform.
pub(crate) async fn cluster() -> Cluster {
    let inventory = inventory();
    let cluster = Cluster::start(Options {
        simulated_nodes: false,
        storage_class: Some(inventory.cluster.storage_class.clone()),
        ..Options::default()
    });
    let cluster = cluster.await.unwrap();
    let platform = oc_manifests::platform(&inventory);
    let classes: Vec<&Object> =
        platform.iter().filter(|object| matches!(object, Object::PriorityClass(_))).collect();
    let client = cluster.client().unwrap();
    apply_strict(&client, &classes, MANAGER).await.unwrap().clean().unwrap();
    cluster
}

/// The one that tests share; the end of the process ends it.
pub(crate) async fn shared() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER.get_or_init(cluster).await
}

/// A node of one test, in a folder of its own.
pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) options: NodeOptions,
    pub(crate) node: Option<Node>,
    pub(crate) folder: TempDir,
}

impl Stage {
    pub(crate) async fn new(name: &str) -> Self {
        Self::on(shared().await, name, Vec::new()).await
    }

    pub(crate) async fn on(cluster: &Cluster, name: &str, services: Vec<Forward>) -> Self {
        let client = cluster.client().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = options(client.clone(), name, folder.path(), services);
        let node = Some(Node::start(options.clone()).await.unwrap());
        Self { client, options, node, folder }
    }

    pub(crate) fn tenant(&self, id: &str) -> Tenant {
        Tenant::new(self.client.clone(), &self.options.name, self.folder.path(), id)
    }
}

pub(crate) fn options(
    client: Client,
    name: &str,
    folder: &Path,
    services: Vec<Forward>,
) -> NodeOptions {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/files/pod.py");
    NodeOptions {
        client,
        name: name.to_owned(),
        labels: [].into(),
        taints: Vec::new(),
        cpu: "64".to_owned(),
        memory: "64Gi".to_owned(),
        pods: 110,
        folder: folder.to_owned(),
        images: vec![Image {
            name: "gateway".to_owned(),
            entry: ["/usr/bin/python3", "-I", "/bin/pod.py"].map(str::to_owned).into(),
            mounts: vec![(program, "/bin/pod.py".to_owned())],
            env: vec![("OF_THE_IMAGE".to_owned(), "yes".to_owned())],
        }],
        services,
        refresh: REFRESH,
    }
}

/// Where pods find the token proxy.
pub(crate) fn token_proxy() -> SocketAddr {
    let address: Ipv4Addr = inventory().cluster.data_plane.token_proxy;
    SocketAddr::from((address, 8080))
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready") == Some("True")
}

pub(crate) fn condition<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    Some(conditions.iter().find(|it| it.type_ == name)?.status.as_str())
}

/// The status of the one container, as JSON.
pub(crate) fn container(pod: &Pod) -> Value {
    let status = serde_json::to_value(&pod.status).unwrap();
    status["containerStatuses"][0].clone()
}

pub(crate) fn restarts(pod: &Pod) -> u64 {
    container(pod)["restartCount"].as_u64().unwrap_or_default()
}

/// The processes of this machine that were given `folder`.
pub(crate) fn processes(folder: &Path) -> Vec<String> {
    let wanted = folder.to_str().unwrap();
    let all = fs::read_dir("/proc").unwrap();
    let lines = all.filter_map(|entry| {
        let path = entry.unwrap().path();
        let line = fs::read(path.join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(wanted)).collect()
}

/// Waits until `found` is so.
pub(crate) async fn until<T: Debug>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    wait_for(PATIENCE, what, async || Result::<_>::Ok(found())).await.unwrap()
}
