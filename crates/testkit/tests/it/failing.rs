//! Pods that fail as a test asks for.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use oc_testkit::wait_for;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    PATIENCE,
    workloads::{namespace, pod},
};

const RUNNING: Seen<'_> = ("Running", "True", "running", "");

/// The phase, the condition `Ready`, what the container does and how it ended last.
type Seen<'a> = (&'a str, &'a str, &'a str, &'a str);

#[tokio::test]
async fn an_annotation_makes_a_pod_fail_at_once_and_its_removal_heals_it() {
    let pods = pods("failing").await;
    create(&pods, "failing", "some/image:1", &json!({})).await;
    wait(&pods, "failing", &[RUNNING]).await;
    let ip = status(&pods, "failing").await["podIP"].clone();
    let backoff = ("Running", "False", "CrashLoopBackOff", "OOMKilled");
    let killed = ("Running", "False", "running", "OOMKilled");
    for (fail, seen) in [
        ("not-ready", &[("Running", "False", "running", "")][..]),
        ("image-pull", &[("Pending", "False", "ImagePullBackOff", "")]),
        ("mount", &[("Pending", "False", "ContainerCreating", "")]),
        ("crash-loop", &[("Running", "False", "CrashLoopBackOff", "Error")]),
        ("out-of-memory", &[killed, backoff, killed]),
    ] {
        let begun = Instant::now();
        mark(&pods, "failing", json!(fail)).await;
        wait(&pods, "failing", seen).await;
        eprintln!("{fail} after {} ms", begun.elapsed().as_millis());
    }
    let before = restarts(&status(&pods, "failing").await);
    assert!(before > 5, "five of the crash loop, and one for each kill: {before}");
    mark(&pods, "failing", Value::Null).await;
    // As a kubelet would: the last end of the container stays known.
    wait(&pods, "failing", &[("Running", "True", "running", "OOMKilled")]).await;
    let status = status(&pods, "failing").await;
    assert!(restarts(&status) >= before);
    assert_eq!(status["podIP"], ip);
}

#[tokio::test]
async fn an_image_can_be_broken_or_missing_and_one_pod_of_it_can_be_healed() {
    let pods = pods("images").await;
    let none = json!({});
    create(&pods, "broken", "registry:5000/missing/gateway:1-broken", &none).await;
    create(&pods, "missing", "gateway:missing-2", &none).await;
    create(&pods, "fine", "broken/missing", &none).await;
    let late = json!({ "testkit.openclaw.cloud/ready-after": "24h" });
    create(&pods, "late", "gateway:1", &late).await;
    wait(&pods, "broken", &[("Running", "False", "running", "")]).await;
    wait(&pods, "missing", &[("Pending", "False", "ImagePullBackOff", "")]).await;
    wait(&pods, "fine", &[RUNNING]).await;
    assert_eq!(status(&pods, "late").await["phase"], "Pending");
    mark(&pods, "late", json!("not-ready")).await;
    wait(&pods, "late", &[("Running", "False", "running", "")]).await;
}

async fn pods(name: &str) -> Api<Pod> {
    Api::namespaced(namespace(name).await, name)
}

async fn create(pods: &Api<Pod>, name: &str, image: &str, annotations: &Value) {
    let mut pod = pod(name, annotations);
    pod["spec"]["containers"][0]["image"] = json!(image);
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
}

async fn mark(pods: &Api<Pod>, name: &str, fail: Value) {
    let annotations = json!({ "testkit.openclaw.cloud/fail": fail });
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    pods.patch(name, &PatchParams::default(), &patch).await.unwrap();
}

async fn status(pods: &Api<Pod>, name: &str) -> Value {
    serde_json::to_value(pods.get(name).await.unwrap().status).unwrap()
}

fn restarts(status: &Value) -> i64 {
    status["containerStatuses"][0]["restartCount"].as_i64().unwrap()
}

/// Waits until the pod has been seen as each of `wanted`, in order.
async fn wait(pods: &Api<Pod>, name: &str, wanted: &[Seen<'_>]) {
    for wanted in wanted {
        let seen = async || {
            let status = status(pods, name).await;
            let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
            let container = &status["containerStatuses"][0];
            let waiting = container["state"]["waiting"]["reason"].as_str();
            let running = container["state"]["running"].is_object().then_some("running");
            let seen = (
                status["phase"].as_str().unwrap_or_default(),
                ready.and_then(|ready| ready["status"].as_str()).unwrap_or_default(),
                waiting.or(running).unwrap_or_default(),
                container["lastState"]["terminated"]["reason"].as_str().unwrap_or_default(),
            );
            Ok((seen == *wanted).then_some(()))
        };
        let found = wait_for(PATIENCE, &format!("{name} to be {wanted:?}"), seen).await;
        if let Err(error) = found {
            panic!("{error}: {:#}", status(pods, name).await);
        }
    }
}
