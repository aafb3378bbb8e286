//! A node for one machine: it runs the pods of a real API server as local processes, from the very
//! objects that the operator applies.
//!
//! It is no kubelet. It takes pods of exactly the shape that `manifests` renders for a tenant and
//! refuses every other with an Event and phase `Failed`; there are no images, but folders of this
//! machine in their place. What it takes it runs as a kubelet would: mount, process, network, host
//! name and IPC namespaces for each pod, a read-only root with nothing of this machine but its
//! `/usr`, volumes, probes, restarts with back-off, limits, and an honest status.
//!
//! ```text
//!  API server ──► one task per pod ──► pause: `cat`, PID 1 of the pod's outer namespaces
//!   pods, claims,      │                 └─► container: PID 1 of a namespace of its own
//!   ConfigMaps,        └─ forwarders, probes: sockets made inside the pod's network,
//!   Secrets               served out here
//! ```
//!
//! The standard input of `pause` is a pipe that only this process holds. When it closes, whatever
//! closed it, the kernel ends every process of the pod. So nothing is ever left running, and a node
//! that starts again in the same folder finds volumes and no processes.
//!
//! A pod's network has one interface, `lo`, with the pod's address and those of the services. Our
//! listeners are all that answers there: no route, no name server, no other address.
//!
//! Not done: seccomp (`RuntimeDefault` is demanded and not enforced), user namespaces, the masks of
//! a container runtime in `/proc`, `kubectl logs` and `exec`.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Taint;
use kube::Client;
use tokio::{fs, sync::oneshot, task::JoinSet};

use self::cgroup::Cgroups;

mod back_off;
mod cgroup;
mod claim;
mod container;
mod events;
mod files;
mod forward;
mod life;
mod plan;
mod pods;
mod probe;
mod quantity;
mod register;
mod root;
mod sandbox;
mod shape;
mod status;

/// The field manager of what the node writes, and the source of its Events.
const NAME: &str = "oc-node";

/// What a node is, and what it offers.
#[derive(Clone)]
pub struct NodeOptions {
    /// A client that may read pods, claims, ConfigMaps and Secrets, and write nodes, leases, events
    /// and pods.
    pub client: Client,
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
    /// State: `volumes/<name of the PersistentVolume>`, `logs/<namespace>/<pod>.log`, and what lives as
    /// long as a pod. One node at a time.
    pub folder: PathBuf,
    /// What can be run.
    pub images: Vec<Image>,
    /// All that a pod can reach.
    pub services: Vec<Forward>,
    /// How late a changed ConfigMap or Secret is noticed; a kubelet takes a minute or more. A change
    /// of the pod's annotations has it noticed at once, there as here.
    pub refresh: Duration,
}

/// What stands in for a container image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The last part of the repository, such as `gateway`; registry and tag do not matter.
    pub name: String,
    /// The program and its arguments.
    pub entry: Vec<String>,
    /// Files and folders of this machine, and where they are in the container, read-only.
    pub mounts: Vec<(PathBuf, String)>,
    /// The image's environment, which the pod's adds to.
    pub env: Vec<(String, String)>,
}

/// A service as pods know it, and where it really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Its ClusterIP and port.
    pub address: SocketAddr,
    /// Where this process reaches it.
    pub to: SocketAddr,
}

impl fmt::Debug for NodeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeOptions")
            .field("name", &self.name)
            .field("folder", &self.folder)
            .field("images", &self.images)
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}

/// A running node. Its pods end with this value, at once ([`Node::stop`] waits until they have); the
/// API server is not told: to it the node falls silent.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
}

/// What the pods of a node have in common.
#[derive(Debug)]
struct Shared {
    options: NodeOptions,
    cgroups: Cgroups,
    /// How many addresses have been given out.
    addresses: AtomicU32,
}

impl Node {
    /// Registers the node and serves it, on the runtime of the caller. Pods that it had before, in
    /// the same folder, are started again. Takes root, and Linux with the usual tools.
    pub async fn start(options: NodeOptions) -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "namespaces and mounts take root: start this with sudo"
        );
        let folder = &options.folder;
        for part in ["pods", "volumes", "logs"] {
            fs::create_dir_all(folder.join(part)).await?;
        }
        // Paths are handed to programs in other mount namespaces.
        let folder = fs::canonicalize(folder).await.context("the node's folder")?;
        let cgroups = Cgroups::find();
        if let Some(missing) = cgroups.missing() {
            anstream::eprintln!("node {}: no limit of {missing}: no writable cgroup", options.name);
        }
        let options = NodeOptions { folder, ..options };
        let shared = Arc::new(Shared { options, cgroups, addresses: AtomicU32::new(0) });
        shared.sweep().await?;
        register::register(&shared.options).await.context("registering the node")?;
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(register::renew(Arc::clone(&shared)));
        tasks.spawn(claim::forget(Arc::clone(&shared)));
        tasks.spawn(pods::run(Arc::clone(&shared), stopped));
        Ok(Self { shared, stop: Some(stop), tasks })
    }

    /// Where the output of a pod is, that of all its runs.
    pub fn logs(&self, namespace: &str, pod: &str) -> PathBuf {
        self.shared.log(namespace, pod)
    }

    /// What of a pod's limits is not enforced, since no writable cgroup was found for it: `cpu`,
    /// `memory`.
    pub fn unlimited(&self) -> Option<String> {
        self.shared.cgroups.missing()
    }

    /// Kills every pod and waits until no process of theirs is left.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        // Those that renew and forget never end by themselves, the pods do.
        tokio::select! {
            () = async { while self.tasks.join_next().await.is_some_and(|it| it.is_err()) {} } => {}
            () = tokio::time::sleep(Duration::from_secs(10)) => {}
        }
    }
}

impl Shared {
    /// Removes what an earlier run left: its processes ended with it.
    async fn sweep(&self) -> Result<()> {
        let mut pods = fs::read_dir(self.options.folder.join("pods")).await?;
        while let Some(pod) = pods.next_entry().await? {
            self.cgroups.remove(&pod.file_name().to_string_lossy());
            fs::remove_dir_all(pod.path()).await?;
        }
        Ok(())
    }

    /// What lives as long as a pod.
    fn pod(&self, uid: &str) -> PathBuf {
        self.options.folder.join("pods").join(uid)
    }

    /// What lives as long as a PersistentVolume.
    fn volume(&self, name: &str) -> PathBuf {
        self.options.folder.join("volumes").join(name)
    }

    fn log(&self, namespace: &str, pod: &str) -> PathBuf {
        self.options.folder.join("logs").join(namespace).join(format!("{pod}.log"))
    }
}
