//! From the first commit of a tenant to its end.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use oc_domain::tenant::Phase;
use oc_platform_token::Verifier;
use oc_sandbox::operator::Stack;

use crate::support::{gone, phase, pods, running, setup, spec, wait};

#[tokio::test]
async fn a_tenant_is_provisioned_suspended_reactivated_and_destroyed() {
    let stack = Stack::start(setup()).await.unwrap();
    let client = stack.client().unwrap();
    let id = running(&stack, "c-7f3k2m9q", "starter").await;
    let one = pods(&client, &id).await;
    assert_eq!(one.len(), 1);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &id.namespace());
    let data = secrets.get("openclaw-config").await.unwrap().data.unwrap();
    let token = String::from_utf8(data["platform-token"].0.clone()).unwrap();
    let claims = Verifier::new(stack.keys.clone(), 10).verify(&token).unwrap();
    assert_eq!((claims.tenant.clone(), claims.generation), (id.clone(), 1));
    stack.push(&[(&id, spec("starter", "suspended"))]).await.unwrap();
    phase(&stack, &id, Phase::Suspended).await;
    wait(&stack, "the pod to end", async || Ok(pods(&client, &id).await.is_empty().then_some(())))
        .await;
    stack.push(&[(&id, spec("starter", "active"))]).await.unwrap();
    phase(&stack, &id, Phase::Ready).await;
    stack.push(&[(&id, spec("starter", "deleted"))]).await.unwrap();
    gone(&stack, &id).await;
}
