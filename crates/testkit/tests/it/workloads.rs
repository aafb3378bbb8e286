use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim, Pod, ServiceAccount},
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use oc_testkit::wait_for;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{PATIENCE, shared};

#[tokio::test]
async fn a_pod_runs_on_the_node_that_it_asks_for() {
    let client = namespace("pods").await;
    let pods: Api<Pod> = Api::namespaced(client, "pods");
    let mut pod = pod("web", &json!({}));
    pod["spec"]["nodeSelector"] = json!({ "pool": "tainted" });
    pod["spec"]["tolerations"] = json!([{ "key": "pool", "operator": "Exists" }]);
    let begun = Instant::now();
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let running =
        wait_for(PATIENCE, "the pod to run", async || phase(&pods, "web", "Running").await);
    let running = running.await.unwrap();
    eprintln!("Running after {} ms", begun.elapsed().as_millis());
    assert_eq!(running.spec.unwrap().node_name.as_deref(), Some("tainted"));
    assert!(running.status.unwrap().pod_ip.unwrap().starts_with("10.42."));
    for process in shared().await.usage().unwrap() {
        eprintln!("{}: {} MiB", process.name, process.resident_bytes >> 20);
    }
}

#[tokio::test]
async fn a_pod_can_be_late_and_a_job_ends() {
    let client = namespace("late").await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "late");
    let late = pod("late", &json!({ "testkit.openclaw.cloud/ready-after": "24h" }));
    pods.create(&PostParams::default(), &serde_json::from_value(late).unwrap()).await.unwrap();
    let spec =
        json!({ "restartPolicy": "Never", "containers": [{ "name": "main", "image": "job" }] });
    let job = json!({ "metadata": { "name": "job" }, "spec": { "template": { "spec": spec } } });
    let jobs: Api<Job> = Api::namespaced(client, "late");
    jobs.create(&PostParams::default(), &serde_json::from_value(job).unwrap()).await.unwrap();
    let done = async || {
        let status = jobs.get("job").await?.status;
        Ok(status.and_then(|status| status.succeeded).filter(|&succeeded| succeeded == 1))
    };
    wait_for(PATIENCE, "the job to end", done).await.unwrap();
    let late = pods.get("late").await.unwrap();
    assert!(late.spec.unwrap().node_name.is_some());
    assert_eq!(late.status.unwrap().phase.as_deref(), Some("Pending"));
}

#[tokio::test]
async fn a_claim_is_bound_and_grown_and_its_volume_goes_with_it() {
    let client = namespace("claims").await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), "claims");
    let claim = json!({
        "metadata": { "name": "state" },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "standard",
            "resources": { "requests": { "storage": "1Gi" } },
        },
    });
    claims.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await.unwrap();
    let of_size = async |size: &str| {
        let claim = claims.get("state").await?;
        let status = claim.status.unwrap_or_default();
        let fits = status.capacity.is_some_and(|capacity| capacity["storage"].0 == size);
        anyhow::Ok(
            (fits && status.phase.as_deref() == Some("Bound"))
                .then(|| claim.spec.unwrap().volume_name.unwrap()),
        )
    };
    wait_for(PATIENCE, "the claim to be bound", async || of_size("1Gi").await).await.unwrap();

    let more = json!({ "spec": { "resources": { "requests": { "storage": "3Gi" } } } });
    claims.patch("state", &PatchParams::default(), &Patch::Merge(more)).await.unwrap();
    let volume =
        wait_for(PATIENCE, "the claim to grow", async || of_size("3Gi").await).await.unwrap();
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    assert_eq!(
        volumes.get(&volume).await.unwrap().spec.unwrap().capacity.unwrap()["storage"].0,
        "3Gi"
    );

    let namespaces: Api<Namespace> = Api::all(client);
    namespaces.delete("claims", &DeleteParams::default()).await.unwrap();
    wait_for(PATIENCE, "namespace and volume to be gone", async || {
        let left = volumes.get_opt(&volume).await?.is_some()
            || namespaces.get_opt("claims").await?.is_some();
        Ok((!left).then_some(()))
    })
    .await
    .unwrap();
}

/// A new namespace whose pods are accepted: its service account is there.
pub(crate) async fn namespace(name: &str) -> Client {
    let client = shared().await.client().unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    let account =
        wait_for(PATIENCE, "a service account", async || Ok(accounts.get_opt("default").await?));
    account.await.unwrap();
    client
}

pub(crate) fn pod(name: &str, annotations: &Value) -> Value {
    json!({
        "metadata": { "name": name, "annotations": annotations },
        "spec": { "containers": [{ "name": "main", "image": "nothing.invalid/image" }] },
    })
}

async fn phase(pods: &Api<Pod>, name: &str, phase: &str) -> anyhow::Result<Option<Pod>> {
    let pod = pods.get(name).await?;
    let reached = pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some(phase));
    Ok(reached.then_some(pod))
}
