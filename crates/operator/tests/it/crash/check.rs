//! What has to be so at the end: the cluster is what git says, nothing is lost, nothing is left.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    time::Duration,
};

use k8s_openapi::api::{
    core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim, Pod, Secret},
    events::v1::Event,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DynamicObject, ListParams},
    core::GroupVersionKind,
    discovery::ApiResource,
};
use oc_domain::{
    TenantId, TenantSpec,
    tenant::{Phase, State, Tenant},
};
use oc_manifests::{MANAGED_BY, Overlay, TENANT};
use oc_sandbox::operator::{Stack, USER};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Truth, Witness, ask};
use crate::support::{condition, execute};

/// How long it may take after the last kill: a lease to expire, three waves of a rollout, and pauses
/// after failures that have grown.
const PATIENCE: Duration = Duration::from_mins(3);

/// An object's kind, namespace and name.
type Key = (String, String, String);

/// The cluster at one moment.
struct Found {
    tenants: BTreeMap<TenantId, Tenant>,
    namespaces: Vec<Namespace>,
    pods: Vec<Pod>,
    claims: Vec<PersistentVolumeClaim>,
    volumes: Vec<PersistentVolume>,
    secrets: BTreeMap<TenantId, Secret>,
    /// What carries our labels, with the Secrets.
    objects: BTreeMap<Key, Value>,
}

/// Waits until nothing is wrong any more, and sees that the operator then leaves all alone; says what
/// was counted.
pub(super) async fn converged(stack: &Stack, truth: &Truth, witness: &Witness) -> String {
    let began = Instant::now();
    let mut last = String::new();
    loop {
        witness.look_once().await;
        let faults = match Found::new(&stack.client().unwrap(), truth).await {
            Some(found) => faults(stack, truth, witness, &found).await,
            None => vec!["the API does not answer".to_owned()],
        };
        let Some(fault) = faults.first() else { break };
        last.clone_from(fault);
        if began.elapsed() > PATIENCE {
            let logs = (0..stack.services.len()).map(|number| {
                let log = stack.log(number).unwrap();
                let lines: Vec<&str> = log.lines().collect();
                lines[lines.len().saturating_sub(40)..].join("\n")
            });
            let logs: Vec<String> = logs.collect();
            let found = evidence(stack, truth, &faults).await;
            // The faults last: who shows but a part of this shows its end.
            panic!("{}\n{found}\n{}", logs.join("\n\n"), faults.join("\n"));
        }
        sleep(Duration::from_millis(300)).await;
    }
    let took = began.elapsed();
    let writes = || {
        let writes = stack.cluster.writes().unwrap();
        writes.into_iter().filter(|request| request.user == USER).collect::<Vec<_>>()
    };
    let before = writes().len();
    sleep(Duration::from_secs(3)).await;
    let more = writes().split_off(before);
    assert!(more.is_empty(), "written though all is well: {more:#?}");
    let count = |state: &str| truth.specs.values().filter(|spec| spec["state"] == state).count();
    let rollouts = execute(stack, "select count(*) from rollouts").await;
    format!(
        "{} tenants active, {} suspended, {} deleted, {} rollouts, {} writes; \
         at rest {:.1} s after the last of them ({last})",
        count("active"),
        count("suspended"),
        count("deleted"),
        rollouts.trim(),
        before,
        took.as_secs_f64(),
    )
}

/// What the cluster knows of the tenants with faults.
async fn evidence(stack: &Stack, truth: &Truth, faults: &[String]) -> String {
    let client = stack.client().unwrap();
    let mut lines = Vec::new();
    for id in truth.specs.keys().filter(|id| faults.iter().any(|it| it.contains(id.as_str()))) {
        let all = ListParams::default();
        for pod in Api::<Pod>::namespaced(client.clone(), &id.namespace()).list(&all).await.unwrap()
        {
            lines.push(serde_json::to_string(&pod).unwrap());
        }
        let events = Api::<Event>::namespaced(client.clone(), &id.namespace());
        for event in events.list(&all).await.unwrap() {
            let of = event.regarding.unwrap_or_default();
            let words = [of.kind, of.name, event.reason, event.note].map(Option::unwrap_or_default);
            lines.push(format!("{id}: {}", words.join(" ")));
        }
    }
    lines.join("\n")
}

impl Found {
    async fn new(client: &Client, truth: &Truth) -> Option<Self> {
        let tenants: Vec<Tenant> = list(client, "").await?;
        let secrets: Vec<Secret> = list(client, TENANT).await?;
        let by_id = |tenant: Tenant| Some((tenant.name_any().parse().ok()?, tenant));
        let mut objects = BTreeMap::new();
        for resource in resources(truth) {
            let ours = ListParams::default().labels(&format!("{TENANT},{MANAGED_BY}"));
            let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            for object in ask(all.list(&ours)).await? {
                let namespace = object.namespace().unwrap_or_default();
                let key = (resource.kind.clone(), namespace, object.name_any());
                objects.insert(key, serde_json::to_value(object).ok()?);
            }
        }
        let secret = |secret: Secret| {
            let id = secret.labels().get(TENANT)?.parse().ok()?;
            Some((id, secret))
        };
        Some(Self {
            tenants: tenants.into_iter().filter_map(by_id).collect(),
            namespaces: list(client, "").await?,
            pods: list(client, TENANT).await?,
            claims: list(client, "").await?,
            volumes: list(client, "").await?,
            secrets: secrets.into_iter().filter_map(secret).collect(),
            objects,
        })
    }
}

async fn list<K>(client: &Client, labels: &str) -> Option<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let all: Api<K> = Api::all(client.clone());
    Some(ask(all.list(&ListParams::default().labels(labels))).await?.items)
}

/// The kinds that are rendered for a tenant, and Secrets.
fn resources(truth: &Truth) -> Vec<ApiResource> {
    let id: TenantId = "any".parse().unwrap();
    let spec = crate::support::spec("starter", "active");
    let mut objects = render(&id, &spec, truth, &Overlay::default());
    objects.push(serde_json::to_value(oc_manifests::secret(&id, "", "")).unwrap());
    let resource = |object: &Value| {
        let (version, kind) = (&object["apiVersion"], object["kind"].as_str().unwrap());
        let (group, version) = version.as_str().unwrap().rsplit_once('/').unwrap_or(("", "v1"));
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
    };
    objects.iter().map(resource).collect()
}

fn render(id: &TenantId, spec: &Value, truth: &Truth, overlay: &Overlay) -> Vec<Value> {
    let spec: TenantSpec = serde_json::from_value(spec.clone()).unwrap();
    let objects = oc_manifests::tenant(id, &spec, &truth.inventory, overlay);
    objects.iter().map(|object| serde_json::to_value(object).unwrap()).collect()
}

/// All that is not as it has to be.
async fn faults(stack: &Stack, truth: &Truth, witness: &Witness, found: &Found) -> Vec<String> {
    let mut faults = Vec::new();
    let is_deleted = |spec: &Value| spec["state"] == "deleted";
    let lives = || truth.specs.iter().filter(|(_, spec)| !is_deleted(spec));
    let ends = truth.specs.iter().filter(|(_, spec)| is_deleted(spec)).map(|(id, _)| id);
    let ends: BTreeSet<&TenantId> = ends.collect();
    let ids: BTreeSet<&TenantId> = lives().map(|(id, _)| id).collect();
    same(&mut faults, "Tenants", &found.tenants.keys().collect(), &ids);
    let namespaces = found.namespaces.iter().map(ResourceExt::name_any);
    let namespaces = namespaces.filter(|name| name.starts_with("customer-")).collect();
    let expected = ids.iter().map(|id| id.namespace()).collect();
    same(&mut faults, "namespaces", &namespaces, &expected);
    let generations = generations(stack).await;
    let mut expected = BTreeSet::new();
    for (id, spec) in lives() {
        let Some(tenant) = found.tenants.get(id) else { continue };
        let rendered = rendering(id, spec, truth, tenant, found);
        faults.extend(tenant_faults(id, tenant, truth).map(|fault| format!("{id}: {fault}")));
        faults.extend(object_faults(&rendered, found));
        faults.extend(pod_faults(id, tenant, &rendered, found));
        expected.extend(rendered.iter().map(key));
        expected.insert(("Secret".into(), id.namespace(), "openclaw-config".into()));
        let token = found.secrets.get(id).and_then(|secret| witness.token(secret));
        let row = generations.get(id).map(|row| (id.clone(), row.0));
        if token.is_none() || token != row {
            faults.push(format!("{id}: the token is {token:?}, the row {row:?}"));
        }
    }
    same(&mut faults, "objects", &found.objects.keys().cloned().collect(), &expected);
    for id in &ends {
        let token = witness.tokens.lock().unwrap().get(*id).copied().unwrap_or_default();
        let row = generations.get(*id);
        if row.is_none_or(|row| row.0 <= token || row.1 != "suspended") {
            faults.push(format!("{id} is deleted: a token of {token} was there, its row: {row:?}"));
        }
    }
    faults.extend(volume_faults(witness, found, &ends));
    faults.extend(rollout_faults(stack, found, &ends).await);
    faults
}

fn same<T: Ord + Debug>(faults: &mut Vec<String>, what: &str, is: &BTreeSet<T>, be: &BTreeSet<T>) {
    let lost: Vec<&T> = be.difference(is).collect();
    let left: Vec<&T> = is.difference(be).collect();
    if !lost.is_empty() || !left.is_empty() {
        faults.push(format!("{what}: lost {lost:?}, left {left:?}"));
    }
}

/// Generation and state of each row.
async fn generations(stack: &Stack) -> BTreeMap<TenantId, (u32, String)> {
    let rows = execute(stack, "select id, generation, state from tenants").await;
    let row = |row: &str| {
        let [id, generation, state] = row.split('|').collect::<Vec<_>>().try_into().unwrap();
        (id.parse().unwrap(), (generation.parse().unwrap(), state.to_owned()))
    };
    rows.lines().map(row).collect()
}

fn rendering(
    id: &TenantId,
    spec: &Value,
    truth: &Truth,
    tenant: &Tenant,
    found: &Found,
) -> Vec<Value> {
    let bought = tenant.spec.tier.get().storage_gib;
    let claim = found.claims.iter().find(|claim| claim.namespace() == Some(id.namespace()));
    let size = claim.and_then(|claim| {
        let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
        requests.get("storage")?.0.strip_suffix("Gi")?.parse::<u32>().ok()
    });
    let overlay = Overlay {
        revision: tenant.status.as_ref().and_then(|status| status.revision.clone()),
        // A volume never shrinks.
        storage_gib: size.filter(|size| *size > bought),
    };
    render(id, spec, truth, &overlay)
}

fn tenant_faults(id: &TenantId, tenant: &Tenant, truth: &Truth) -> impl Iterator<Item = String> {
    let wanted: TenantSpec = serde_json::from_value(truth.specs[id].clone()).unwrap();
    let status = tenant.status.clone().unwrap_or_default();
    let phase = if wanted.runs() { Phase::Ready } else { Phase::Suspended };
    let image = status.image.as_ref();
    let tag = format!(":{}", truth.inventory.cluster.image.tag);
    let mut faults = Vec::new();
    let mut hold = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault);
        }
    };
    hold(wanted.state != State::Deleted && tenant.spec == wanted, "its spec is another".into());
    hold(status.observed_generation == tenant.metadata.generation, "it waits".into());
    hold(status.phase == Some(phase), format!("it is {:?} and not {phase}", status.phase));
    hold(image.is_some_and(|image| image.ends_with(&tag)), format!("its image is {image:?}"));
    for type_ in ["Applied", "Specified"] {
        let is = condition(tenant, type_);
        hold(is.starts_with("True"), format!("{type_} is {is}"));
    }
    faults.into_iter()
}

fn key(object: &Value) -> Key {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let [kind, namespace, name] = ["/kind", "/metadata/namespace", "/metadata/name"].map(text);
    (kind.to_owned(), namespace.to_owned(), name.to_owned())
}

fn object_faults(rendered: &[Value], found: &Found) -> Vec<String> {
    let fault = |object: &Value| {
        let key = key(object);
        let Some(is) = found.objects.get(&key) else { return Some(format!("no {key:?}")) };
        // The items of a list do not say what they are.
        let parts = object.as_object()?.iter().filter(|(name, _)| !is_type(name));
        let at = parts.map(|(name, part)| differs(part, &is[name], name)).find_map(|at| at)?;
        Some(format!("{key:?} is other at {at}"))
    };
    rendered.iter().filter_map(fault).collect()
}

fn is_type(field: &str) -> bool {
    ["apiVersion", "kind"].contains(&field)
}

/// Where something that is wanted is not so; what is there beside it does not matter.
fn differs(wanted: &Value, is: &Value, at: &str) -> Option<String> {
    let here = || Some(at.to_owned());
    match (wanted, is) {
        (Value::Object(wanted), Value::Object(is)) => wanted.iter().find_map(|(name, wanted)| {
            differs(wanted, is.get(name).unwrap_or(&Value::Null), &format!("{at}/{name}"))
        }),
        (Value::Array(wanted), Value::Array(is)) if wanted.len() == is.len() => {
            let pairs = wanted.iter().zip(is).enumerate();
            pairs
                .map(|(number, (wanted, is))| differs(wanted, is, &format!("{at}/{number}")))
                .find_map(|found| found)
        }
        // The API leaves out what is empty.
        (Value::Array(wanted), Value::Null) if wanted.is_empty() => None,
        (Value::Object(wanted), Value::Null) if wanted.is_empty() => None,
        (wanted, is) if wanted == is => None,
        _ => here(),
    }
}

/// One pod that is ready, with the resources and the image of its Deployment; none where nothing runs.
fn pod_faults(id: &TenantId, tenant: &Tenant, rendered: &[Value], found: &Found) -> Vec<String> {
    let mine = |pod: &&Pod| {
        pod.namespace() == Some(id.namespace()) && pod.metadata.deletion_timestamp.is_none()
    };
    let pods: Vec<&Pod> = found.pods.iter().filter(mine).collect();
    let expected = usize::from(tenant.spec.runs());
    if pods.len() != expected {
        return vec![format!("{id}: {} pods", pods.len())];
    }
    let workload = rendered.last().unwrap();
    let wanted = &workload["spec"]["template"]["spec"]["containers"];
    let fault = |pod: &&Pod| {
        let pod = serde_json::to_value(pod).unwrap();
        let is = &pod["spec"]["containers"];
        let field = |field: &str| {
            let same = wanted[0][field] == is[0][field];
            (!same).then(|| format!("{id}: its pod's {field}: {}", is[0][field]))
        };
        field("image").or_else(|| {
            let at = differs(&wanted[0]["resources"], &is[0]["resources"], "/resources")?;
            Some(format!("{id}: its pod is other at {at}"))
        })
    };
    pods.iter().filter_map(fault).collect()
}

/// Each volume is of a claim that lives, or kept of a tenant that ended; all of those are kept.
fn volume_faults(witness: &Witness, found: &Found, ends: &BTreeSet<&TenantId>) -> Vec<String> {
    let claims = found.claims.iter().filter_map(ResourceExt::uid).collect::<BTreeSet<_>>();
    let mut kept = BTreeSet::new();
    let mut faults = Vec::new();
    for volume in &found.volumes {
        let name = volume.name_any();
        let spec = volume.spec.clone().unwrap_or_default();
        let claim = spec.claim_ref.unwrap_or_default();
        if claim.uid.is_some_and(|uid| claims.contains(&uid)) {
            continue;
        }
        let owner = volume.labels().get(TENANT).and_then(|id| id.parse::<TenantId>().ok());
        let retained = spec.persistent_volume_reclaim_policy.as_deref() == Some("Retain");
        if !retained || !owner.is_some_and(|owner| ends.contains(&owner)) {
            faults.push(format!("the volume {name} of {:?} is left", claim.namespace));
        }
        kept.insert(name);
    }
    let namespaces: BTreeSet<String> = ends.iter().map(|id| id.namespace()).collect();
    for (namespace, name) in witness.bound.lock().unwrap().iter() {
        if namespaces.contains(namespace) && !kept.contains(name) {
            faults.push(format!("the volume {name} of {namespace} is lost"));
        }
    }
    faults
}

/// One rollout at most that has not ended, the last one done, and nothing kept of who ended.
async fn rollout_faults(stack: &Stack, found: &Found, ends: &BTreeSet<&TenantId>) -> Vec<String> {
    let mut faults = Vec::new();
    let open = execute(stack, "select count(*) from rollouts where ended_at is null").await;
    if open.trim().parse::<u32>().unwrap() > 1 {
        faults.push(format!("{open} rollouts have not ended"));
    }
    let last = "select status, revision from rollouts order by id desc limit 1";
    let last = execute(stack, last).await;
    let (status, revision) = last.trim().split_once('|').unwrap();
    if status != "done" {
        faults.push(format!("the last rollout is {status}"));
    }
    for (id, tenant) in &found.tenants {
        let is = tenant.status.as_ref().and_then(|status| status.revision.as_deref());
        if is != Some(revision) {
            faults.push(format!("{id} is on {is:?} and not on {revision}"));
        }
    }
    let kept = execute(stack, "select distinct tenant_id from renderings").await;
    let left = kept.lines().filter(|id| id.parse().is_ok_and(|id: TenantId| ends.contains(&id)));
    faults.extend(left.map(|id| format!("renderings of {id} are left")));
    faults
}
