//! Probes, restarts and limits.

use kube::ResourceExt as _;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Stage, condition, container, is_ready, restarts, root};

#[tokio::test]
async fn a_rendered_pod_becomes_ready_and_its_status_is_the_truth() {
    if !root() {
        return;
    }
    let stage = Stage::new("ready").await;
    let tenant = stage.tenant("c-ready000");
    let begun = Instant::now();
    tenant.apply().await;
    let pod = tenant.ready().await;
    eprintln!("ready after {:.1} s", begun.elapsed().as_secs_f32());
    let status = pod.status.clone().unwrap();
    for name in ["PodScheduled", "Initialized", "ContainersReady", "Ready"] {
        assert_eq!(condition(&pod, name), Some("True"), "{name}");
    }
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert!(status.pod_ip.unwrap().starts_with("10.244."));
    assert!(status.start_time.is_some());
    let container = container(&pod);
    assert_eq!(container["restartCount"], 0);
    assert_eq!((&container["started"], &container["ready"]), (&json!(true), &json!(true)));
    assert!(container["state"]["running"]["startedAt"].is_string());
    let log = stage.node.as_ref().unwrap().logs(&tenant.id.namespace(), &pod.name_any());
    assert_eq!(std::fs::read_to_string(log).unwrap(), "started\n");

    tenant.set("unready", "").await;
    let pod = tenant.pod("an unready pod", |pod| !is_ready(pod)).await;
    assert_eq!(restarts(&pod), 0);
    assert_eq!(condition(&pod, "Initialized"), Some("True"));
    tenant.unset("unready").await;
    tenant.ready().await;
}

#[tokio::test]
async fn a_pod_that_hangs_is_restarted_and_so_is_one_that_crashes_ever_later() {
    if !root() {
        return;
    }
    let stage = Stage::new("restarts").await;
    let tenant = stage.tenant("c-restart0");
    let quick = |pod: &mut serde_json::Value| {
        pod["containers"][0]["livenessProbe"]["periodSeconds"] = json!(1);
        pod["containers"][0]["livenessProbe"]["failureThreshold"] = json!(2);
    };
    tenant.apply_changed(quick).await;
    tenant.apply_secret("oc_token", "1").await;
    tenant.ready().await;
    tenant.set("hung", "").await;
    tenant.set("exit", "3").await;
    let first = tenant.pod("a restart", |pod| restarts(pod) >= 1).await;
    tenant.unset("hung").await;
    let address = first.status.unwrap().pod_ip;
    let told = tenant.events().await;
    let reasons: Vec<&str> = told.iter().map(|(reason, _)| reason.as_str()).collect();
    assert!(reasons.contains(&"Unhealthy") && reasons.contains(&"Killing"), "{told:?}");

    let waits = |pod: &_| container(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff";
    let pod = tenant.pod("a crash loop", waits).await;
    let crashed = container(&pod);
    assert_eq!(crashed["lastState"]["terminated"]["exitCode"], 3);
    assert_eq!(crashed["lastState"]["terminated"]["reason"], "Error");
    assert_eq!(crashed["restartCount"], 1);
    assert_eq!(pod.status.clone().unwrap().phase.as_deref(), Some("Running"));
    assert!(!is_ready(&pod));
    let began = Instant::now();
    tenant.unset("exit").await;
    let pod = tenant.ready().await;
    let waited = began.elapsed().as_secs();
    assert!((9..25).contains(&waited), "{waited} s");
    assert_eq!(restarts(&pod), 2);
    assert_eq!(pod.status.unwrap().pod_ip, address, "the pod is the same");
}

#[tokio::test]
async fn a_pod_beyond_its_memory_is_killed_and_started_again() {
    if !root() {
        return;
    }
    let stage = Stage::new("memory").await;
    if let Some(missing) = stage.node.as_ref().unwrap().unlimited() {
        assert!(std::env::var_os("CI").is_none(), "no cgroup for {missing}, and CI must have it");
        eprintln!("NOT RUN: no cgroup for {missing} can be written here");
        return;
    }
    let tenant = stage.tenant("c-memory00");
    let small = |pod: &mut serde_json::Value| {
        let resources = &mut pod["containers"][0]["resources"];
        resources["limits"]["memory"] = json!("96Mi");
        resources["requests"]["memory"] = json!("96Mi");
    };
    tenant.apply_changed(small).await;
    tenant.apply_secret("oc_token", "1").await;
    tenant.ready().await;
    // A child of the container's first process: all of it goes, as on cgroup v2 in production.
    let state = tenant.state().await;
    std::fs::write(
        state.join("eat.py"),
        "import os\nos.remove(__file__)\nx = b'x' * (200 << 20)\n",
    )
    .unwrap();
    let pod = tenant.pod("a restart", |pod| restarts(pod) >= 1 && is_ready(pod)).await;
    let last = &container(&pod)["lastState"]["terminated"];
    assert_eq!((&last["reason"], &last["exitCode"]), (&json!("OOMKilled"), &json!(137)));
}
