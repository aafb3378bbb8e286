//! Changes of the whole fleet: wave by wave, stopped by themselves or by people, and taken back.

mod fleet;

use std::time::Duration;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use oc_store::rollouts::Status;
use serde_json::json;

use crate::support::{spec, wait};
use fleet::{Fleet, Told, WORKLOAD, WORKSPACE};

const OLDER: &str = "0123456789ab";

/// The canary alone gets it, and goes back by itself; nobody else is touched.
async fn a_bad_image_is_taken_back(fleet: &mut Fleet) {
    let (pods, before) = (fleet.pods().await, fleet.revision().await);
    fleet.push("image.tag", "0.3.0-broken").await;
    let told = fleet.until(Status::RolledBack, 1).await;
    let reason = told["rollout"]["reason"].as_str().unwrap();
    let back = async || {
        let tenants = fleet.tenants().await;
        let all = tenants.iter().all(|it| it.revision == before && it.ready);
        Ok(all.then_some(()))
    };
    wait(&fleet.stack, "the canary to be back", back).await;
    let canaries: Vec<String> = fleet.had("0.3.0-broken").await;
    assert_eq!(canaries.len(), 1, "{canaries:?}");
    assert!(reason.starts_with("wave 1 of 4: 1 of 1 failed:"), "{reason}");
    assert!(reason.contains(&canaries[0]), "{reason}: {canaries:?}");
    let now = fleet.pods().await;
    for (id, pod) in &now {
        assert_eq!(pod.image, "0.2.0", "{id}");
        assert_eq!(pod.uid == pods[id].uid, *id != canaries[0], "{id}");
    }
    fleet.crash().await;
    fleet.is_steady().await;
    assert_eq!(fleet.pods().await, now, "it stays so over a crash");
    assert_eq!(fleet.annotations().await, vec![before; fleet.ids.len()]);
}

/// What one rollout admitted does not get the next one's revision.
async fn a_bad_image_in_the_middle_of_another(fleet: &Fleet) {
    fleet.push("image.tag", "0.4.0").await;
    wait(&fleet.stack, "the third wave", async || {
        let rollout = fleet.rollout().await;
        Ok((rollout.status == Status::Running && rollout.wave == 2).then_some(()))
    })
    .await;
    fleet.push("image.tag", "0.5.0-broken").await;
    fleet.until(Status::RolledBack, 5).await;
    let touched = fleet.had("0.5.0-broken").await;
    assert_eq!(touched.len(), 1, "{touched:?}");
    let told = fleet.status().await;
    assert_eq!(told["before"][0]["status"], "aborted");
    assert_eq!(told["before"][0]["reason"], "another revision came");
}

#[tokio::test]
async fn an_image_comes_wave_by_wave_and_a_bad_one_is_taken_back() {
    let options = ["--rollout-soak", "2s", "--rollout-patience", "10s", "--rollout-parallel", "5"];
    let mut fleet = Fleet::start(40, &options).await;
    fleet.push("image.tag", "0.2.0").await;
    let told = fleet.until(Status::Done, 5).await;
    fleet.has("0.2.0").await;
    let waves = told["rollout"]["waves"].as_array().unwrap();
    let row = |it: &serde_json::Value| {
        ["members", "updated", "ready", "failed"].map(|key| it[key].as_u64().unwrap())
    };
    let rows: Vec<_> = waves.iter().map(row).collect();
    assert_eq!(rows, [[1, 1, 1, 0], [3, 3, 3, 0], [16, 16, 16, 0], [20, 20, 20, 0]]);
    assert_eq!((&told["rollout"]["parallel"], &told["rollout"]["wave"]), (&json!(5), &json!(4)));
    a_bad_image_is_taken_back(&mut fleet).await;
    a_bad_image_in_the_middle_of_another(&fleet).await;
    fleet.settled().await;
    fleet.push("image.tag", "0.6.0").await;
    fleet.until(Status::Done, 5).await;
    fleet.has("0.6.0").await;
}

/// In a pause nobody is updated but who cannot stay: not over a crash either.
async fn a_pause_holds(fleet: &mut Fleet) {
    let (old, pods) = (fleet.revision().await, fleet.pods().await);
    let writes = fleet.writes().len();
    fleet.push("image.tag", "0.2.0").await;
    wait(&fleet.stack, "the canary to be updated", async || {
        let tenants = fleet.tenants().await;
        Ok(tenants.iter().any(|it| it.revision != old).then_some(()))
    })
    .await;
    fleet.verb("pause").await;
    fleet.settled().await;
    let tenants = fleet.tenants().await;
    let new = tenants.iter().find(|it| it.revision != old).unwrap().revision.clone();
    let waiting: Vec<_> = tenants.iter().filter(|it| it.revision == old).collect();
    assert_eq!(tenants.iter().find(|it| it.revision == new).unwrap().id, fleet.ids[7], "named");
    assert!(waiting.len() >= 6, "{tenants:#?}");
    let is_about = |line: &&String| waiting.iter().any(|it| line.contains(it.id.as_str()));
    let written = fleet.writes();
    let about: Vec<&String> = written[writes..].iter().filter(is_about).collect();
    assert_eq!(about, [] as [&String; 0], "what is kept is what is there");
    let writes = fleet.writes();
    fleet.crash().await;
    fleet.is_steady().await;
    assert_eq!(fleet.writes()[writes.len()..], [] as [String; 0], "nothing is to do in a pause");
    assert_eq!(fleet.rollout().await.status, Status::Paused);
    // Whose own spec changes, and who is new, joins.
    let (changed, drifted) = (waiting[0].id.clone(), waiting[1].id.clone());
    let fresh = "c-wave-new".parse().unwrap();
    fleet
        .stack
        .push(&[(&changed, spec("pro", "active")), (&fresh, spec("starter", "active"))])
        .await
        .unwrap();
    wait(&fleet.stack, "both to join", async || {
        let (tenants, pods) = (fleet.tenants().await, fleet.pods().await);
        let joined = tenants.iter().filter(|it| [&changed, &fresh].contains(&&it.id));
        let joined = joined.filter(|it| it.ready && it.revision == new);
        let joined =
            joined.filter(|it| pods.get(it.id.as_str()).is_some_and(|pod| pod.image == "0.2.0"));
        Ok((joined.count() == 2).then_some(()))
    })
    .await;
    fleet.ids.push(fresh);
    // Who waits is repaired with what it has.
    let deployments: Api<Deployment> = Api::namespaced(fleet.client(), &drifted.namespace());
    let image = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image",
        "value": "registry.openclaw.example.org/openclaw/gateway:9.9.9" }]);
    let image = Patch::Json::<()>(serde_json::from_value(image).unwrap());
    deployments.patch(WORKLOAD, &PatchParams::default(), &image).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(fleet.client(), &drifted.namespace());
    maps.delete(WORKSPACE, &DeleteParams::default()).await.unwrap();
    wait(&fleet.stack, "the old rendering to be back", async || {
        let pods = fleet.pods().await;
        let image = &pods.get(drifted.as_str()).map(|pod| pod.image.clone()).unwrap_or_default();
        Ok((image == "0.1.0" && maps.get_opt(WORKSPACE).await?.is_some()).then_some(()))
    })
    .await;
    fleet.settled().await;
    let tenants = fleet.tenants().await;
    let touched = [&changed, &drifted];
    for one in &waiting {
        let now = tenants.iter().find(|it| it.id == one.id).unwrap();
        assert_eq!(now.revision == old, one.id != changed, "{}", one.id);
        let same = fleet.pods().await[one.id.as_str()].uid == pods[one.id.as_str()].uid;
        assert_eq!(same, !touched.contains(&&one.id), "{}", one.id);
    }
    fleet.verb("resume").await;
    fleet.until(Status::Done, 5).await;
    fleet.has("0.2.0").await;
}

/// Given up in the second wave, right before a crash: who was updated, and well, comes back.
async fn an_abort_takes_all_back(fleet: &mut Fleet) {
    let (before, old) = (fleet.pods().await, fleet.revision().await);
    fleet.push("image.tag", "0.3.0").await;
    wait(&fleet.stack, "the second wave", async || {
        let tenants = fleet.tenants().await;
        let updated = tenants.iter().filter(|it| it.revision != old).count();
        Ok((fleet.rollout().await.wave >= 1 && updated >= 2).then_some(()))
    })
    .await;
    fleet.verb("abort").await;
    fleet.crash().await;
    fleet.has("0.2.0").await;
    fleet.is_steady().await;
    assert_eq!(fleet.annotations().await, vec![old; fleet.ids.len()]);
    assert_eq!(fleet.status().await["rollout"]["status"], "aborted");
    let touched = fleet.had("0.3.0").await;
    assert!((2..=7).contains(&touched.len()), "{touched:?}");
    for (id, pod) in fleet.pods().await {
        assert_eq!(pod.uid == before[&id].uid, !touched.contains(&id), "{id}");
    }
    assert!(!fleet.stack.verb(&["rollout", "pause"]).await.unwrap().status.success());
    fleet.verb("resume").await;
    fleet.until(Status::Done, 5).await;
    fleet.has("0.3.0").await;
}

/// What is kept of a tenant whose spec has changed since, and that was never well with it, is not
/// what it goes back to for a moment.
async fn who_was_never_well_keeps_its_spec(fleet: &Fleet) {
    let (id, old) = (fleet.ids[3].clone(), fleet.revision().await);
    let deployments: Api<Deployment> = Api::namespaced(fleet.client(), &id.namespace());
    let fails = async |how: Option<&str>| {
        let annotations = json!({ "testkit.openclaw.cloud/fail": how });
        let template = json!({ "metadata": { "annotations": annotations } });
        let patch = Patch::Merge(json!({ "spec": { "template": template } }));
        deployments.patch(WORKLOAD, &PatchParams::default(), &patch).await.unwrap();
    };
    let is = async |told: &dyn Fn(&Told) -> bool| {
        wait(&fleet.stack, "it to be so", async || {
            Ok(fleet.tenants().await.iter().any(|it| it.id == id && told(it)).then_some(()))
        })
        .await;
    };
    fails(Some("not-ready")).await;
    is(&|it| !it.ready).await;
    fleet.stack.push(&[(&id, spec("team", "active"))]).await.unwrap();
    is(&|it| it.tier == "team").await;
    let generation = async || deployments.get(WORKLOAD).await.unwrap().metadata.generation.unwrap();
    let before = generation().await;
    fleet.push("image.tag", "0.3.1").await;
    is(&|it| it.revision != old).await;
    assert_eq!(generation().await, before + 1, "one change and no other");
    fails(None).await;
    fleet.until(Status::Done, 5).await;
    fleet.has("0.3.1").await;
}

/// The API refuses it in the middle of a tenant's objects, the operator is killed there, and it is
/// given up meanwhile: what was applied is taken back all the same.
async fn half_of_an_update_is_taken_back(fleet: &mut Fleet) {
    fleet.refuse("0.4.0").await;
    let (pods, old) = (fleet.pods().await, fleet.revision().await);
    fleet.push("image.tag", "0.4.0").await;
    wait(&fleet.stack, "the canary to be refused", async || {
        let tenants = fleet.tenants().await;
        Ok(tenants.iter().any(|it| it.applied == "False Refused").then_some(()))
    })
    .await;
    let annotations = fleet.annotations().await;
    assert_eq!(annotations.iter().filter(|it| **it != old).count(), 1, "{annotations:?}");
    fleet.stack.services[0].kill().unwrap();
    fleet.verb("abort").await;
    fleet.restart().await;
    wait(&fleet.stack, "all to be as before", async || {
        let annotations = fleet.annotations().await;
        let tenants = fleet.tenants().await;
        let applied = tenants.iter().all(|it| it.applied == "True Applied");
        Ok((applied && annotations.iter().all(|it| *it == old)).then_some(()))
    })
    .await;
    fleet.push("image.tag", "0.3.1").await;
    fleet.until(Status::Done, 5).await;
    assert_eq!(fleet.pods().await, pods, "no pod was touched");
}

/// Another renderer that leaves the pod alone, as a new release of the operator brings it.
async fn a_change_beside_the_pod_restarts_nothing(fleet: &mut Fleet) {
    let (pods, new) = (fleet.pods().await, fleet.revision().await);
    fleet.stack.services[0].kill().unwrap();
    fleet.was_rendered_by_an_older_one(OLDER).await;
    fleet.restart().await;
    wait(&fleet.stack, "all to have what was kept", async || {
        let annotations = fleet.annotations().await;
        let notes = fleet.older_notes().await;
        Ok((notes == fleet.ids.len() && annotations.iter().all(|it| it == OLDER)).then_some(()))
    })
    .await;
    fleet.settled().await;
    assert_eq!(fleet.pods().await, pods);
    fleet.verb("resume").await;
    fleet.until(Status::Done, 5).await;
    assert_eq!(fleet.annotations().await, vec![new; fleet.ids.len()]);
    assert_eq!(fleet.older_notes().await, 0);
    assert_eq!(fleet.pods().await, pods, "no pod was restarted");
    // What concerns the platform alone is no change of the fleet.
    let (rollout, writes) = (fleet.rollout().await, fleet.writes());
    fleet.push("s3.bucket", "another-bucket").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(fleet.rollout().await, rollout);
    assert_eq!(fleet.writes()[writes.len()..], [] as [String; 0]);
}

#[tokio::test]
async fn people_steer_a_rollout_and_a_crash_changes_nothing() {
    let options = [
        "--rollout-soak",
        "1s",
        "--rollout-patience",
        "20s",
        "--rollout-parallel",
        "5",
        "--rollout-canaries",
        "c-wave-07",
    ];
    let mut fleet = Fleet::start(12, &options).await;
    a_pause_holds(&mut fleet).await;
    an_abort_takes_all_back(&mut fleet).await;
    who_was_never_well_keeps_its_spec(&fleet).await;
    half_of_an_update_is_taken_back(&mut fleet).await;
    a_change_beside_the_pod_restarts_nothing(&mut fleet).await;
}
