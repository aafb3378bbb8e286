//! Many at once, and many at rest. The size is the small one unless `OPENCLAW_BENCH` is `quick` or
//! `full`, see `scripts/bench-operator`, which reads the line of JSON that each of these prints.

use std::{collections::HashMap, fs, hash::Hash, time::Duration};

use futures::{StreamExt as _, pin_mut};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Resource, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, watcher},
    },
};
use oc_domain::{TenantId, tenant::Tenant};
use oc_manifests::TENANT;
use oc_sandbox::operator::{Stack, USER};
use oc_service::Clock;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{condition, execute, spec};

mod applied;
mod burst;
mod event;
mod steady;

/// How long anything here may take.
fn patience() -> Duration {
    Duration::from_mins(size(2, 5, 20))
}

/// What is asked for by `OPENCLAW_BENCH`.
fn size<T>(small: T, quick: T, full: T) -> T {
    #[expect(clippy::disallowed_methods, reason = "a test has no options")]
    match std::env::var("OPENCLAW_BENCH").as_deref() {
        Ok("full") => full,
        Ok("quick") => quick,
        _ => small,
    }
}

fn now() -> Timestamp {
    Clock::system().now()
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// The tenants of these numbers.
fn draw(numbers: std::ops::Range<usize>) -> Vec<TenantId> {
    let id = |number: usize| {
        let bits = (number as u64 + 1).wrapping_mul(0x9e_3779_b97f).to_be_bytes();
        TenantId::draw(*bits.last_chunk().unwrap())
    };
    numbers.map(id).collect()
}

/// Adds the rows of tenants, as billing does.
async fn pay_for(stack: &Stack, ids: &[TenantId]) {
    for ids in ids.chunks(500) {
        let account = |id: &TenantId| id.as_str().replacen("c-", "a-", 1);
        let accounts: Vec<String> = ids.iter().map(|id| format!("('{}')", account(id))).collect();
        let row = |id: &TenantId| {
            let account = account(id);
            format!(
                "('{id}', '{account}', 'starter', 'pt-BR', 'kimi-coding/k2p5', 'medium', 'suspended', 1,
                'pharmacy')"
            )
        };
        let rows: Vec<String> = ids.iter().map(row).collect();
        let sql = format!(
            "insert into accounts (id) values {};
            insert into tenants (id, account_id, tier, locale, model, thinking, state, generation,
                niche) values {}",
            accounts.join(","),
            rows.join(",")
        );
        execute(stack, &sql).await;
    }
}

/// Brings tenants with one commit, and waits until all objects of all are applied.
async fn provision(stack: &Stack, ids: &[TenantId], state: impl Fn(usize) -> &'static str) {
    let specs = ids.iter().enumerate().map(|(number, id)| (id, spec("starter", state(number))));
    let specs: Vec<(&TenantId, Value)> = specs.collect();
    let applied = first(stack, applied_generation, ids.len());
    let (_, pushed) = tokio::join!(applied, stack.push(&specs));
    pushed.unwrap();
}

/// When each thing was first seen, until `count` were; what there is when this begins counts.
async fn first<K, Key>(
    stack: &Stack,
    key: impl Fn(&K) -> Option<Key>,
    count: usize,
) -> HashMap<Key, Timestamp>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    Key: Hash + Eq,
{
    let mut config = watcher::Config::default();
    if K::kind(&()) != "Tenant" {
        config = config.labels(TENANT);
    }
    let objects = watcher(Api::<K>::all(stack.client().unwrap()), config);
    let objects = objects.default_backoff().applied_objects();
    pin_mut!(objects);
    let mut seen = HashMap::new();
    let all = timeout(patience(), async {
        while seen.len() < count {
            if let Ok(object) = objects.next().await.unwrap()
                && let Some(key) = key(&object)
            {
                seen.entry(key).or_insert_with(now);
            }
        }
    });
    let in_time = all.await.is_ok();
    assert!(in_time, "{} of {count}: {}", seen.len(), K::kind(&()));
    seen
}

/// Whose object it is.
fn owner<K: Resource>(object: &K) -> Option<TenantId> {
    object.labels().get(TENANT)?.parse().ok()
}

/// The tenant of a pod that is ready.
fn ready_pod(pod: &Pod) -> Option<TenantId> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True");
    owner(pod).filter(|_| ready)
}

/// Tenant and generation, once every object is as that one says.
fn applied_generation(tenant: &Tenant) -> Option<(TenantId, i64)> {
    let generation = tenant.metadata.generation?;
    let observed = tenant.status.as_ref()?.observed_generation? == generation;
    let all = observed && condition(tenant, "Applied") == "True Applied";
    Some((tenant.name_any().parse().ok()?, generation)).filter(|_| all)
}

/// How often the operator asked for a change until now.
fn writes(stack: &Stack) -> usize {
    let writes = stack.cluster.writes().unwrap();
    writes.iter().filter(|request| request.user == USER).count()
}

/// A line of a process' status, in MiB.
fn memory_mib(pid: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let found = status.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(':'));
    let kib = found.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<f64>().unwrap() / 1024.0
}

fn quantiles(mut seconds: Vec<f64>) -> Value {
    seconds.sort_by(f64::total_cmp);
    let at = |part: usize| seconds[(seconds.len() * part / 1000).min(seconds.len() - 1)] * 1000.0;
    json!({"p50": at(500), "p90": at(900), "p99": at(990), "most": at(1000)})
}
