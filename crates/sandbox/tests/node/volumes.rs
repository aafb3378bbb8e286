//! What outlives a container, and what follows its object.

use std::fs;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolume};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use oc_testkit::wait_for;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{PATIENCE, REFRESH, Stage, is_ready, root, until};

#[tokio::test]
async fn a_changed_object_reaches_the_volume_after_the_delay_and_at_once_when_told() {
    if !root() {
        return;
    }
    let mut stage = Stage::new("refresh").await;
    stage.options.refresh = 5 * REFRESH;
    stage.node.take().unwrap().stop().await;
    stage.node = Some(oc_sandbox::node::Node::start(stage.options.clone()).await.unwrap());
    let tenant = stage.tenant("c-refresh0");
    tenant.apply().await;
    let pod = tenant.ready().await;
    let listed =
        tenant.inside("ls.sh", "cd /etc/openclaw/secret; ls -A; readlink *; stat -Lc '%a %u %g' *");
    let listed = listed.await;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(&lines[1..4], ["..data", "platform-token", "telegram-number"], "{listed}");
    assert!(listed.contains("..data/platform-token\n"), "{listed}");
    assert_eq!(lines[lines.len() - 1], "440 0 10001");

    let token = async |token: &str| {
        let wanted = format!("{token}\n");
        let read = "cat /etc/openclaw/secret/platform-token; echo";
        wait_for(PATIENCE, "the new token", async || {
            Ok((tenant.inside("cat.sh", read).await == wanted).then_some(()))
        })
        .await
        .unwrap();
    };
    token("oc_token").await;
    let began = Instant::now();
    tenant.apply_secret("oc_second", "1").await;
    token("oc_second").await;
    let waited = began.elapsed();
    eprintln!("noticed after {:.1} s", waited.as_secs_f32());
    assert!(waited <= 7 * REFRESH, "{waited:?}");

    // Right after a look, so that the next one is far away.
    tenant.apply_secret("oc_third", "1").await;
    let maps: Api<ConfigMap> = Api::namespaced(tenant.client.clone(), &tenant.id.namespace());
    let patch = json!({ "data": { "SOUL.md": "changed", "NEW.md": "new", "IDENTITY.md": null } });
    maps.patch("openclaw-workspace", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    let began = Instant::now();
    let patch = json!({ "metadata": { "annotations": { "openclaw.cloud/files": "2" } } });
    tenant
        .pods()
        .patch(&pod.name_any(), &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    token("oc_third").await;
    assert!(began.elapsed() < 2 * REFRESH, "{:?}", began.elapsed());
    let workspace = "cd /etc/openclaw/workspace; cat SOUL.md; echo; ls; ls -A | grep -c '^\\.\\.2'";
    assert_eq!(
        tenant.inside("map.sh", workspace).await,
        "changed\nAGENTS.md\nNEW.md\nSOUL.md\nopenclaw.json\n1\n"
    );
    assert_eq!(tenant.ready().await.uid(), pod.uid(), "nothing was restarted");
}

#[tokio::test]
async fn a_pod_waits_for_its_secret_and_says_so() {
    if !root() {
        return;
    }
    let stage = Stage::new("waiting").await;
    let tenant = stage.tenant("c-waiting0");
    tenant.apply_changed(|_| {}).await;
    let waits = |pod: &_| {
        crate::support::container(pod)["state"]["waiting"]["reason"] == "ContainerCreating"
    };
    let pod = tenant.pod("a waiting pod", waits).await;
    assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Pending"));
    let told = wait_for(PATIENCE, "an event", async || {
        let events = tenant.events().await;
        Ok(events.into_iter().find(|(reason, _)| reason == "FailedMount"))
    });
    assert_eq!(
        told.await.unwrap().1,
        "MountVolume.SetUp failed for volume \"secret\" : secret \"openclaw-config\" not found"
    );
    tenant.apply_secret("oc_token", "1").await;
    tenant.ready().await;
}

#[tokio::test]
async fn state_outlives_pods_and_goes_with_its_volume_unless_that_is_retained() {
    if !root() {
        return;
    }
    let stage = Stage::new("state").await;
    let (kept, gone) = (stage.tenant("c-kept0000"), stage.tenant("c-gone0000"));
    kept.apply().await;
    gone.apply().await;
    let first = kept.ready().await;
    gone.ready().await;
    let memory = "echo remembered >/var/lib/openclaw/memory; echo forgotten >/tmp/x";
    kept.inside("remember.sh", memory).await;
    kept.delete_pod(&first.name_any(), 30).await;
    let next = |pod: &k8s_openapi::api::core::v1::Pod| is_ready(pod) && pod.uid() != first.uid();
    kept.pod("the next pod", next).await;
    let recalled = kept.inside("recall.sh", "cat /var/lib/openclaw/memory; ls /tmp").await;
    assert_eq!(recalled, "remembered\n");

    let volumes: Api<PersistentVolume> = Api::all(stage.client.clone());
    let patch = json!({ "spec": { "persistentVolumeReclaimPolicy": "Retain" } });
    let (retained, deleted) = (kept.volume().await, gone.volume().await);
    volumes.patch(&retained, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    for tenant in [&kept, &gone] {
        namespaces.delete(&tenant.id.namespace(), &DeleteParams::default()).await.unwrap();
    }
    let at = |name: &str| stage.folder.path().join("volumes").join(name);
    until("the volume's folder to be gone", || (!at(&deleted).exists()).then_some(())).await;
    let ended = wait_for(PATIENCE, "the namespaces to be gone", async || {
        let mut left = 0;
        for tenant in [&kept, &gone] {
            left += usize::from(namespaces.get_opt(&tenant.id.namespace()).await?.is_some());
        }
        Ok((left == 0).then_some(()))
    });
    ended.await.unwrap();
    assert_eq!(fs::read_to_string(at(&retained).join("memory")).unwrap(), "remembered\n");
    until("no pod's folder", || {
        (fs::read_dir(stage.folder.path().join("pods")).unwrap().count() == 0).then_some(())
    })
    .await;
}
