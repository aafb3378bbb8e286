//! Control planes that crash and come back.

use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};

use super::{API_SERVER, CONTROLLERS, Cluster, ETCD, KWOK, SCHEDULER};

impl Cluster {
    /// Kills the API server with SIGKILL. Of what it answered last, lines may be missing in the
    /// audit log.
    pub fn kill_api_server(&mut self) -> Result<()> {
        drop(self.group.kill_one(API_SERVER)?);
        self.log.mend()
    }

    /// Starts the API server again on the same port, after [`Self::kill_api_server`], and waits
    /// until it is ready.
    ///
    /// The controller-manager, the scheduler and kwok are started anew. They would survive, but
    /// try again ever more seldom with each crash: after a second one, half a minute later.
    pub async fn restart_api_server(&mut self) -> Result<()> {
        self.start_api_server()?;
        self.ready().await?;
        let mut killed = Vec::new();
        for name in [CONTROLLERS, SCHEDULER, KWOK] {
            if self.group.has(name) {
                killed.push(self.group.kill_one(name)?);
            }
        }
        // A new kwok would wait until the nodes' leases with the old one have ended.
        let leases: Api<Lease> = Api::namespaced(self.client()?, "kube-node-lease");
        leases.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        killed.iter().try_for_each(|member| self.group.revive(member))
    }

    /// Kills etcd with SIGKILL. Requests to the API server wait until it is back, for a minute at
    /// most.
    pub fn kill_etcd(&mut self) -> Result<()> {
        self.group.kill_one(ETCD).map(drop)
    }

    /// Starts etcd again on the same data, after [`Self::kill_etcd`], and waits until the API
    /// server is ready, unless that one is killed too.
    pub async fn restart_etcd(&mut self) -> Result<()> {
        self.start_etcd()?;
        if self.group.has(API_SERVER) { self.ready().await } else { Ok(()) }
    }
}
