//! What the tests have in common.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use oc_domain::{
    AccountId, TenantId, TenantSpec, TierId,
    catalog::{Locale, ModelId, Thinking},
    tenant::{Phase, Tenant},
};
use oc_sandbox::operator::{Setup, Stack};
use oc_store::tenants;
use oc_testkit::{Postgres, wait_for};
use serde_json::{Value, json};

pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The usual stack.
pub(crate) fn setup() -> Setup {
    Setup::new(env!("CARGO_BIN_EXE_oc-operator"))
}

pub(crate) fn id(text: &str) -> TenantId {
    text.parse().unwrap()
}

pub(crate) fn spec(tier: &str, state: &str) -> Value {
    json!({
        "tier": tier, "niche": "pharmacy", "locale": "pt-BR",
        "channels": { "telegram": { "enabled": true } }, "state": state,
    })
}

/// Adds the tenant's row, as billing does.
pub(crate) async fn pay(stack: &Stack, id: &TenantId) -> AccountId {
    let account: AccountId = format!("a-{}", id.as_str().trim_start_matches("c-")).parse().unwrap();
    let sql =
        format!("insert into accounts (id, agents) values ('{account}', 5) on conflict do nothing");
    execute(stack, &sql).await;
    let tenant = tenants::Tenant {
        account: account.clone(),
        tier: TierId::Starter,
        locale: Locale::PtBr,
        model: ModelId::KimiK2p5,
        thinking: Thinking::Medium,
        state: tenants::State::Suspended,
        generation: 1,
    };
    tenants::insert(&stack.store, id, &tenant).await.unwrap();
    account
}

/// Runs SQL on the stack's database.
pub(crate) async fn execute(stack: &Stack, sql: &str) -> String {
    Postgres::shared().await.unwrap().execute(&stack.database, sql).await.unwrap()
}

/// A tenant that runs.
pub(crate) async fn running(stack: &Stack, name: &str, tier: &str) -> TenantId {
    let id = id(name);
    pay(stack, &id).await;
    stack.push(&[(&id, spec(tier, "active"))]).await.unwrap();
    phase(stack, &id, Phase::Ready).await;
    id
}

pub(crate) async fn tenant(client: &Client, id: &TenantId) -> Option<Tenant> {
    Api::<Tenant>::all(client.clone()).get_opt(id.as_str()).await.unwrap()
}

/// Waits until the tenant is in that phase, with the newest spec.
pub(crate) async fn phase(stack: &Stack, id: &TenantId, phase: Phase) -> Tenant {
    let client = stack.client().unwrap();
    let mut last = String::new();
    let what = format!("{id} to be {phase}");
    let waited = wait_for(SOON, &what, async || {
        let Some(tenant) = tenant(&client, id).await else { return Ok(None) };
        let status = tenant.status.clone().unwrap_or_default();
        last = format!("{:#?}", tenant.status);
        let now = status.observed_generation == tenant.metadata.generation;
        Ok((now && status.phase == Some(phase)).then_some(tenant))
    });
    match waited.await {
        Ok(tenant) => tenant,
        Err(error) => panic!("{error:#}\n{last}\n{}", tail(stack)),
    }
}

/// Pushes another spec, and waits until the tenant has it and is in that phase.
pub(crate) async fn change(stack: &Stack, id: &TenantId, spec: &Value, phase: Phase) -> Tenant {
    stack.push(&[(id, spec.clone())]).await.unwrap();
    let wanted: TenantSpec = serde_json::from_value(spec.clone()).unwrap();
    let client = stack.client().unwrap();
    wait(stack, &format!("{id} to be {phase} with {spec}"), async || {
        let tenant = tenant(&client, id).await.filter(|tenant| tenant.spec == wanted);
        Ok(tenant.filter(|tenant| {
            let status = tenant.status.clone().unwrap_or_default();
            let now = status.observed_generation == tenant.metadata.generation;
            now && status.phase == Some(phase)
        }))
    })
    .await
}

/// Waits for something; what the operator logged last is in the panic.
pub(crate) async fn wait<T>(
    stack: &Stack,
    what: &str,
    probe: impl AsyncFnMut() -> Result<Option<T>>,
) -> T {
    match wait_for(SOON, what, probe).await {
        Ok(found) => found,
        Err(error) => panic!("{error:#}\n{}", tail(stack)),
    }
}

pub(crate) fn tail(stack: &Stack) -> String {
    let log = stack.log(0).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// Waits until the tenant and its namespace are gone.
pub(crate) async fn gone(stack: &Stack, id: &TenantId) {
    let client = stack.client().unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    wait(stack, &format!("{id} to be gone"), async || {
        let namespace = namespaces.get_opt(&id.namespace()).await?;
        Ok((namespace.is_none() && tenant(&client, id).await.is_none()).then_some(()))
    })
    .await;
}

/// What the proxies know of a tenant.
pub(crate) async fn row(stack: &Stack, id: &TenantId) -> tenants::Tenant {
    tenants::find(&stack.store, id).await.unwrap().unwrap().0
}

/// The claim of a tenant's volume.
pub(crate) async fn claim(client: &Client, id: &TenantId) -> PersistentVolumeClaim {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &id.namespace());
    claims.get("openclaw-state").await.unwrap()
}

/// The pods of a tenant that are not on their way out.
pub(crate) async fn pods(client: &Client, id: &TenantId) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &id.namespace());
    let mut pods = pods.list(&ListParams::default()).await.unwrap().items;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    pods
}

/// A condition of a tenant, as `status reason`.
pub(crate) fn condition(tenant: &Tenant, type_: &str) -> String {
    let status = tenant.status.clone().unwrap_or_default();
    let found = status.conditions.iter().find(|condition| condition.type_ == type_);
    found.map(|it| format!("{} {}", it.status, it.reason)).unwrap_or_default()
}

/// Who a pod is.
pub(crate) fn uid(pod: &Pod) -> String {
    pod.uid().unwrap_or_default()
}

/// Puts into Redis what the proxies' mirror of a tenant has.
pub(crate) async fn mirror(stack: &Stack, id: &TenantId) {
    let mut command = redis::cmd("HSET");
    command.arg(format!("oc:t:{id}")).arg(&["epoch", "1", "generation", "1"]);
    command.exec_async(&mut redis(stack).await).await.unwrap();
}

/// The fields of that mirror, which is none without its epoch.
pub(crate) async fn mirrored(stack: &Stack, id: &TenantId) -> Vec<String> {
    let mut command = redis::cmd("HKEYS");
    command.arg(format!("oc:t:{id}"));
    command.query_async(&mut redis(stack).await).await.unwrap()
}

async fn redis(stack: &Stack) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(stack.redis_url.as_str()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}
