use oc_testkit::{Cluster, Options, Report, apply_strict, tools, wait_for};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::PATIENCE;

/// An API server that the tests of this file share.
async fn shared() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER.get_or_init(async || Cluster::start(Options::api_only()).await.unwrap()).await
}

async fn apply(objects: &[Value]) -> Report {
    apply_strict(&shared().await.client().unwrap(), objects, "test").await.unwrap()
}

#[tokio::test]
async fn apply_keeps_what_the_api_complains_of() {
    let fine = named("v1", "ConfigMap", "fine", &json!({ "data": { "a": "b" } }));
    let objects = [
        named("v1", "Namespace", "sealed", &json!({})),
        fine.clone(),
        named("v1", "ConfigMap", "typo", &json!({ "dat": {} })),
        named("v1", "Endpoints", "old", &json!({})),
        named("example.com/v1", "Unheard", "of", &json!({})),
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "nowhere" } }),
    ];
    let report = apply(&objects).await;
    assert_eq!(report.applied.len(), 3, "{report:?}");
    let [typo, unheard, nowhere] = &report.refused[..] else { panic!("{report:?}") };
    assert!(typo.starts_with("ConfigMap default/typo: ") && typo.contains(".dat"), "{typo}");
    assert_eq!(unheard, "Unheard default/of: the API serves no Unheard of example.com/v1");
    assert_eq!(nowhere, "Secret nowhere: it names no namespace");
    let [old] = &report.warnings[..] else { panic!("{report:?}") };
    assert!(old.starts_with("Endpoints default/old: v1 Endpoints is deprecated"), "{old}");
    assert!(report.clean().unwrap_err().to_string().contains("deprecated"));
    let again = apply(&[fine]).await.clean().unwrap();
    assert_eq!(again[0]["metadata"]["managedFields"][0]["manager"], "test");
}

#[tokio::test]
async fn a_new_kind_is_applied_after_its_definition() {
    let mut objects = tools::k3s_crds().unwrap();
    assert_eq!(objects.len(), 2);
    objects.push(named(
        "helm.cattle.io/v1",
        "HelmChart",
        "redis",
        &json!({ "spec": { "chart": "redis" } }),
    ));
    apply(&objects).await.clean().unwrap();
    let typo =
        named("helm.cattle.io/v1", "HelmChart", "typo", &json!({ "spec": { "chrat": "redis" } }));
    let report = apply(&[typo]).await;
    assert!(report.refused[0].contains(".spec.chrat"), "{report:?}");
}

#[tokio::test]
async fn pod_security_refuses_a_privileged_pod() {
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    let container =
        json!({ "name": "main", "image": "x", "securityContext": { "privileged": true } });
    let objects = [
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": "strict", "labels": labels },
        }),
        // The controllers would make it, which do not run here.
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": "default", "namespace": "strict" },
        }),
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "root", "namespace": "strict" },
            "spec": { "containers": [container] },
        }),
    ];
    let report = apply(&objects).await;
    let [refused] = &report.refused[..] else { panic!("{report:?}") };
    assert!(
        refused.contains("violates PodSecurity \"restricted:latest\": privileged"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_client_has_its_own_rights_and_its_own_name_in_the_audit_log() {
    let cluster = shared().await;
    let user = "system:serviceaccount:default:nobody";
    let client =
        cluster.client_as(user, &["system:serviceaccounts", "system:authenticated"]).unwrap();
    let report = apply_strict(&client, &[named("v1", "ConfigMap", "theirs", &json!({}))], "test")
        .await
        .unwrap();
    assert!(report.refused[0].contains("forbidden"), "{report:?}");
    let written = async || Ok(cluster.writes()?.into_iter().find(|write| write.user == user));
    let write = wait_for(PATIENCE, "the audit log", written).await.unwrap();
    let seen = [&write.verb, &write.resource, &write.namespace, &write.name].map(String::as_str);
    assert_eq!((seen, write.status), (["patch", "configmaps", "default", "theirs"], 403));
    let mine = named("v1", "ConfigMap", "mine", &json!({}));
    apply(&[mine]).await.clean().unwrap();
    let written = async || Ok(cluster.writes()?.into_iter().find(|write| write.name == "mine"));
    let write = wait_for(PATIENCE, "the audit log", written).await.unwrap();
    assert_eq!((write.user.as_str(), write.status), ("admin", 201));
}

fn named(api_version: &str, kind: &str, name: &str, rest: &Value) -> Value {
    let metadata = if kind == "Namespace" {
        json!({ "name": name })
    } else {
        json!({ "name": name, "namespace": "default" })
    };
    let mut object = json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata });
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    object
}
