//! What tests need and production does not: a real Kubernetes control plane on loopback, simulated
//! nodes and volumes, a strict server-side apply that keeps the API's warnings, and private servers
//! of Postgres and Redis.
//!
//! A [`Cluster`] is etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok as
//! processes of this machine. It needs no root, no container and no network: [`tools`] builds the
//! programs once from pinned Go modules. A [`Postgres`] or [`Redis`] is the machine's own program on
//! a port of its own. Whatever way the test process ends, nothing of these stays behind.
//!
//! Nothing here runs a container: a pod that is `Running` on a simulated node is a status and no
//! more ([`SimulatedNode`] says how tests make it fail), and no packet meets a `NetworkPolicy`:
//! [`Policies`] says what would become of it.
//!
//! ```no_run
//! use std::time::Duration;
//! use k8s_openapi::api::core::v1::Pod;
//! use kube::Api;
//! use oc_testkit::{Cluster, Options, SimulatedNode, apply_strict, wait_for};
//!
//! # async fn example(objects: Vec<serde_json::Value>) -> anyhow::Result<()> {
//! let cluster = Cluster::start(Options::default()).await?;
//! cluster.add_nodes(&[SimulatedNode::new("agent-1")]).await?;
//! let client = cluster.client()?;
//! apply_strict(&client, &objects, "test").await?.clean()?;
//! let pods: Api<Pod> = Api::namespaced(client, "default");
//! let exists = async || Ok(pods.get_opt("web").await?);
//! wait_for(Duration::from_secs(20), "the pod to exist", exists).await?;
//! # Ok(())
//! # }
//! ```

pub mod tools;

mod apply;
mod audit;
mod cluster;
mod nodes;
mod pki;
mod policy;
mod port;
mod postgres;
mod process;
mod provisioner;
mod redis;
mod wait;

pub use apply::{Report, apply_strict};
pub use audit::Request;
pub use cluster::{Cluster, Options};
pub use nodes::SimulatedNode;
pub use policy::{End, Policies, Protocol};
pub use postgres::Postgres;
pub use process::Usage;
pub use provisioner::Provisioner;
pub use redis::{Redis, RedisOptions};
pub use wait::wait_for;
