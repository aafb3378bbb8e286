//! The cluster of a local stack: a control plane of its own or one that is there, and the node that
//! runs its pods.

use std::{
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use oc_domain::{Inventory, inventory};
use oc_testkit::{Cluster, Options, Provisioner};

use crate::{
    Remote,
    node::{Forward, Image, Node, NodeOptions},
    operator,
};

const INVENTORY: &str = include_str!("inventory.json");
const NODE: &str = "local";

/// Kubernetes as far as a local stack has its own.
pub(super) struct Kubernetes {
    /// For people.
    pub(super) kubeconfig: PathBuf,
    /// For the operator: with its own rights, where the control plane is ours.
    pub(super) operators: PathBuf,
    pub(super) client: Client,
    pub(super) inventory: Inventory,
    _cluster: Option<Cluster>,
    _volumes: Option<Provisioner>,
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes").field("kubeconfig", &self.kubeconfig).finish_non_exhaustive()
    }
}

impl Kubernetes {
    /// Starts a control plane on what is in `folder`, or takes the one that `existing` names; the
    /// platform's objects are there then.
    pub(super) async fn start(folder: &Path, existing: Option<&Path>) -> Result<Self> {
        let inventory = Inventory::parse(inventory::PATH, INVENTORY.as_bytes());
        let inventory = inventory.ok().context("the inventory of the local stack")?;
        let class = inventory.cluster.storage_class.clone();
        let mut own = None;
        let (kubeconfig, operators, volumes) = if let Some(path) = existing {
            let client = client(path).await?;
            let volumes = Provisioner::start(config(path).await?, &client, &class).await?;
            (path.to_owned(), path.to_owned(), Some(volumes))
        } else {
            let options = Options {
                simulated_nodes: false,
                storage_class: Some(class),
                folder: Some(folder.to_owned()),
                ..Options::default()
            };
            let cluster = Cluster::start(options).await?;
            let operators = cluster.kubeconfig_as(operator::USER, &operator::GROUPS)?;
            let kubeconfig = cluster.kubeconfig().to_owned();
            own = Some(cluster);
            (kubeconfig, operators, None)
        };
        let client = client(&kubeconfig).await?;
        operator::install(&client, &inventory).await?;
        Ok(Self { kubeconfig, operators, client, inventory, _cluster: own, _volumes: volumes })
    }

    /// Puts the inventory into the fleet repository, unless somebody has put another one there.
    pub(super) fn publish(remote: &Remote) -> Result<()> {
        if remote.git(&["ls-tree", "--name-only", "main", inventory::PATH])?.is_empty() {
            remote.import(&[(inventory::PATH.to_owned(), INVENTORY.to_owned())])?;
        }
        Ok(())
    }

    /// Starts the node; pods reach the services at the addresses that the inventory fixes.
    pub(super) async fn start_node(
        &self,
        folder: &Path,
        images: Vec<Image>,
        services: &[(&str, SocketAddr)],
        refresh: Duration,
    ) -> Result<Node> {
        let forwards = oc_manifests::data_plane_addresses(&self.inventory).into_iter().filter_map(
            |(name, address)| {
                let (_, to) = services.iter().find(|(known, _)| *known == name)?;
                Some(Forward { address, to: *to })
            },
        );
        let (cpu, memory) = machine()?;
        let options = NodeOptions {
            client: self.client.clone(),
            name: NODE.to_owned(),
            labels: [(inventory::POOL_LABEL.to_owned(), "shared".to_owned())].into(),
            taints: Vec::new(),
            cpu,
            memory,
            pods: 110,
            folder: folder.to_owned(),
            images,
            services: forwards.collect(),
            refresh,
        };
        Node::start(options).await
    }
}

/// What pods may have of this machine: all processors, and its memory but for what the rest of the
/// stack takes.
fn machine() -> Result<(String, String)> {
    let cpus = thread::available_parallelism()?.get();
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes: u64 =
        line.and_then(|line| line.split_whitespace().next()).context("MemTotal")?.parse()?;
    let memory = kibibytes / 1024 * 3 / 4;
    ensure!(memory > 1024, "an agent takes 1 GiB, and this machine has too little for one");
    // A local agent may wait for a processor: what it asks for is a promise of a real cluster.
    Ok(((cpus * 4).to_string(), format!("{memory}Mi")))
}

async fn config(path: &Path) -> Result<Config> {
    let file = Kubeconfig::read_from(path)?;
    Ok(Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?)
}

async fn client(path: &Path) -> Result<Client> {
    Ok(Client::try_from(config(path).await?)?)
}
