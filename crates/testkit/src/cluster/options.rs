//! What a test wants of a cluster.

use std::{path::PathBuf, time::Duration};

/// What of a cluster shall run, and the addresses it gives out. The default is all of it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Options {
    /// kube-controller-manager.
    pub controllers: bool,
    /// kube-scheduler.
    pub scheduler: bool,
    /// kwok, which makes nodes ready and their pods running.
    pub simulated_nodes: bool,
    /// A `StorageClass` of this name whose claims get volumes; binding takes `controllers`.
    pub storage_class: Option<String>,
    /// The range of the services' cluster addresses.
    pub service_range: String,
    /// The range of the addresses that kwok gives to pods.
    pub pod_range: String,
    /// Logs also who gets, lists, watches or renews a `Lease`, except for the cluster's own
    /// components. A watch is logged as it begins.
    pub audit_reads: bool,
    /// etcd's data on a disk, and each write waits for it, as in production. A killed etcd keeps
    /// its data without it as well: this is for what depends on a write's price.
    pub durable: bool,
    /// Where everything is written, and is found again by the next cluster that is started there;
    /// without it in a temporary directory.
    pub folder: Option<PathBuf>,
    /// How long the control plane may take until it answers.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            controllers: true,
            scheduler: true,
            simulated_nodes: true,
            storage_class: Some("standard".to_owned()),
            service_range: "10.43.0.0/16".to_owned(), // K3s' defaults, as in our inventory.
            pod_range: "10.42.0.0/16".to_owned(),
            audit_reads: false,
            durable: false,
            folder: None,
            patience: Duration::from_mins(1),
        }
    }
}

impl Options {
    /// etcd and the API server alone: enough to see what the API accepts, and quicker.
    pub fn api_only() -> Self {
        Self {
            controllers: false,
            scheduler: false,
            simulated_nodes: false,
            storage_class: None,
            ..Self::default()
        }
    }
}
