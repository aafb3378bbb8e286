//! Pods of a tenant, in the words of the API. All were accepted at 12:00:02.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::health::Pod;

/// A time of the day that the tests live in.
pub(super) fn at(time: &str) -> Timestamp {
    format!("2026-11-21T{time}Z").parse().unwrap()
}

fn stamp(time: &str) -> String {
    format!("2026-11-21T{time}Z")
}

pub(super) fn pod(value: Value) -> Pod {
    Pod::of(&serde_json::from_value(value).unwrap())
}

fn object(spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "openclaw-gateway-7c9d8b6f5-x2x4z", "namespace": "customer-c-7f3k2m9q",
            "uid": "0d3f6f0e-6a53-4c5e-9a7e-3f1f0a4c9b11", "creationTimestamp": stamp("12:00:00"),
            "labels": {"app.kubernetes.io/name": "openclaw-gateway"},
        },
        "spec": spec, "status": status,
    })
}

fn condition(kind: &str, status: &str, since: &str) -> Value {
    let mut condition = json!({
        "type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": stamp(since),
    });
    if status == "False" {
        condition["reason"] = "ContainersNotReady".into();
        condition["message"] = "containers with unready status: [openclaw-gateway]".into();
    }
    condition
}

/// A pod on a node, with one container; `ready` and its time are of the conditions.
pub(super) fn placed(phase: &str, (ready, since): (bool, &str), container: &Value) -> Value {
    let word = if ready { "True" } else { "False" };
    let mut status = json!({
        "name": "openclaw-gateway", "image": "registry.example/gateway:1.4.0", "imageID": "",
        "ready": ready, "started": false, "restartCount": 0, "state": {}, "lastState": {},
    });
    status.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
    object(
        &json!({"nodeName": "worker-1", "containers": [{"name": "openclaw-gateway"}]}),
        &json!({
            "phase": phase, "startTime": stamp("12:00:02"), "qosClass": "Burstable",
            "conditions": [
                condition("PodReadyToStartContainers", "True", "12:00:04"),
                condition("Initialized", "True", "12:00:02"),
                condition("Ready", word, since),
                condition("ContainersReady", word, since),
                condition("PodScheduled", "True", "12:00:01"),
            ],
            "containerStatuses": [status],
        }),
    )
}

pub(super) fn running(since: &str) -> Value {
    json!({"running": {"startedAt": stamp(since)}})
}

pub(super) fn waiting(reason: &str, message: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": message}})
}

pub(super) fn terminated(reason: &str, exit_code: i32, at: &str) -> Value {
    json!({"terminated": {
        "reason": reason, "exitCode": exit_code, "startedAt": stamp("12:00:05"),
        "finishedAt": stamp(at), "containerID": "containerd://5b1e",
    }})
}

/// Started at 12:00:05 and ready at 12:01:00.
pub(super) fn healthy() -> Value {
    placed("Running", (true, "12:01:00"), &json!({"started": true, "state": running("12:00:05")}))
}

/// Ready before, not ready any more since 12:30:00; its container runs on.
pub(super) fn not_ready() -> Value {
    placed("Running", (false, "12:30:00"), &json!({"started": true, "state": running("12:00:05")}))
}

/// Started at 12:00:05, not ready yet.
pub(super) fn starting() -> Value {
    placed("Running", (false, "12:00:02"), &json!({"state": running("12:00:05")}))
}

pub(super) fn creating() -> Value {
    let state = json!({"waiting": {"reason": "ContainerCreating"}});
    placed("Pending", (false, "12:00:02"), &json!({"state": state}))
}

pub(super) fn pulling_in_vain() -> Value {
    let message =
        "Back-off pulling image \"registry.example/gateway:1.4.1\": ErrImagePull: not found";
    placed("Pending", (false, "12:00:02"), &json!({"state": waiting("ImagePullBackOff", message)}))
}

/// Ended for the fourth time at 12:20:00, and waits.
pub(super) fn crash_loop() -> Value {
    let message = "back-off 1m20s restarting failed container=openclaw-gateway";
    let container = json!({
        "restartCount": 4, "state": waiting("CrashLoopBackOff", message),
        "lastState": terminated("Error", 1, "12:20:00"),
    });
    placed("Running", (false, "12:20:00"), &container)
}

/// Killed at 12:20:00 after it was ready, started again at once.
pub(super) fn killed_for_memory() -> Value {
    let container = json!({
        "restartCount": 1, "state": running("12:20:01"),
        "lastState": terminated("OOMKilled", 137, "12:20:00"),
    });
    placed("Running", (false, "12:20:01"), &container)
}

/// Ended once by an error at 12:20:00 after it was ready, started again in the same second.
pub(super) fn restarted() -> Value {
    let container = json!({
        "restartCount": 1, "started": true, "state": running("12:20:00"),
        "lastState": terminated("Error", 1, "12:20:00"),
    });
    placed("Running", (false, "12:20:00"), &container)
}

pub(super) fn unschedulable() -> Value {
    let mut scheduled = condition("PodScheduled", "False", "12:00:00");
    scheduled["reason"] = "Unschedulable".into();
    scheduled["message"] = "0/5 nodes are available: 5 Insufficient memory.".into();
    object(
        &json!({"containers": [{"name": "openclaw-gateway"}]}),
        &json!({"phase": "Pending", "conditions": [scheduled]}),
    )
}

/// What the node controller makes of a pod whose node is silent: nothing but the one condition.
pub(super) fn on_a_lost_node() -> Value {
    let mut pod = healthy();
    for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
        if condition["type"] == "Ready" {
            condition["status"] = "False".into();
            condition["lastTransitionTime"] = stamp("12:30:00").into();
        }
    }
    pod
}

pub(super) fn evicted() -> Value {
    let mut pod = healthy();
    pod["status"] = json!({
        "phase": "Failed", "reason": "Evicted", "startTime": stamp("12:00:02"),
        "message": "The node was low on resource: ephemeral-storage.",
    });
    pod
}

/// On its way out, to be gone at 12:35:30.
pub(super) fn leaving(mut pod: Value) -> Value {
    pod["metadata"]["deletionTimestamp"] = stamp("12:35:30").into();
    pod["metadata"]["deletionGracePeriodSeconds"] = 330.into();
    pod
}
