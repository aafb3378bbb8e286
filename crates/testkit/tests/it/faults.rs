//! Control planes that crash.

use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim},
};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use oc_testkit::{Cluster, Options, SimulatedNode, wait_for};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::PATIENCE;

#[tokio::test]
async fn a_cluster_works_again_after_its_api_server_and_its_etcd_were_killed() {
    let mut cluster = Cluster::start(Options::default()).await.unwrap();
    cluster.add_nodes(&[SimulatedNode::new("node")]).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(cluster.client().unwrap(), "default");
    let labels = json!({ "app": "web" });
    let deployment = json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "main", "image": "x" }] },
            },
        },
    });
    let deployment = serde_json::from_value(deployment).unwrap();
    deployments.create(&PostParams::default(), &deployment).await.unwrap();
    works(&cluster, 1).await;
    for (replicas, [api_server, etcd]) in
        [(2, [true, false]), (3, [false, true]), (4, [true, true]), (5, [true, false])]
    {
        if api_server {
            cluster.kill_api_server().unwrap();
        }
        if etcd {
            cluster.kill_etcd().unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let begun = Instant::now();
        if etcd {
            cluster.restart_etcd().await.unwrap();
        }
        if api_server {
            cluster.restart_api_server().await.unwrap();
        }
        let ready = begun.elapsed();
        works(&cluster, replicas).await;
        eprintln!(
            "API server killed: {api_server}, etcd killed: {etcd}; ready after {:.1} s, at work \
             after {:.1} s",
            ready.as_secs_f32(),
            begun.elapsed().as_secs_f32(),
        );
    }
    assert_eq!(cluster.usage().unwrap().len(), 5);
    let directory = cluster.directory().to_owned();
    drop(cluster);
    assert!(!directory.exists());
}

#[tokio::test]
async fn what_was_answered_outlives_its_servers() {
    for durable in [false, true] {
        let options = Options { durable, ..Options::api_only() };
        let mut cluster = Cluster::start(options).await.unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(cluster.client().unwrap(), "default");
        let map = |name: u32| {
            serde_json::from_value(json!({ "metadata": { "name": name.to_string() } })).unwrap()
        };
        let begun = Instant::now();
        for name in 0..100 {
            maps.create(&PostParams::default(), &map(name)).await.unwrap();
        }
        eprintln!("durable: {durable}; 100 writes took {} ms", begun.elapsed().as_millis());
        cluster.kill_etcd().unwrap();
        cluster.kill_api_server().unwrap();
        cluster.restart_etcd().await.unwrap();
        cluster.restart_api_server().await.unwrap();
        assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 100);
        maps.create(&PostParams::default(), &map(100)).await.unwrap();
        // The log is that of both servers.
        let both = async || {
            let writes = cluster.writes()?;
            let created = |name: u32| writes.iter().any(|write| write.name == name.to_string());
            Ok((created(0) && created(100)).then_some(()))
        };
        wait_for(PATIENCE, "the audit log", both).await.unwrap();
    }
}

/// Waits until the controllers, the scheduler, kwok and the provisioner have done what takes them
/// all: pods that run, and a claim that is bound.
async fn works(cluster: &Cluster, replicas: i32) {
    let client = cluster.client().unwrap();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "default");
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client, "default");
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    deployments.patch("web", &PatchParams::default(), &patch).await.unwrap();
    let name = format!("claim-{replicas}");
    let claim: Value = json!({
        "metadata": { "name": name },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "standard",
            "resources": { "requests": { "storage": "1Gi" } },
        },
    });
    claims.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await.unwrap();
    let done = async || {
        let ready = deployments.get("web").await?.status.and_then(|status| status.ready_replicas);
        let phase = claims.get(&name).await?.status.and_then(|status| status.phase);
        Ok((ready == Some(replicas) && phase.as_deref() == Some("Bound")).then_some(()))
    };
    wait_for(PATIENCE, "pods and claim", done).await.unwrap();
}
