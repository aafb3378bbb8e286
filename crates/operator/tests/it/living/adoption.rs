//! Namespaces that are there before their tenants.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace, PersistentVolumeClaim},
};
use kube::{Api, ResourceExt as _, api::PostParams};
use oc_domain::{TenantId, TierId, tenant::Phase};
use oc_sandbox::operator::Stack;
use serde_json::{Value, json};

use crate::{
    resize::{CLASS, deployment, is_sized, seen},
    support::{claim, condition, id, pay, phase, pods, spec, wait},
};

/// Objects that are there before their tenant's file become ours, whatever their shape.
pub(super) async fn adopts(stack: &Stack) {
    let client = stack.client().unwrap();
    let theirs = json!({ "app": "theirs" });
    let ours = json!({ "app.kubernetes.io/name": "openclaw-gateway" });
    let (larger, smaller, other) = (id("c-00000001"), id("c-00000002"), id("c-00000003"));
    let mut claims = BTreeMap::new();
    for (id, size, mode, labels) in [
        (&larger, "3Gi", "ReadWriteOnce", &theirs),
        (&smaller, "1Gi", "ReadWriteOnce", &ours),
        // What it may be mounted for cannot be changed any more.
        (&other, "1Gi", "ReadWriteMany", &theirs),
    ] {
        pay(stack, id).await;
        claims.insert(id, foreign(stack, id, size, mode, labels).await);
    }
    let starter = spec("starter", "active");
    let files = [(&larger, starter.clone()), (&smaller, spec("pro", "active")), (&other, starter)];
    stack.push(&files).await.unwrap();
    for (id, tier, gib, volume) in [
        (&larger, TierId::Starter, 3, ""),
        (&smaller, TierId::Pro, 5, ""),
        (&other, TierId::Starter, 1, "False Refused"),
    ] {
        let tenant = phase(stack, id, Phase::Ready).await;
        assert_eq!(condition(&tenant, "Applied"), "True Applied");
        assert_eq!(condition(&tenant, "VolumeAsBought"), volume);
        // Its own Deployment has ended, its pod may still be on its way.
        wait(stack, "one pod", async || Ok((pods(&client, id).await.len() == 1).then_some(())))
            .await;
        is_sized(stack, id, tier, gib).await;
        let now = claim(&client, id).await;
        assert_eq!(now.labels()["openclaw.cloud/tenant"], id.as_str());
        assert_eq!(now.uid(), claims[id].uid());
        assert_eq!(now.spec.unwrap().volume_name, claims[id].spec.clone().unwrap().volume_name);
        is_ours(stack, id).await;
    }
}

/// Says whether all but the claim is as we make it.
async fn is_ours(stack: &Stack, id: &TenantId) {
    let client = stack.client().unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = namespaces.get(&id.namespace()).await.unwrap();
    assert_eq!(namespace.labels()["openclaw.cloud/tenant"], id.as_str());
    assert_eq!(namespace.labels()["pod-security.kubernetes.io/enforce"], "restricted");
    let seen = seen(stack, id).await;
    assert!(seen.files["SOUL.md"].len() > 100, "ours: {}", seen.files["SOUL.md"]);
    let deployment = deployment(&client, id).await.spec.unwrap();
    let selector = deployment.selector.match_labels.unwrap();
    let name = ("app.kubernetes.io/name".to_owned(), "openclaw-gateway".to_owned());
    assert_eq!(selector, BTreeMap::from([name]));
    assert_eq!(deployment.strategy.unwrap().type_.as_deref(), Some("Recreate"));
    let pod = pods(&client, id).await.remove(0);
    let images = pod.spec.unwrap().containers.into_iter().map(|container| container.image.unwrap());
    let images: Vec<String> = images.collect();
    assert!(images.len() == 1 && images[0].contains("/gateway:"), "{images:?}");
}

/// A namespace as somebody else would have made it: of our names, and not of our shape. Gives its
/// claim, which has a volume.
async fn foreign(
    stack: &Stack,
    id: &TenantId,
    size: &str,
    mode: &str,
    labels: &Value,
) -> PersistentVolumeClaim {
    let client = stack.client().unwrap();
    let namespace = id.namespace();
    make::<Namespace>(&Api::all(client.clone()), json!({ "metadata": { "name": namespace } }))
        .await;
    let map = json!({
        "metadata": { "name": "openclaw-workspace", "labels": { "app": "theirs" } },
        "data": { "SOUL.md": "theirs", "theirs.md": "theirs" },
    });
    make::<ConfigMap>(&Api::namespaced(client.clone(), &namespace), map).await;
    let claim = json!({
        "metadata": { "name": "openclaw-state" },
        "spec": {
            "accessModes": [mode], "storageClassName": CLASS,
            "resources": { "requests": { "storage": size } },
        },
    });
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
    make(&claims, claim).await;
    let deployment = json!({
        "metadata": { "name": "openclaw-gateway", "labels": labels },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "theirs", "image": "theirs:1" }] },
            },
        },
    });
    make::<Deployment>(&Api::namespaced(client.clone(), &namespace), deployment).await;
    wait(stack, "their pod and their volume", async || {
        let claim = claims.get("openclaw-state").await?;
        let bound = claim.status.as_ref().and_then(|status| status.phase.as_deref());
        let whole = bound == Some("Bound") && pods(&client, id).await.len() == 1;
        Ok(whole.then_some(claim))
    })
    .await
}

async fn make<K>(api: &Api<K>, object: Value)
where
    K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let object: K = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
}
