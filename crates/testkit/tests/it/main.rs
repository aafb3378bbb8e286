//! The test kit tried on itself, against real control planes and servers.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "test helpers; the lints spare test functions only"
)]

use std::time::Duration;

use oc_testkit::{Cluster, Options, SimulatedNode};
use serde_json::json;
use tokio::{sync::OnceCell, time::Instant};

mod applying;
mod failing;
mod faults;
mod lifetime;
mod requests;
mod servers;
mod workloads;

const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster with everything, which the tests of this binary share; the end of the process ends it.
async fn shared() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_init(async || {
            let begun = Instant::now();
            let cluster = Cluster::start(Options::default()).await.expect("the cluster starts");
            eprintln!("all of it ready after {:.1} s", begun.elapsed().as_secs_f32());
            let taint = json!({ "key": "pool", "value": "tainted", "effect": "NoSchedule" });
            let tainted = SimulatedNode {
                labels: [("pool".to_owned(), "tainted".to_owned())].into(),
                taints: vec![serde_json::from_value(taint).unwrap()],
                ..SimulatedNode::new("tainted")
            };
            cluster.add_nodes(&[SimulatedNode::new("plain"), tainted]).await.expect("nodes");
            eprintln!("nodes ready after {:.1} s", begun.elapsed().as_secs_f32());
            cluster
        })
        .await
}
