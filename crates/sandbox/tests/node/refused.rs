//! Pods that the node does not run.

use kube::ResourceExt as _;
use serde_json::json;

use crate::support::{Stage, condition, container, root};

#[tokio::test]
async fn a_pod_of_another_shape_is_refused_with_all_that_is_wrong() {
    if !root() {
        return;
    }
    let stage = Stage::new("refused").await;
    let tenant = stage.tenant("c-refused0");
    let change = |pod: &mut serde_json::Value| {
        pod["dnsPolicy"] = json!("ClusterFirst");
        pod["volumes"][1]["emptyDir"]["medium"] = json!("Memory");
        pod["containers"][0]["command"] = json!(["/bin/sh"]);
    };
    tenant.apply_changed(change).await;
    let failed = |pod: &k8s_openapi::api::core::v1::Pod| {
        pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Failed"))
    };
    // By then there may be another: a Deployment makes one after the other.
    let pod = tenant.any_pod("a refusal", failed).await;
    let message = "spec.containers.0.command is not supported; \
                   spec.dnsPolicy is \"ClusterFirst\", it must be \"None\"; \
                   spec.volumes.1.emptyDir.medium is not supported";
    let status = pod.status.clone().unwrap();
    assert_eq!(
        (status.reason.as_deref(), status.message.as_deref()),
        (Some("UnsupportedPod"), Some(message))
    );
    assert_eq!(condition(&pod, "Ready"), Some("False"));
    let told = tenant.events().await;
    assert!(told.contains(&("UnsupportedPod".to_owned(), message.to_owned())), "{told:?}");
    // A Deployment leaves those that have failed to others.
    tenant.scale(0).await;
    tenant.delete_pod(&pod.name_any(), 30).await;
    tenant.gone(&pod).await;
}

#[tokio::test]
async fn an_unknown_image_is_waited_for() {
    if !root() {
        return;
    }
    let stage = Stage::new("image").await;
    let tenant = stage.tenant("c-image000");
    let other = |pod: &mut serde_json::Value| {
        pod["containers"][0]["image"] = json!("registry.test/other:1.0");
    };
    tenant.apply_changed(other).await;
    let waits = |pod: &_| container(pod)["state"]["waiting"]["reason"] == "ImagePullBackOff";
    let pod = tenant.pod("an image that is not there", waits).await;
    assert_eq!(pod.status.clone().unwrap().phase.as_deref(), Some("Pending"));
    tenant.scale(0).await;
    tenant.gone(&pod).await;
}
