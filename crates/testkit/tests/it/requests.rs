//! Who asks the API for what.

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ConfigMap};
use kube::{
    Api, Client, Config,
    api::{ListParams, Patch, PatchParams, PostParams, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use oc_testkit::{Cluster, Options, wait_for};
use serde_json::json;

use crate::PATIENCE;

const OPERATOR: &str = "system:serviceaccount:platform:operator";

#[tokio::test]
async fn reads_and_leases_are_told_of_where_a_test_wants_it() {
    let options = Options { audit_reads: true, ..Options::api_only() };
    let cluster = Cluster::start(options).await.unwrap();
    allow(&cluster).await;
    let groups = ["system:serviceaccounts", "system:serviceaccounts:platform"];
    let client = client(&cluster, &groups).await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let leases: Api<Lease> = Api::namespaced(client, "default");
    maps.list(&ListParams::default()).await.unwrap();
    let lease = serde_json::from_value(json!({ "metadata": { "name": "leader" } })).unwrap();
    leases.create(&PostParams::default(), &lease).await.unwrap();
    maps.get("nothing").await.unwrap_err();
    let watch = maps.watch(&WatchParams::default().timeout(1), "0").await.unwrap();
    pin_mut!(watch);
    while watch.next().await.is_some() {}
    let patch = Patch::Merge(json!({ "data": {} }));
    maps.patch("nothing", &PatchParams::default(), &patch).await.unwrap_err();
    wait_for(PATIENCE, "the audit log", async || {
        let writes = cluster.writes()?;
        Ok(writes.iter().any(|write| write.user == OPERATOR).then_some(()))
    })
    .await
    .unwrap();
    let requests = cluster.requests().unwrap();
    let seen: Vec<_> = requests
        .iter()
        .filter(|request| request.user == OPERATOR)
        .map(|request| {
            let resource = format!("{}/{}", request.api_group, request.resource);
            (request.verb.as_str(), resource, request.is_write(), request.status)
        })
        .collect();
    let maps = "/configmaps".to_owned();
    assert_eq!(
        seen,
        [
            ("list", maps.clone(), false, 200),
            ("create", "coordination.k8s.io/leases".to_owned(), false, 201),
            ("get", maps.clone(), false, 404),
            ("watch", maps.clone(), false, 200),
            ("patch", maps, true, 403),
        ]
    );
    let own = |user: &str| user.starts_with("system:kube") || user == "system:apiserver";
    let reads = requests.iter().filter(|request| own(&request.user) && !request.is_write());
    assert_eq!(reads.count(), 0);
}

/// A client as another program makes it, of a file.
async fn client(cluster: &Cluster, groups: &[&str]) -> Client {
    let path = cluster.kubeconfig_as(OPERATOR, groups).unwrap();
    assert_ne!(path, cluster.kubeconfig_as(OPERATOR, &[]).unwrap());
    let file = Kubeconfig::read_from(path).unwrap();
    let mut config =
        Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    config.proxy_url = None;
    Client::try_from(config).unwrap()
}

/// Gives the operator's group the right to read, and to hold leases.
async fn allow(cluster: &Cluster) {
    let objects = [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": { "name": "reader" },
            "rules": [
                { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"] },
                { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"] },
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": { "name": "reader" },
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader",
            },
            "subjects": [{
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Group",
                "name": "system:serviceaccounts:platform",
            }],
        }),
    ];
    let client = cluster.client().unwrap();
    oc_testkit::apply_strict(&client, &objects, "test").await.unwrap().clean().unwrap();
}
