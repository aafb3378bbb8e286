//! The end of a tenant, and what comes after it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolume};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
};
use oc_domain::{TenantId, tenant::Phase};
use oc_sandbox::operator::{Stack, USER};
use oc_store::tenants::State;
use serde_json::json;

use super::happened;
use crate::support::{
    change, execute, gone, id, mirror, mirrored, pay, row, running, spec, tenant, wait,
};

/// Its access ends before anything else does.
pub(super) async fn destroy(stack: &Stack, id: &TenantId) {
    let client = stack.client().unwrap();
    entrust(stack, id).await;
    assert_ne!(renderings(stack, id).await, "0");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let ends = async || {
        let namespace = namespaces.get_opt(&id.namespace()).await.unwrap();
        namespace.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some())
    };
    mirror(stack, id).await;
    // One list of statements is one transaction.
    let lock =
        format!("select from tenants where id = '{id}' for update; select 1 from pg_sleep(4)");
    let asleep = async || {
        let sql = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event = 'PgSleep'";
        execute(stack, sql).await == "1"
    };
    let meanwhile = async {
        wait(stack, "the lock", async || Ok(asleep().await.then_some(()))).await;
        stack.push(&[(id, spec("starter", "deleted"))]).await.unwrap();
        wait(stack, "the Tenant to be deleted", async || {
            let tenant = tenant(&client, id).await;
            Ok(tenant.is_none_or(|it| it.metadata.deletion_timestamp.is_some()).then_some(()))
        })
        .await;
        loop {
            let ended = ends().await;
            if !asleep().await {
                break;
            }
            assert!(!ended, "it ends while its tokens are good");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    futures::join!(execute(stack, &lock), meanwhile);
    wait(stack, "the namespace to end", async || Ok(ends().await.then_some(()))).await;
    let known = row(stack, id).await;
    assert_eq!((known.state, known.generation), (State::Suspended, 2));
    assert_eq!(secrets(stack, id).await, "0 0");
    assert_eq!(mirrored(stack, id).await, ["generation"]);
    gone(stack, id).await;
    assert_eq!(row(stack, id).await.generation, 2, "it was raised once");
    happened(stack, id, &["Deleting"]).await;
}

/// Gives the tenant a secret.
async fn entrust(stack: &Stack, id: &TenantId) {
    for sql in [
        format!("insert into data_keys values ('{id}', 1, 'k', 'w')"),
        format!(
            "insert into secrets (tenant_id, name, data_key, nonce, ciphertext)
            values ('{id}', 'bot', 1, 'n', 'c')"
        ),
    ] {
        execute(stack, &sql).await;
    }
}

/// How many secrets and keys it has.
async fn secrets(stack: &Stack, id: &TenantId) -> String {
    let sql = format!(
        "select (select count(*) from secrets where tenant_id = '{id}') || ' '
            || (select count(*) from data_keys where tenant_id = '{id}')"
    );
    execute(stack, &sql).await
}

/// A file that comes and goes between two looks of the operator: what the tenant was given before it
/// began is taken all the same, once.
pub(super) async fn ends_before_it_began(stack: &Stack) {
    let id = id("c-00000009");
    pay(stack, &id).await;
    entrust(stack, &id).await;
    stack.push(&[(&id, spec("starter", "deleted"))]).await.unwrap();
    let taken = async || Ok((secrets(stack, &id).await == "0 0").then_some(()));
    wait(stack, "its secrets to be gone", taken).await;
    running(stack, "c-00000008", "starter").await;
    assert_eq!((row(stack, &id).await.generation, touches(stack, &id)), (2, 0));
}

/// What is left of a tenant: its volume.
pub(super) async fn kept(stack: &Stack, id: &TenantId, volume: &str) {
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
pub(super) async fn stays_away(stack: &mut Stack, id: &TenantId) {
    let (client, path) = (stack.client().unwrap(), id.path());
    let before = touches(stack, id);
    let other = running(stack, "c-00000001", "starter").await;
    stack.services[0].drain().await.unwrap();
    stack.restart(0).await.unwrap();
    change(stack, &other, &spec("starter", "suspended"), Phase::Suspended).await;
    stack.remote.remove(&[&path]).unwrap();
    change(stack, &other, &spec("starter", "active"), Phase::Ready).await;
    let metric = "openclaw_operator_fleet_missing_files";
    assert!(stack.services[0].metric(metric).await.unwrap().abs() < 0.5);
    assert!(tenant(&client, id).await.is_none());
    assert_eq!(touches(stack, id), before, "nobody writes about it any more");
    assert_eq!(row(stack, id).await.generation, 2);

    // A file that goes while its tenant still ends: nothing is missed of that tenant either.
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &other.namespace());
    let stay =
        |finalizers: &[&str]| Patch::Merge(json!({ "metadata": { "finalizers": finalizers } }));
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

async fn renderings(stack: &Stack, id: &TenantId) -> String {
    let sql = format!("select count(*) from renderings where tenant_id = '{id}'");
    execute(stack, &sql).await
}

async fn phase_of_end(stack: &Stack, id: &TenantId) {
    let client = stack.client().unwrap();
    wait(stack, "the tenant to end", async || {
        let status = tenant(&client, id).await.unwrap().status.unwrap();
        Ok((status.phase == Some(Phase::Deleting)).then_some(()))
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
