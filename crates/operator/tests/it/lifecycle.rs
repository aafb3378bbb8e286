//! From the first commit of a tenant to its end.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Secret},
    events::v1::Event,
};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use oc_domain::{
    TenantId,
    catalog::{Locale, ModelId, Thinking, TierId},
    tenant::{Phase, Tenant},
};
use oc_platform_token::Verifier;
use oc_sandbox::operator::Stack;
use oc_service::Clock;
use oc_store::tenants::State;
use serde_json::json;

use crate::support::{
    change, claim, condition, execute, id, mirror, mirrored, pay, phase, pods, row, setup, spec,
    wait,
};

mod ending;

use ending::{destroy, ends_before_it_began, kept, stays_away};

#[tokio::test]
async fn a_tenant_is_provisioned_suspended_held_and_destroyed() {
    let mut stack = Stack::start(setup()).await.unwrap();
    let client = stack.client().unwrap();
    let id = provision(&stack).await;
    suspend_and_reactivate(&stack, &id).await;
    hold_and_release(&stack, &id).await;
    happened(&stack, &id, &["Provisioning", "Ready", "Suspended"]).await;
    let volume = claim(&client, &id).await.spec.unwrap().volume_name.unwrap();
    destroy(&stack, &id).await;
    kept(&stack, &id, &volume).await;
    stays_away(&mut stack, &id).await;
    ends_before_it_began(&stack).await;
}

async fn provision(stack: &Stack) -> TenantId {
    let (client, id) = (stack.client().unwrap(), id("c-7f3k2m9q"));
    pay(stack, &id).await;
    mirror(stack, &id).await;
    stack.push(&[(&id, spec("starter", "active"))]).await.unwrap();
    let tenant = phase(stack, &id, Phase::Ready).await;
    let status = tenant.status.clone().unwrap();
    assert_eq!(status.observed_generation, tenant.metadata.generation);
    assert_eq!(status.spec_commit, Some(stack.remote.git(&["rev-parse", "main"]).unwrap()));
    let image = &stack.inventory.cluster.image;
    assert_eq!(status.image, Some(format!("{}/gateway:{}", image.registry, image.tag)));
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = namespaces.get(&id.namespace()).await.unwrap();
    let revision = namespace.annotations().get("openclaw.cloud/revision").cloned();
    assert!(revision.is_some() && status.revision == revision, "{status:?}");
    let types: Vec<&str> = status.conditions.iter().map(|it| it.type_.as_str()).collect();
    assert_eq!(types, ["Ready", "Applied", "Specified"]);
    assert!(status.conditions.iter().all(|it| it.status == "True"), "{status:?}");

    assert_eq!(pods(&client, &id).await.len(), 1);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &id.namespace());
    let data = secrets.get("openclaw-config").await.unwrap().data.unwrap();
    let token = String::from_utf8(data["platform-token"].0.clone()).unwrap();
    let claims = Verifier::new(stack.keys.clone(), 10).verify(&token).unwrap();
    assert_eq!((claims.tenant.clone(), claims.generation), (id.clone(), 1));

    assert_eq!(row(stack, &id).await.state, State::Active);
    assert_eq!(mirrored(stack, &id).await, ["generation"], "the proxies look again");
    id
}

async fn suspend_and_reactivate(stack: &Stack, id: &TenantId) {
    let client = stack.client().unwrap();
    let before = phase(stack, id, Phase::Ready).await;
    let volume = claim(&client, id).await;
    mirror(stack, id).await;
    next_second(&before).await;
    let suspended = change(stack, id, &spec("starter", "suspended"), Phase::Suspended).await;
    assert_eq!(condition(&suspended, "Ready"), "False Suspended");
    assert!(since(&suspended, "Ready") > since(&before, "Ready"));
    assert_eq!(since(&suspended, "Applied"), since(&before, "Applied"), "it has held all the time");
    wait(stack, "the pod to end", async || Ok(pods(&client, id).await.is_empty().then_some(())))
        .await;
    assert_eq!(replicas(&client, id).await, 0);
    assert_eq!(row(stack, id).await.state, State::Suspended);
    assert_eq!(mirrored(stack, id).await, ["generation"]);
    let kept = claim(&client, id).await;
    assert_eq!((kept.uid(), &kept.spec), (volume.uid(), &volume.spec));

    // What else changes meanwhile is no new suspension, and stands in the row.
    next_second(&suspended).await;
    let mut other = spec("pro", "suspended");
    other["locale"] = json!("en");
    other["thinking"] = json!("low");
    other["model"] = json!("kimi-coding/k2p5");
    execute(stack, &format!("update tenants set model = 'another' where id = '{id}'")).await;
    mirror(stack, id).await;
    let still = change(stack, id, &other, Phase::Suspended).await;
    assert_eq!(condition(&still, "Ready"), "False Suspended");
    assert_eq!(since(&still, "Ready"), since(&suspended, "Ready"));
    let known = row(stack, id).await;
    assert_eq!((known.tier, known.locale), (TierId::Pro, Locale::En));
    assert_eq!((known.thinking, known.model), (Thinking::Low, ModelId::KimiK2p5));
    assert_eq!((known.state, known.generation), (State::Suspended, 1));
    assert_eq!(mirrored(stack, id).await, ["generation"]);

    other["state"] = json!("active");
    change(stack, id, &other, Phase::Ready).await;
    assert_eq!((pods(&client, id).await.len(), replicas(&client, id).await), (1, 1));
    assert_eq!(row(stack, id).await.state, State::Active);
    assert_eq!(claim(&client, id).await.uid(), volume.uid());
}

async fn hold_and_release(stack: &Stack, id: &TenantId) {
    let client = stack.client().unwrap();
    let mut held = spec("starter", "active");
    held["hold"] = json!({ "reason": "chargeback, case 17" });
    mirror(stack, id).await;
    let tenant = change(stack, id, &held, Phase::Suspended).await;
    assert_eq!(condition(&tenant, "Ready"), "False Held");
    let conditions = tenant.status.unwrap().conditions;
    let ready = conditions.iter().find(|it| it.type_ == "Ready").unwrap();
    assert_eq!(ready.message, "chargeback, case 17");
    assert_eq!(row(stack, id).await.state, State::Suspended);
    assert_eq!(mirrored(stack, id).await, ["generation"]);
    wait(stack, "the pod to end", async || Ok(pods(&client, id).await.is_empty().then_some(())))
        .await;
    change(stack, id, &spec("starter", "active"), Phase::Ready).await;
    assert_eq!(row(stack, id).await.state, State::Active);
}

async fn replicas(client: &Client, id: &TenantId) -> i32 {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &id.namespace());
    deployments.get("openclaw-gateway").await.unwrap().spec.unwrap().replicas.unwrap()
}

/// Waits until events of these reasons are told of the Tenant.
async fn happened(stack: &Stack, id: &TenantId, reasons: &[&str]) {
    let events: Api<Event> = Api::all(stack.client().unwrap());
    wait(stack, &format!("events {reasons:?}"), async || {
        let events = events.list(&ListParams::default()).await?;
        let told = events.into_iter().filter(|event| {
            let about = event.regarding.clone().unwrap_or_default();
            about.kind.as_deref() == Some("Tenant") && about.name.as_deref() == Some(id.as_str())
        });
        let told: BTreeSet<String> = told.filter_map(|event| event.reason).collect();
        Ok(reasons.iter().all(|reason| told.contains(*reason)).then_some(()))
    })
    .await;
}

fn since(tenant: &Tenant, type_: &str) -> Timestamp {
    let status = tenant.status.as_ref().unwrap();
    let found = status.conditions.iter().find(|condition| condition.type_ == type_);
    found.unwrap().last_transition_time.0
}

/// Waits until a condition that changed now would tell of another second.
async fn next_second(tenant: &Tenant) {
    let last = tenant.status.iter().flat_map(|status| &status.conditions);
    let last = last.map(|condition| condition.last_transition_time.0).max().unwrap();
    // Whole seconds, of the operator's clock, which is ours.
    while Clock::system().now().as_second() <= last.as_second() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
