//! The manifests on a real API server, controller-manager and scheduler: what a cluster says to every
//! object of the example fleet, and whether the pods run.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota, Taint};
use kube::{Api, Client, ResourceExt, api::ListParams};
use oc_domain::{
    Fleet, Inventory,
    fleet::parse_tenant,
    inventory::{self, server_type},
    tenant::{State, TenantFile},
};
use oc_manifests::{Access, Object, Overlay, Peer, Port, Service};
use oc_testkit::{Cluster, Options, SimulatedNode, apply_strict, tools, wait_for};
use serde_json::{Value, json};

const MANAGER: &str = "manifests-test";

/// Postgres, Redis, and two each of the token proxy, channels, billing and the operator.
const PLATFORM_PODS: usize = 10;

/// The example fleet, on its own nodes or on those of another inventory.
fn fleet(inventory: &str) -> Fleet {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let bytes = fs::read(root.join(inventory)).unwrap();
    let mut files = Vec::new();
    walk(&root.join("tenants"), &mut files);
    let tenants = files.iter().map(|path| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
        parse_tenant(name, &fs::read(path).unwrap())
    });
    let checked = Fleet::assemble(Inventory::parse(inventory, &bytes), tenants);
    checked.fleet.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics))
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
}

const FIVE_NODES: &str = inventory::PATH;
const ONE_NODE: &str = "crates/manifests/tests/fixtures/one-node.json";

/// A cluster with the fleet's nodes, its CRDs and its platform.
async fn cluster(fleet: &Fleet) -> Result<(Cluster, Client)> {
    let constants = &fleet.inventory.cluster;
    let cluster = Cluster::start(Options {
        storage_class: Some(constants.storage_class.clone()),
        service_range: constants.service_cidr.0.to_string(),
        pod_range: constants.cluster_cidr.0.to_string(),
        ..Options::default()
    })
    .await?;
    let nodes: Vec<SimulatedNode> = fleet.inventory.nodes.iter().map(simulated).collect();
    cluster.add_nodes(&nodes).await?;
    let client = cluster.client()?;
    apply_strict(&client, &tools::k3s_crds()?, MANAGER).await?.clean()?;
    apply_strict(&client, &oc_manifests::crds(), MANAGER).await?.clean()?;
    apply(&client, &oc_manifests::platform(&fleet.inventory)).await?;
    Ok((cluster, client))
}

fn simulated(node: &inventory::Node) -> SimulatedNode {
    let size = server_type(&node.server_type).unwrap();
    let taint = |taint: &inventory::Taint| Taint {
        key: taint.key.clone(),
        value: Some(taint.value.clone()),
        effect: taint.effect.to_string(),
        time_added: None,
    };
    SimulatedNode {
        labels: node.kubernetes_labels(),
        taints: node.taints.iter().map(taint).collect(),
        cpu: size.vcpus.to_string(),
        memory: format!("{}Gi", size.memory_gib),
        ..SimulatedNode::new(&node.name)
    }
}

/// Applies objects; a refusal or a single warning of the API is an error.
async fn apply(client: &Client, objects: &[Object]) -> Result<Vec<Value>> {
    apply_strict(client, objects, MANAGER).await?.clean()
}

async fn apply_tenants(client: &Client, fleet: &Fleet) -> Result<()> {
    for tenant in fleet.rendered() {
        let objects =
            oc_manifests::tenant(&tenant.id, &tenant.spec, &fleet.inventory, &Overlay::default());
        apply(client, &objects).await.with_context(|| tenant.id.to_string())?;
    }
    Ok(())
}

/// The pods of a namespace that are not on their way out, by phase.
async fn phases(client: &Client, namespace: &str) -> Result<BTreeMap<String, String>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = pods.list(&ListParams::default()).await?;
    Ok(pods
        .items
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .map(|pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
            (pod.name_any(), phase.unwrap_or_default())
        })
        .collect())
}

async fn running(client: &Client, namespace: &str, count: usize) -> Result<BTreeSet<String>> {
    let what = format!("{count} running pods in {namespace}");
    wait_for(Duration::from_mins(1), &what, async || {
        let pods = phases(client, namespace).await?;
        let good = pods.len() == count && pods.values().all(|phase| phase == "Running");
        Ok(good.then(|| pods.into_keys().collect()))
    })
    .await
}

#[tokio::test]
async fn the_example_fleet_runs_on_five_nodes() -> Result<()> {
    let fleet = fleet(FIVE_NODES);
    let (_cluster, client) = cluster(&fleet).await?;
    apply_tenants(&client, &fleet).await?;
    running(&client, oc_manifests::PLATFORM, PLATFORM_PODS).await?;
    for tenant in fleet.rendered() {
        let expected = usize::from(tenant.spec.runs());
        running(&client, &tenant.id.namespace(), expected).await?;
    }
    let tiers: BTreeSet<String> =
        fleet.rendered().filter(|t| t.spec.runs()).map(|t| t.spec.tier.to_string()).collect();
    assert_eq!(tiers.len(), 6, "every tier is in the example fleet and runs: {tiers:?}");
    where_pods_are(&client, &fleet).await?;
    a_changed_template_is_replaced(&client, &fleet).await
}

/// Dedicated tenants on dedicated nodes, the others on shared ones.
async fn where_pods_are(client: &Client, fleet: &Fleet) -> Result<()> {
    for tenant in fleet.rendered().filter(|tenant| tenant.spec.runs()) {
        let pods: Api<Pod> = Api::namespaced(client.clone(), &tenant.id.namespace());
        for pod in pods.list(&ListParams::default()).await? {
            let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
            let expected = if tenant.spec.tier.to_string() == "enterprise" {
                "dedicated-1"
            } else {
                "worker-1"
            };
            assert_eq!(node, expected, "{}", tenant.id);
        }
    }
    Ok(())
}

/// O4 of the seed: its quota of one pod refused every new one.
async fn a_changed_template_is_replaced(client: &Client, fleet: &Fleet) -> Result<()> {
    let tenant = fleet.rendered().find(|tenant| tenant.spec.runs()).context("a running tenant")?;
    let namespace = tenant.id.namespace();
    let before = running(client, &namespace, 1).await?;
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), &namespace);
    let quota = quotas.get("tier-limits").await?.spec;
    let mut inventory = fleet.inventory.clone();
    inventory.cluster.image.tag.push_str("-next");
    apply(client, &oc_manifests::tenant(&tenant.id, &tenant.spec, &inventory, &Overlay::default()))
        .await?;
    wait_for(Duration::from_mins(1), "the pod to be replaced", async || {
        let pods = phases(client, &namespace).await?;
        let new =
            pods.len() == 1 && pods.iter().all(|(n, p)| p == "Running" && !before.contains(n));
        Ok(new.then_some(()))
    })
    .await?;
    assert_eq!(quotas.get("tier-limits").await?.spec, quota);
    Ok(())
}

#[tokio::test]
async fn on_one_node_everything_is_accepted_and_an_enterprise_tenant_waits() -> Result<()> {
    let fleet = fleet(ONE_NODE);
    let (_cluster, client) = cluster(&fleet).await?;
    apply_tenants(&client, &fleet).await?;
    running(&client, oc_manifests::PLATFORM, PLATFORM_PODS).await?;
    for tenant in fleet.rendered().filter(|tenant| tenant.spec.runs()) {
        let namespace = tenant.id.namespace();
        if tenant.spec.tier.to_string() != "enterprise" {
            running(&client, &namespace, 1).await?;
            continue;
        }
        let what = "the scheduler to say why the enterprise pod waits";
        let reason = wait_for(Duration::from_mins(1), what, async || {
            let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
            let pods = pods.list(&ListParams::default()).await?;
            let mut conditions =
                pods.items.into_iter().filter_map(|p| p.status?.conditions).flatten();
            Ok(conditions.find(|c| c.reason.as_deref() == Some("Unschedulable")))
        })
        .await?;
        assert_eq!(reason.status, "False");
    }
    Ok(())
}

#[tokio::test]
async fn a_tenants_namespace_refuses_what_the_standard_forbids() -> Result<()> {
    let fleet = fleet(FIVE_NODES);
    let (_cluster, client) = cluster(&fleet).await?;
    let tenant = fleet.rendered().next().context("a tenant")?;
    apply(
        &client,
        &oc_manifests::tenant(&tenant.id, &tenant.spec, &fleet.inventory, &Overlay::default()),
    )
    .await?;
    let namespace = tenant.id.namespace();
    let pod = |name: &str, spec: Value| {
        let metadata = json!({"name": name, "namespace": namespace});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    };
    let privileged = json!({
        "containers": [{"name": "a", "image": "a:1", "securityContext": {"privileged": true}}],
    });
    let greedy = json!({
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{
            "name": "a", "image": "a:1",
            "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            },
            "resources": {"limits": {"memory": "64Gi"}, "requests": {"memory": "64Gi"}},
        }],
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "way-in", "namespace": namespace},
        "spec": {"ports": [{"port": 80}], "selector": {"app.kubernetes.io/name": "openclaw-gateway"}},
    });
    let objects = [pod("privileged", privileged), pod("greedy", greedy), service];
    let report = apply_strict(&client, &objects, MANAGER).await?;
    assert_eq!(report.refused.len(), 3, "{report:?}");
    assert!(report.refused[0].contains("PodSecurity \"restricted:v1.35\""), "{report:?}");
    assert!(report.refused[1].contains("maximum memory usage per Container"), "{report:?}");
    assert!(report.refused[2].contains("exceeded quota: tier-limits"), "{report:?}");
    Ok(())
}

#[tokio::test]
async fn tenant_files_are_tenant_objects_and_the_api_knows_their_rules() -> Result<()> {
    let cluster = Cluster::start(Options::api_only()).await?;
    let client = cluster.client()?;
    apply_strict(&client, &oc_manifests::crds(), MANAGER).await?.clean()?;
    let fleet = fleet(FIVE_NODES);
    let file = |tenant: &oc_domain::fleet::Tenant| {
        serde_json::to_value(TenantFile::new(tenant.id.clone(), tenant.spec.clone())).unwrap()
    };
    let files: Vec<Value> = fleet.tenants.iter().map(file).collect();
    let applied = apply_strict(&client, &files, MANAGER).await?.clean()?;
    for (file, applied) in files.iter().zip(&applied) {
        assert_eq!(file["spec"], applied["spec"], "the API adds and drops nothing");
    }
    let with = |pointer: &str, value: Value| {
        let mut file = files[0].clone();
        *file.pointer_mut(pointer).unwrap() = value;
        file
    };
    let bad = [
        (with("/spec/tier", json!("platinum")), "Unsupported value: \"platinum\""),
        (with("/metadata/name", json!("a".repeat(41))), "DNS label of at most 40 characters"),
        (with("/spec/connections", json!(["google", "google"])), "duplicate entries for key"),
        (with("/spec/channels", json!({"telegram": {"enabled": true, "token": "1"}})), "token"),
    ];
    for (object, expected) in bad {
        let report = apply_strict(&client, &[object], MANAGER).await?;
        assert!(report.refused.concat().contains(expected), "{expected}: {report:?}");
    }
    let deleted = with("/spec/state", json!(State::Deleted));
    apply_strict(&client, &[deleted], MANAGER).await?.clean()?;
    let report = apply_strict(&client, &files[..1], MANAGER).await?;
    assert!(report.refused.concat().contains("deleted is final"), "{report:?}");
    Ok(())
}

#[tokio::test]
async fn a_service_gets_all_its_objects() -> Result<()> {
    let fleet = fleet(FIVE_NODES);
    let (_cluster, client) = cluster(&fleet).await?;
    let rule = |verbs: &[&str]| k8s_openapi::api::rbac::v1::PolicyRule {
        api_groups: Some(vec!["openclaw.cloud".to_owned()]),
        resources: Some(vec!["tenants".to_owned()]),
        verbs: verbs.iter().map(|&verb| verb.to_owned()).collect(),
        ..Default::default()
    };
    let service = |name, access| Service {
        name,
        arguments: &["serve"],
        replicas: 2,
        port: Some(8080),
        address: None,
        cpu_millis: (50, 500),
        memory_mib: (64, 256),
        environment: vec![("RUST_LOG", "info".to_owned())],
        secret: Some("example"),
        scratch_mib: Some(64),
        ingress: vec![Peer::Tenants, Peer::Namespace("kube-system")],
        egress: vec![(Peer::Platform("redis"), vec![Port::Tcp(6379)])],
        access,
        grace_seconds: 30,
    };
    let mut proxy = service("egress-proxy", Access::None);
    proxy.address = Some(fleet.inventory.cluster.data_plane.egress_proxy);
    for service in [
        proxy,
        service(
            "auditor",
            Access::Cluster {
                everywhere: vec![rule(&["get", "list", "watch"])],
                here: vec![rule(&["get"])],
            },
        ),
        service("onboarding", Access::Namespace(vec![rule(&["get"])])),
    ] {
        let objects = service.objects(&fleet.inventory);
        apply(&client, &objects).await.with_context(|| service.name.to_owned())?;
    }
    // Two pods each.
    running(&client, oc_manifests::PLATFORM, PLATFORM_PODS + 6).await?;
    Ok(())
}
