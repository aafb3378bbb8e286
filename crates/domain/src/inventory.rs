//! The nodes and the constants of one cluster: `nodes/inventory.json`.
//!
//! One list for the renderer, the planner, Colmena and nixos-anywhere, so a node exists in one
//! place only.

use std::{borrow::Cow, collections::BTreeMap, net::Ipv4Addr, sync::LazyLock};

use ipnet::Ipv4Net;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{Display, VariantArray};

use crate::{
    diagnostic::Diagnostic,
    document::{self, Document},
};

mod rules;
mod server_type;

pub use server_type::{Arch, ServerType, server_type, server_types};

/// Where the inventory lies in a fleet, and what marks a folder as one.
pub const PATH: &str = "nodes/inventory.json";

/// The largest inventory that is read, in bytes; a node takes about 300.
pub const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;

/// The label that says which pool a node is of; also the key of the taint of dedicated nodes.
pub const POOL_LABEL: &str = "openclaw.cloud/pool";

/// The oldest and the newest Kubernetes minor (1.N) that we render for.
pub const KUBERNETES_MINORS: std::ops::RangeInclusive<u32> = 35..=37;

/// One cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inventory {
    /// The JSON Schema that an editor checks this file with; we ignore it.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<String>,
    /// What holds for the cluster as a whole.
    pub cluster: Cluster,
    /// Its machines.
    #[schemars(length(min = 1))]
    pub nodes: Vec<Node>,
}

/// What holds for a cluster as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// The domain under which web, API and webhooks are reached.
    pub domain: String,
    /// The address of whoever answers for certificates.
    pub acme_email: String,
    /// The K3s release on every node, like `v1.36.3+k3s1`.
    pub k3s_version: String,
    /// Hetzner's private network, which all private addresses are in.
    pub private_network: Network,
    /// Addresses of pods.
    pub cluster_cidr: Network,
    /// Addresses of services.
    pub service_cidr: Network,
    /// The fixed addresses of the services that a tenant pod may reach.
    pub data_plane: DataPlane,
    /// The storage class of every volume.
    pub storage_class: String,
    /// Where our own images come from.
    pub image: Image,
    /// The fleet repository, where the platform reaches it: by ssh, with a deploy key that is a
    /// secret and stands elsewhere, like `git@git.example.org:openclaw/fleet.git`.
    pub fleet_remote: String,
    /// Where backups go.
    pub s3: S3,
    /// Runtime classes that the nodes offer besides the default.
    #[serde(default)]
    pub runtime_classes: Vec<RuntimeClass>,
    /// The runtime class of tenant pods, where it is not the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_runtime_class: Option<String>,
}

/// The addresses of the four data-plane services, in the static band of the service range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataPlane {
    /// Models.
    pub token_proxy: Ipv4Addr,
    /// Telegram and the pod's own reports.
    pub channels: Ipv4Addr,
    /// Browsers.
    pub browser_proxy: Ipv4Addr,
    /// Everything else.
    pub egress_proxy: Ipv4Addr,
}

/// Registry, path prefix and tag of our own images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Registry and path, like `registry.example.org/openclaw`.
    pub registry: String,
    /// The tag of all of them; never `latest`.
    pub tag: String,
}

/// An S3 bucket; its keys are a secret and stand elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// Base address, like `https://fsn1.your-objectstorage.com`.
    pub endpoint: String,
    /// Name of the bucket.
    pub bucket: String,
    /// Region.
    pub region: String,
    /// The addresses behind the endpoint: the backup may reach these and no others.
    #[schemars(length(min = 1))]
    pub networks: Vec<Network>,
}

/// A container runtime of the nodes under the name that pods ask for it by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuntimeClass {
    /// The class.
    pub name: String,
    /// containerd's handler.
    pub handler: String,
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Node {
    /// Its host name and its name in Kubernetes.
    pub name: String,
    /// What it does for K3s.
    pub role: Role,
    /// Whether it is the server that the cluster starts from; exactly one is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub initial: bool,
    /// Hetzner's name of its size, like `cx43`.
    pub server_type: String,
    /// Where it stands.
    pub location: Location,
    /// Its address on the internet.
    pub public_address: Ipv4Addr,
    /// Its address in the private network.
    pub private_address: Ipv4Addr,
    /// Which pods it is for.
    pub pool: Pool,
    /// Labels besides the pool's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What keeps pods away that do not tolerate it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
}

/// What a node does for K3s.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Display, VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// Control plane and etcd.
    Server,
    /// Pods only.
    Agent,
}

/// Which pods a node is for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Display, VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Pool {
    /// The platform's own, and no tenant.
    Platform,
    /// Tenants side by side; the platform too, where it finds no other place.
    Shared,
    /// One tenant with isolation `dedicated` each.
    Dedicated,
}

/// A location of Hetzner Cloud.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Display, VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Location {
    /// Falkenstein.
    Fsn1,
    /// Nuremberg.
    Nbg1,
    /// Helsinki.
    Hel1,
    /// Ashburn.
    Ash,
    /// Hillsboro.
    Hil,
    /// Singapore.
    Sin,
}

/// What keeps pods away from a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// What it does to pods.
    pub effect: Effect,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Display)]
pub enum Effect {
    /// They are not placed here.
    NoSchedule,
    /// They are placed here only when nothing else is left.
    PreferNoSchedule,
    /// They are not placed here, and leave.
    NoExecute,
}

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Network(pub Ipv4Net);

impl JsonSchema for Network {
    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "ipv4-cidr" })
    }
}

impl Document for Inventory {
    fn schema() -> &'static Value {
        static SCHEMA: LazyLock<Value> = LazyLock::new(document::schema::<Inventory>);
        &SCHEMA
    }
}

impl Inventory {
    /// Reads the bytes of the file at `path` and checks them by themselves.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let (inventory, mut errors) = document::read::<Self>(path, bytes, MAX_FILE_BYTES);
        let Some(inventory) = inventory else { return Err(errors) };
        errors.extend(rules::check(path, &inventory));
        if errors.is_empty() {
            return Ok(inventory);
        }
        errors.sort();
        Err(errors)
    }

    /// The nodes of a pool.
    pub fn pool(&self, pool: Pool) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.pool == pool)
    }
}

impl Node {
    /// All labels that the node carries in Kubernetes by our doing.
    pub fn kubernetes_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        labels.insert(POOL_LABEL.to_owned(), self.pool.to_string());
        labels
    }
}

impl Taint {
    /// The taint that every node of the pool `dedicated` needs, or other pods would land there.
    pub fn dedicated() -> Self {
        let value = Pool::Dedicated.to_string();
        Self { key: POOL_LABEL.to_owned(), value, effect: Effect::NoSchedule }
    }
}
