//! Nodes without machines.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    api::core::v1::{Node, NodeAddress, NodeSpec, NodeStatus, NodeSystemInfo, Taint},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{
    Api,
    api::{ListParams, ObjectMeta, PostParams},
};

use crate::{Cluster, wait_for};

/// A node that kwok plays: the scheduler takes it for real, its pods are `Running` at once.
///
/// A pod with the annotation `testkit.openclaw.cloud/ready-after` (a duration such as `3s`) is so
/// only after that. Its annotation `testkit.openclaw.cloud/fail` makes a pod fail, from its
/// creation or from a later moment on, until it is removed:
///
/// | value | phase | the containers |
/// |---|---|---|
/// | `not-ready` | `Running` | run and are not ready |
/// | `crash-loop` | `Running` | wait in `CrashLoopBackOff` after five ends by `Error`, 1 |
/// | `out-of-memory` | `Running` | run or wait in `CrashLoopBackOff`, `OOMKilled` each second |
/// | `image-pull` | `Pending` | wait in `ImagePullBackOff` |
/// | `mount` | `Pending` | wait in `ContainerCreating`; the event is for the test to write |
///
/// Without the annotation, a pod with an image whose tag contains `broken` is as by `not-ready`,
/// and `missing` as by `image-pull`.
#[derive(Clone, Debug)]
pub struct SimulatedNode {
    /// Its name, and its label `kubernetes.io/hostname`.
    pub name: String,
    /// Labels besides those that each kubelet sets (host name, system, architecture).
    pub labels: BTreeMap<String, String>,
    /// Taints, as in a node's spec.
    pub taints: Vec<Taint>,
    /// Allocatable CPU, a Kubernetes quantity.
    pub cpu: String,
    /// Allocatable memory, a Kubernetes quantity.
    pub memory: String,
    /// How many pods it takes.
    pub pods: u32,
}

impl SimulatedNode {
    /// A node of 8 CPUs, 32 GiB and room for 110 pods, whose disk is no limit, without labels and taints of its own.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            cpu: "8".to_owned(),
            memory: "32Gi".to_owned(),
            pods: 110,
        }
    }

    fn object(&self) -> Node {
        let mut labels = self.labels.clone();
        let own = [("hostname", self.name.as_str()), ("os", "linux"), ("arch", "amd64")];
        labels.extend(own.map(|(key, value)| (format!("kubernetes.io/{key}"), value.to_owned())));
        let resources = [
            ("cpu", self.cpu.clone()),
            ("memory", self.memory.clone()),
            ("pods", self.pods.to_string()),
            ("ephemeral-storage", "10Ti".to_owned()),
        ];
        let resources: BTreeMap<String, Quantity> =
            resources.map(|(key, value)| (key.to_owned(), Quantity(value))).into();
        Node {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            spec: Some(NodeSpec { taints: Some(self.taints.clone()), ..NodeSpec::default() }),
            status: Some(NodeStatus {
                addresses: Some(vec![NodeAddress {
                    type_: "Hostname".to_owned(),
                    address: self.name.clone(),
                }]),
                allocatable: Some(resources.clone()),
                capacity: Some(resources),
                node_info: Some(NodeSystemInfo {
                    architecture: "amd64".to_owned(),
                    operating_system: "linux".to_owned(),
                    kubelet_version: "kwok".to_owned(),
                    ..NodeSystemInfo::default()
                }),
                ..NodeStatus::default()
            }),
        }
    }
}

impl Cluster {
    /// Adds nodes and waits until the scheduler may use them.
    pub async fn add_nodes(&self, nodes: &[SimulatedNode]) -> Result<()> {
        let api: Api<Node> = Api::all(self.client()?);
        let params = PostParams::default();
        stream::iter(nodes.iter().map(SimulatedNode::object))
            .map(|node| {
                let (api, params) = (&api, &params);
                async move {
                    let name = node.metadata.name.clone().unwrap_or_default();
                    api.create(params, &node).await.with_context(|| format!("adding node {name}"))
                }
            })
            .buffer_unordered(32)
            .try_collect::<Vec<_>>()
            .await?;
        wait_for(Duration::from_mins(1), "the simulated nodes to be ready", async || {
            let listed = api.list(&ListParams::default()).await?;
            let usable = listed
                .items
                .iter()
                .filter(|node| self.is_usable(node))
                .filter_map(|n| n.metadata.name.as_deref());
            let usable: std::collections::BTreeSet<&str> = usable.collect();
            Ok(nodes.iter().all(|node| usable.contains(node.name.as_str())).then_some(()))
        })
        .await
    }

    /// Whether a node is ready and the taint is gone that it got from admission until the
    /// controllers noticed.
    fn is_usable(&self, node: &Node) -> bool {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        conditions
            .into_iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
            && !(self.has_controllers()
                && taints.any(|taint| taint.key == "node.kubernetes.io/not-ready"))
    }
}
