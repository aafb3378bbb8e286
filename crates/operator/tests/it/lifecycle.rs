//! From the first commit of a tenant to its end.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace, PersistentVolume, PersistentVolumeClaim, Secret},
    events::v1::Event,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use oc_domain::{
    TenantId,
    catalog::{Locale, ModelId, Thinking, TierId},
    tenant::{Phase, Tenant},
};
use oc_platform_token::Verifier;
use oc_sandbox::operator::{Stack, USER};
use oc_store::tenants::{self, State};
use oc_testkit::Postgres;
use serde_json::json;

use crate::support::{
    condition, execute, gone, id, mirror, mirrored, pay, phase, pods, running, setup, spec, tenant,
    wait,
};

#[tokio::test]
async fn a_tenant_is_provisioned_suspended_held_and_destroyed() {
    let mut stack = Stack::start(setup()).await.unwrap();
    let id = provision(&stack).await;
    suspend_and_reactivate(&stack, &id).await;
    hold_and_release(&stack, &id).await;
    happened(&stack, &id, &["Provisioning", "Ready", "Suspended"]).await;
    let volume = claim(&stack, &id).await.spec.unwrap().volume_name.unwrap();
    destroy(&stack, &id).await;
    kept(&stack, &id, &volume).await;
    stays_away(&mut stack, &id).await;
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
    let volume = claim(stack, id).await;
    mirror(stack, id).await;
    next_second(&before).await;
    stack.push(&[(id, spec("starter", "suspended"))]).await.unwrap();
    let suspended = phase(stack, id, Phase::Suspended).await;
    assert_eq!(condition(&suspended, "Ready"), "False Suspended");
    assert!(since(&suspended, "Ready") > since(&before, "Ready"));
    assert_eq!(since(&suspended, "Applied"), since(&before, "Applied"), "it has held all the time");
    wait(stack, "the pod to end", async || Ok(pods(&client, id).await.is_empty().then_some(())))
        .await;
    assert_eq!(replicas(&client, id).await, 0);
    assert_eq!(row(stack, id).await.state, State::Suspended);
    assert_eq!(mirrored(stack, id).await, ["generation"]);
    let kept = claim(stack, id).await;
    assert_eq!((kept.uid(), &kept.spec), (volume.uid(), &volume.spec));

    // What else changes meanwhile is no new suspension, and stands in the row.
    next_second(&suspended).await;
    let mut other = spec("pro", "suspended");
    other["locale"] = json!("en");
    other["thinking"] = json!("low");
    other["model"] = json!("kimi-coding/k2p5");
    execute(stack, &format!("update tenants set model = 'another' where id = '{id}'")).await;
    mirror(stack, id).await;
    stack.push(&[(id, other.clone())]).await.unwrap();
    let still = newest(stack, id, &suspended).await;
    assert_eq!(condition(&still, "Ready"), "False Suspended");
    assert_eq!(since(&still, "Ready"), since(&suspended, "Ready"));
    let known = row(stack, id).await;
    assert_eq!((known.tier, known.locale), (TierId::Pro, Locale::En));
    assert_eq!((known.thinking, known.model), (Thinking::Low, ModelId::KimiK2p5));
    assert_eq!((known.state, known.generation), (State::Suspended, 1));
    assert_eq!(mirrored(stack, id).await, ["generation"]);

    other["state"] = json!("active");
    stack.push(&[(id, other)]).await.unwrap();
    phase(stack, id, Phase::Ready).await;
    assert_eq!((pods(&client, id).await.len(), replicas(&client, id).await), (1, 1));
    assert_eq!(row(stack, id).await.state, State::Active);
    assert_eq!(claim(stack, id).await.uid(), volume.uid());
}

async fn hold_and_release(stack: &Stack, id: &TenantId) {
    let client = stack.client().unwrap();
    let mut held = spec("starter", "active");
    held["hold"] = json!({ "reason": "chargeback, case 17" });
    mirror(stack, id).await;
    stack.push(&[(id, held)]).await.unwrap();
    let tenant = phase(stack, id, Phase::Suspended).await;
    assert_eq!(condition(&tenant, "Ready"), "False Held");
    let conditions = tenant.status.unwrap().conditions;
    let ready = conditions.iter().find(|it| it.type_ == "Ready").unwrap();
    assert_eq!(ready.message, "chargeback, case 17");
    assert_eq!(row(stack, id).await.state, State::Suspended);
    assert_eq!(mirrored(stack, id).await, ["generation"]);
    wait(stack, "the pod to end", async || Ok(pods(&client, id).await.is_empty().then_some(())))
        .await;
    stack.push(&[(id, spec("starter", "active"))]).await.unwrap();
    phase(stack, id, Phase::Ready).await;
    assert_eq!(row(stack, id).await.state, State::Active);
}

/// Its access ends before anything else does.
async fn destroy(stack: &Stack, id: &TenantId) {
    let client = stack.client().unwrap();
    for sql in [
        format!("insert into data_keys values ('{id}', 1, 'k', 'w')"),
        format!(
            "insert into secrets (tenant_id, name, data_key, nonce, ciphertext)
            values ('{id}', 'bot', 1, 'n', 'c')"
        ),
    ] {
        execute(stack, &sql).await;
    }
    assert_ne!(renderings(stack, id).await, "0");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let ends = async || {
        let namespace = namespaces.get_opt(&id.namespace()).await.unwrap();
        namespace.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some())
    };
    mirror(stack, id).await;
    let database = stack.database.clone();
    // One statement list is one transaction.
    let lock = format!(
        "select from tenants where id = '{id}' for update; select 1 from pg_sleep(4)"
    );
    let locked = tokio::task::spawn(async move {
        Postgres::shared().await.unwrap().execute(&database, &lock).await.unwrap()
    });
    stack.push(&[(id, spec("starter", "deleted"))]).await.unwrap();
    wait(stack, "the Tenant to be deleted", async || {
        let tenant = tenant(&client, id).await;
        Ok(tenant.is_none_or(|it| it.metadata.deletion_timestamp.is_some()).then_some(()))
    })
    .await;
    while !locked.is_finished() {
        assert!(!ends().await || locked.is_finished(), "its tokens are good and it ends");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    wait(stack, "the namespace to end", async || Ok(ends().await.then_some(()))).await;
    let known = row(stack, id).await;
    assert_eq!((known.state, known.generation), (State::Suspended, 2));
    for table in ["secrets", "data_keys"] {
        let sql = format!("select count(*) from {table} where tenant_id = '{id}'");
        assert_eq!(execute(stack, &sql).await, "0", "{table}");
    }
    assert_eq!(mirrored(stack, id).await, ["generation"]);
    gone(stack, id).await;
    assert_eq!(row(stack, id).await.generation, 2, "it was raised once");
    happened(stack, id, &["Deleting"]).await;
}

/// What is left of a tenant: its volume.
async fn kept(stack: &Stack, id: &TenantId, volume: &str) {
    assert_eq!(renderings(stack, id).await, "0");
    let volumes: Api<PersistentVolume> = Api::all(stack.client().unwrap());
    // Until the volume's controller has looked, it could still be deleted.
    let released = wait(stack, "the volume to be released", async || {
        let volume = volumes.get(volume).await?;
        let phase = volume.status.clone().and_then(|status| status.phase);
        Ok((phase.as_deref() == Some("Released")).then_some(volume))
    })
    .await;
    assert_eq!(released.labels()["openclaw.cloud/tenant"], id.as_str());
    let policy = released.spec.unwrap().persistent_volume_reclaim_policy;
    assert_eq!(policy.as_deref(), Some("Retain"));
}

/// Whatever happens after that.
async fn stays_away(stack: &mut Stack, id: &TenantId) {
    let (client, path) = (stack.client().unwrap(), id.path());
    let before = touches(stack, id);
    let other = running(stack, "c-00000001", "starter").await;
    stack.services[0].drain().await.unwrap();
    stack.restart(0).await.unwrap();
    stack.push(&[(&other, spec("starter", "suspended"))]).await.unwrap();
    phase(stack, &other, Phase::Suspended).await;
    stack.remote.remove(&[&path]).unwrap();
    stack.push(&[(&other, spec("starter", "active"))]).await.unwrap();
    phase(stack, &other, Phase::Ready).await;
    let metric = "openclaw_operator_fleet_missing_files";
    assert!(stack.services[0].metric(metric).await.unwrap().abs() < 0.5);
    assert!(tenant(&client, id).await.is_none());
    assert_eq!(touches(stack, id), before, "nobody writes about it any more");
    assert_eq!(row(stack, id).await.generation, 2);

    // A file that goes while its tenant still ends: nothing is missed of that tenant either.
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &other.namespace());
    let stay = |finalizers: &[&str]| Patch::Merge(json!({ "metadata": { "finalizers": finalizers } }));
    let params = PatchParams::default();
    maps.patch("openclaw-workspace", &params, &stay(&["test/stay"])).await.unwrap();
    stack.push(&[(&other, spec("starter", "deleted"))]).await.unwrap();
    phase_of_end(stack, &other).await;
    stack.remote.remove(&[&other.path()]).unwrap();
    let third = running(stack, "c-00000002", "starter").await;
    assert!(stack.services[0].metric(metric).await.unwrap().abs() < 0.5, "{third} came after it");
    maps.patch("openclaw-workspace", &params, &stay(&[])).await.unwrap();
    gone(stack, &other).await;
}

#[tokio::test]
async fn nobody_takes_a_tenant_that_lives() {
    let mut stack = Stack::start(setup()).await.unwrap();
    let id = running(&stack, "c-7f3k2m9q", "starter").await;
    revoked(&stack, &id).await;
    comes_back(&stack, &id).await;
    // And while nobody looks.
    stack.services[0].drain().await.unwrap();
    let deleted = delete(&stack, &id).await;
    stack.restart(0).await.unwrap();
    back(&stack, &id, &deleted).await;
    unpaid(&stack).await;
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

async fn comes_back(stack: &Stack, id: &TenantId) {
    let deleted = delete(stack, id).await;
    back(stack, id, &deleted).await;
}

/// What somebody deleted by the API: the Tenant, and who its objects were.
async fn delete(stack: &Stack, id: &TenantId) -> (Tenant, Vec<Option<String>>) {
    let client = stack.client().unwrap();
    let before = (phase(stack, id, Phase::Ready).await, identities(&client, id).await);
    let tenants: Api<Tenant> = Api::all(client.clone());
    tenants.delete(id.as_str(), &DeleteParams::default()).await.unwrap();
    before
}

async fn back(stack: &Stack, id: &TenantId, (was, identities_were): &(Tenant, Vec<Option<String>>)) {
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
    let tenant = phase(stack, &id, Phase::Ready).await;
    assert_eq!(condition(&tenant, "AccountKnown"), "False NoAccount");
    pay(stack, &id).await;
    let bulletin = oc_streams::Bulletin::new(&stack.redis_url.clone().into()).unwrap();
    bulletin.tenant_changed(&id).await.unwrap();
    let client = stack.client().unwrap();
    wait(stack, "the account to be known", async || {
        let tenant = crate::support::tenant(&client, &id).await.unwrap();
        Ok(condition(&tenant, "AccountKnown").is_empty().then_some(()))
    })
    .await;
    assert_eq!(row(stack, &id).await.state, State::Active);
}

async fn row(stack: &Stack, id: &TenantId) -> tenants::Tenant {
    tenants::find(&stack.store, id).await.unwrap().unwrap().0
}

async fn renderings(stack: &Stack, id: &TenantId) -> String {
    let sql = format!("select count(*) from renderings where tenant_id = '{id}'");
    execute(stack, &sql).await
}

async fn claim(stack: &Stack, id: &TenantId) -> PersistentVolumeClaim {
    let claims: Api<PersistentVolumeClaim> =
        Api::namespaced(stack.client().unwrap(), &id.namespace());
    claims.get("openclaw-state").await.unwrap()
}

async fn replicas(client: &Client, id: &TenantId) -> i32 {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &id.namespace());
    deployments.get("openclaw-gateway").await.unwrap().spec.unwrap().replicas.unwrap()
}

/// Who namespace, Deployment, claim, volume and pods are.
async fn identities(client: &Client, id: &TenantId) -> Vec<Option<String>> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &id.namespace());
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &id.namespace());
    let claim = claims.get("openclaw-state").await.unwrap();
    let mut all = vec![
        namespaces.get(&id.namespace()).await.unwrap().uid(),
        deployments.get("openclaw-gateway").await.unwrap().uid(),
        claim.uid(),
        claim.spec.unwrap().volume_name,
    ];
    all.extend(pods(client, id).await.iter().map(|pod| pod.uid()));
    all
}

/// Waits for the status of a newer spec than that one's.
async fn newest(stack: &Stack, id: &TenantId, than: &Tenant) -> Tenant {
    let client = stack.client().unwrap();
    wait(stack, "the newer spec to be observed", async || {
        let tenant = tenant(&client, id).await.unwrap();
        let observed = tenant.status.as_ref().and_then(|status| status.observed_generation);
        let newer = tenant.metadata.generation > than.metadata.generation;
        Ok((newer && observed == tenant.metadata.generation).then_some(tenant))
    })
    .await
}

async fn phase_of_end(stack: &Stack, id: &TenantId) {
    let client = stack.client().unwrap();
    wait(stack, "the tenant to end", async || {
        let status = tenant(&client, id).await.unwrap().status.unwrap();
        Ok((status.phase == Some(Phase::Deleting)).then_some(()))
    })
    .await;
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

/// How often the operator has written about the tenant.
fn touches(stack: &Stack, id: &TenantId) -> usize {
    let writes = stack.cluster.writes().unwrap();
    let about = [id.as_str().to_owned(), id.namespace()];
    let touches = writes.iter().filter(|request| {
        request.user == USER
            && (about.contains(&request.name) || about.contains(&request.namespace))
    });
    touches.count()
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
    while Timestamp::now().as_second() <= last.as_second() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
