//! What a tenant looks like that has run for a while.

use anyhow::{Context, Result};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, PersistentVolumeClaim, Pod},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use oc_domain::tenant::Tenant;
use oc_testkit::apply_strict;
use serde_json::{Value, json};

use super::{HUSH, ID, MANAGER, NAMESPACE, merge};
use crate::support::set;

/// Gives the first tenant a status, a pod that was killed for its memory, and events.
pub(super) async fn lived(client: &Client) -> Result<()> {
    let tenants: Api<Tenant> = Api::all(client.clone());
    let time = "2026-11-20T10:00:00Z";
    let status = json!({"status": {
        "phase": "Degraded", "observedGeneration": 1, "revision": "0123456789ab",
        "specCommit": "4711aaaabbbbccccddddeeeeffff000011112222", "image": "registry/gateway:1",
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "OutOfMemory", "observedGeneration": 1,
            "message": "the gateway was killed for its memory", "lastTransitionTime": time,
        }],
    }});
    tenants.patch_status(ID, &PatchParams::default(), &Patch::Merge(status)).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let revision =
        json!({"metadata": {"annotations": {"openclaw.cloud/revision": "0123456789ab"}}});
    merge(&namespaces, NAMESPACE, revision).await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let template = deployments.get("openclaw-gateway").await?.spec.context("a spec")?.template;
    let mut pod = json!({"metadata": template.metadata, "spec": template.spec});
    set(&mut pod, "/metadata/name", json!("openclaw-gateway-1"));
    // Nobody has made these here.
    pod["spec"]
        .as_object_mut()
        .context("a spec")?
        .retain(|field, _| !["priorityClassName", "runtimeClassName"].contains(&field.as_str()));
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    let status = json!({"status": {
        "phase": "Running",
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "ContainersNotReady",
            "message": "containers with unready status: [openclaw-gateway]",
        }],
        "containerStatuses": [{
            "name": "openclaw-gateway", "image": "registry/gateway:1", "imageID": "", "ready": false,
            "restartCount": 5,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 2m40s"}},
            "lastState": {"terminated": {
                "reason": "OOMKilled", "exitCode": 137, "finishedAt": time, "message": HUSH,
            }},
        }],
    }});
    pods.patch_status("openclaw-gateway-1", &PatchParams::default(), &Patch::Merge(status)).await?;
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": "volume-1"},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete", "hostPath": {"path": "/volume-1"},
            "claimRef": {"namespace": NAMESPACE, "name": "openclaw-state"},
        },
    });
    let event = |name: &str, namespace: &str, kind: &str, about: &str, own: Value| {
        let mut event = json!({
            "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": name, "message": "so it is",
            "metadata": {"name": name.to_lowercase(), "namespace": namespace},
            "involvedObject": {"kind": kind, "name": about, "namespace": namespace},
        });
        event.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        event
    };
    let old = json!({"count": 7, "firstTimestamp": time, "lastTimestamp": "2026-11-20T11:00:00Z"});
    let new = json!({
        "eventTime": "2026-11-20T12:00:00.000000Z", "action": "Reconcile",
        "reportingComponent": "operator", "reportingInstance": "operator-1",
    });
    let events = [
        event("BackOff", NAMESPACE, "Pod", "openclaw-gateway-1", old.clone()),
        event("Degraded", "default", "Tenant", ID, new),
        event("Foreign", "default", "Tenant", "tier-pro", old),
    ];
    apply_strict(client, &[vec![volume], events.into()].concat(), MANAGER).await?.clean()?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), NAMESPACE);
    merge(&claims, "openclaw-state", json!({"spec": {"volumeName": "volume-1"}})).await
}
