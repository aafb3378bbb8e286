//! A tenant that lives stays, whoever deletes it, pays for it or made it.

use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Secret},
};
use kube::{Api, Client, ResourceExt, api::DeleteParams};
use oc_domain::{
    TenantId,
    tenant::{Phase, Tenant},
};
use oc_platform_token::Verifier;
use oc_sandbox::operator::Stack;
use oc_store::tenants::State;

use crate::support::{
    claim, condition, execute, id, pay, phase, pods, row, running, setup, spec, tenant, wait,
};

mod adoption;

use adoption::adopts;

#[tokio::test]
async fn a_tenant_that_lives_stays_whoever_deletes_it() {
    let mut stack = Stack::start(setup()).await.unwrap();
    let id = running(&stack, "c-7f3k2m9q", "starter").await;
    revoked(&stack, &id).await;
    let deleted = delete(&stack, &id).await;
    back(&stack, &id, &deleted).await;
    // And while nobody looks.
    stack.services[0].drain().await.unwrap();
    let deleted = delete(&stack, &id).await;
    stack.restart(0).await.unwrap();
    back(&stack, &id, &deleted).await;
    unpaid(&stack).await;
    adopts(&stack).await;
}

/// A revoked token is another one at once, in the pod that runs.
async fn revoked(stack: &Stack, id: &TenantId) {
    let client = stack.client().unwrap();
    let pod = pods(&client, id).await.remove(0);
    let began = tokio::time::Instant::now();
    stack.succeed(&["revoke", id.as_str()]).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &id.namespace());
    wait(stack, "the next token in a pod that is told", async || {
        let data = secrets.get("openclaw-config").await?.data.unwrap();
        let token = String::from_utf8(data["platform-token"].0.clone())?;
        let claims = Verifier::new(stack.keys.clone(), 10).verify(&token).unwrap();
        let now = pods(&client, id).await.remove(0);
        assert_eq!(now.uid(), pod.uid(), "nothing restarts");
        let told = now.annotations().get("openclaw.cloud/files");
        let told = told.is_some() && told != pod.annotations().get("openclaw.cloud/files");
        Ok((claims.generation == 2 && told).then_some(()))
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(row(stack, id).await.generation, 2);
    let sql = format!(
        "select actor, action, details->>'generation' from audit_log where tenant_id = '{id}'"
    );
    assert_eq!(execute(stack, &sql).await, "ops|token.revoked|2");
    let unknown = stack.verb(&["revoke", "c-nobody"]).await.unwrap();
    assert_eq!(unknown.status.code(), Some(1));
}

/// What somebody deleted by the API: the Tenant, and who its objects were.
async fn delete(stack: &Stack, id: &TenantId) -> (Tenant, Vec<Option<String>>) {
    let client = stack.client().unwrap();
    let before = (phase(stack, id, Phase::Ready).await, identities(&client, id).await);
    let tenants: Api<Tenant> = Api::all(client.clone());
    tenants.delete(id.as_str(), &DeleteParams::default()).await.unwrap();
    before
}

async fn back(
    stack: &Stack,
    id: &TenantId,
    (was, identities_were): &(Tenant, Vec<Option<String>>),
) {
    let client = stack.client().unwrap();
    wait(stack, "the Tenant to come back", async || {
        let now = tenant(&client, id).await;
        Ok(now.filter(|now| now.uid() != was.uid()))
    })
    .await;
    let now = phase(stack, id, Phase::Ready).await;
    assert_eq!(now.spec, was.spec);
    let (now, was) = (now.status.unwrap(), was.status.clone().unwrap());
    assert_eq!((now.spec_commit, now.revision), (was.spec_commit, was.revision));
    assert_eq!(&identities(&client, id).await, identities_were);
    assert_eq!(row(stack, id).await.generation, 2, "its token is as good as before");
}

/// A tenant of nobody's runs; one that is paid for later is served from then on.
async fn unpaid(stack: &Stack) {
    let id = id("of-our-own");
    stack.push(&[(&id, spec("starter", "active"))]).await.unwrap();
    let served = phase(stack, &id, Phase::Ready).await;
    assert_eq!(condition(&served, "AccountKnown"), "False NoAccount");
    pay(stack, &id).await;
    let bulletin = oc_streams::Bulletin::new(&stack.redis_url.clone().into()).unwrap();
    bulletin.tenant_changed(&id).await.unwrap();
    let client = stack.client().unwrap();
    wait(stack, "the account to be known", async || {
        let tenant = tenant(&client, &id).await.unwrap();
        Ok(condition(&tenant, "AccountKnown").is_empty().then_some(()))
    })
    .await;
    assert_eq!(row(stack, &id).await.state, State::Active);
}

/// Who namespace, Deployment, claim, volume and pods are.
async fn identities(client: &Client, id: &TenantId) -> Vec<Option<String>> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &id.namespace());
    let claim = claim(client, id).await;
    let mut all = vec![
        namespaces.get(&id.namespace()).await.unwrap().uid(),
        deployments.get("openclaw-gateway").await.unwrap().uid(),
        claim.uid(),
        claim.spec.unwrap().volume_name,
    ];
    all.extend(pods(client, id).await.iter().map(ResourceExt::uid));
    all
}
