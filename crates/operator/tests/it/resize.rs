//! What changes of a tenant that lives, and what of that its pod notices.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, LimitRange, Namespace, Pod, ResourceQuota},
        storage::v1::StorageClass,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use oc_domain::{
    TenantId, TierId,
    catalog::Isolation,
    inventory,
    tenant::{Phase, Tenant},
};
use oc_sandbox::operator::{Setup, Stack, USER};
use serde_json::json;

use crate::support::{change, claim, condition, execute, pods, running, setup, spec, tenant, wait};

pub(crate) const CLASS: &str = "local-path";

#[tokio::test]
async fn another_tier_reaches_the_pod_both_ways() {
    let options = options(&["--rollout-canaries", "c-7f3k2m9q"]);
    let stack = Stack::start(Setup { options, ..setup() }).await.unwrap();
    let grows = running(&stack, "c-7f3k2m9q", "starter").await;
    is_sized(&stack, &grows, TierId::Starter, 1).await;
    let (mut gib, mut is) = (1, TierId::Starter);
    for tier in
        [TierId::Team, TierId::Starter, TierId::Enterprise, TierId::Individual, TierId::Enterprise]
    {
        let before = written(&stack, &grows).len();
        let tenant = resize(&stack, &grows, tier).await;
        assert_eq!(condition(&tenant, "VolumeAsBought"), "");
        in_order(&written(&stack, &grows)[before..], is, tier);
        is = tier;
        gib = tier.get().storage_gib.max(gib);
        is_sized(&stack, &grows, tier, gib).await;
    }
    without_growth(&stack, &grows).await;
}

/// Where volumes cannot grow, all else of a tier does.
async fn without_growth(stack: &Stack, other: &TenantId) {
    let id = running(stack, "c-00000001", "starter").await;
    expansion(stack, false).await;
    let tenant = resize(stack, &id, TierId::Team).await;
    assert_eq!(condition(&tenant, "VolumeAsBought"), "False ClassCannotGrow");
    assert_eq!(condition(&tenant, "Applied"), "True Applied");
    is_sized(stack, &id, TierId::Team, 1).await;
    let tenant = resize(stack, &id, TierId::Individual).await;
    assert_eq!(condition(&tenant, "VolumeAsBought"), "", "it has what that one gives");
    let tenant = resize(stack, &id, TierId::Team).await;
    waits(stack, &tenant, &id, other).await;
    // With the next change the class is asked again.
    expansion(stack, true).await;
    let tenant = resize(stack, &id, TierId::Business).await;
    assert_eq!(condition(&tenant, "VolumeAsBought"), "");
    is_sized(stack, &id, TierId::Business, 10).await;
}

/// While it waits for its wave of a rollout, a tenant is as it was, and so it is when somebody deletes
/// its Tenant.
async fn waits(stack: &Stack, was: &Tenant, id: &TenantId, canary: &TenantId) {
    let client = stack.client().unwrap();
    let pod = pods(&client, id).await.remove(0);
    has_next_image(stack, canary).await;
    let still = tenant(&client, id).await.unwrap();
    let revision = |tenant: &Tenant| tenant.status.clone().unwrap().revision;
    assert_eq!(revision(&still), revision(was));
    assert_eq!(condition(&still, "VolumeAsBought"), "False ClassCannotGrow");
    Api::<Tenant>::all(client.clone()).delete(id.as_str(), &DeleteParams::default()).await.unwrap();
    let again = wait(stack, "the Tenant to come back", async || {
        let tenant = tenant(&client, id).await.filter(|tenant| tenant.uid() != was.uid());
        Ok(tenant.filter(|tenant| condition(tenant, "Ready") == "True Ready"))
    })
    .await;
    assert_eq!(revision(&again), revision(was));
    assert_eq!(condition(&again, "VolumeAsBought"), "False ClassCannotGrow");
    assert_eq!(pods(&client, id).await.remove(0).uid(), pod.uid());
}

/// Changes the image of the fleet, and waits until the tenant has it.
async fn has_next_image(stack: &Stack, id: &TenantId) -> (String, Tenant) {
    let client = stack.client().unwrap();
    let mut inventory = serde_json::to_value(&stack.inventory).unwrap();
    inventory["cluster"]["image"]["tag"] = json!("0.2.0");
    stack.push_files(&[(inventory::PATH.to_owned(), inventory.to_string())]).await.unwrap();
    let image = format!("{}/gateway:0.2.0", stack.inventory.cluster.image.registry);
    let tenant = wait(stack, "the image to be there", async || {
        let tenant = tenant(&client, id).await.unwrap();
        let status = tenant.status.clone().unwrap();
        let there = status.phase == Some(Phase::Ready) && status.image.as_ref() == Some(&image);
        Ok(there.then_some(tenant))
    })
    .await;
    (image, tenant)
}

#[tokio::test]
async fn what_travels_in_volumes_restarts_nothing() {
    let setup = Setup { options: options(&["--rollout-soak", "1s"]), ..setup() };
    let stack = Stack::start(setup).await.unwrap();
    let id = running(&stack, "c-7f3k2m9q", "starter").await;
    let mut spec = spec("starter", "active");
    for (field, value, file, text) in [
        ("niche", json!("legal"), "SOUL.md", None),
        ("locale", json!("en"), "SOUL.md", None),
        ("thinking", json!("low"), "openclaw.json", Some(r#""thinkingDefault": "low""#)),
        ("connections", json!(["linear"]), "openclaw.json", Some("linear")),
        ("channels", json!({ "telegram": { "enabled": false } }), "openclaw.json", None),
    ] {
        spec[field] = value;
        let before = seen(&stack, &id).await;
        change(&stack, &id, &spec, Phase::Ready).await;
        let now = seen(&stack, &id).await;
        assert_ne!(now.files[file], before.files[file], "{field}");
        assert!(text.is_none_or(|text| now.files[file].contains(text)), "{}", now.files[file]);
        assert_eq!((now.pod, now.template), (before.pod, before.template), "{field}");
        assert!(now.told.is_some() && now.told != before.told, "{field}: the kubelet looks");
    }
    // There is one model so far: to name it changes the Tenant and nothing else.
    let before = seen(&stack, &id).await;
    spec["model"] = json!("kimi-coding/k2p5");
    change(&stack, &id, &spec, Phase::Ready).await;
    let now = seen(&stack, &id).await;
    assert_eq!((&now.pod, now.told, now.files), (&before.pod, before.told, before.files));

    spec["tier"] = json!("pro");
    change(&stack, &id, &spec, Phase::Ready).await;
    assert_ne!(seen(&stack, &id).await.pod, before.pod, "another size is another pod");
    another_image(&stack, &id).await;
}

/// A new image is a new pod, within the quota of one pod and its successor.
async fn another_image(stack: &Stack, id: &TenantId) {
    let client = stack.client().unwrap();
    let before = pods(&client, id).await.remove(0);
    let (image, tenant) = has_next_image(stack, id).await;
    let now = pods(&client, id).await;
    assert_eq!(now.len(), 1);
    assert_ne!(now[0].uid(), before.uid());
    assert_eq!(now[0].spec.as_ref().unwrap().containers[0].image, Some(image));
    let revision = tenant.status.unwrap().revision;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = namespaces.get(&id.namespace()).await.unwrap();
    assert_eq!(namespace.annotations().get("openclaw.cloud/revision"), revision.as_ref());
    no_failure(&client, id).await;
    wait(stack, "the rollout to end", async || {
        let sql = "select status from rollouts order by id desc limit 1";
        Ok((execute(stack, sql).await == "done").then_some(()))
    })
    .await;
}

/// Says whether the room for the pod grew before it, or shrank after it.
fn in_order(written: &[String], from: TierId, to: TierId) {
    let is_room = |resource: &String| resource == "resourcequotas" || resource == "limitranges";
    let mut order: Vec<&String> =
        written.iter().filter(|resource| is_room(resource) || *resource == "deployments").collect();
    if to.get().memory_mib.limit < from.get().memory_mib.limit {
        order.reverse();
    }
    let rooms = order.iter().take_while(|resource| is_room(resource)).count();
    assert_eq!((rooms, order.len()), (2, 3), "{from} to {to}: {order:?}");
}

/// What the operator has written in the tenant's namespace, in order.
fn written(stack: &Stack, id: &TenantId) -> Vec<String> {
    let writes = stack.cluster.writes().unwrap();
    let ours = writes.iter().filter(|it| it.user == USER && it.namespace == id.namespace());
    ours.map(|request| request.resource.clone()).collect()
}

/// Buys another tier, and waits until that is all there.
async fn resize(stack: &Stack, id: &TenantId, tier: TierId) -> Tenant {
    change(stack, id, &spec(&tier.to_string(), "active"), Phase::Ready).await
}

/// Says whether the pod has what the tier gives, the quota has room for it and its successor, and
/// the volume has that size.
pub(crate) async fn is_sized(stack: &Stack, id: &TenantId, tier: TierId, gib: u32) {
    let client = stack.client().unwrap();
    let pods = pods(&client, id).await;
    assert_eq!(pods.len(), 1, "{tier}");
    let pod = pods[0].spec.clone().unwrap();
    let dedicated = tier.get().isolation == Isolation::Dedicated;
    let node = if dedicated { "dedicated-1" } else { "shared-1" };
    assert_eq!(pod.node_name.as_deref(), Some(node), "{tier}");
    let resources = pod.containers[0].resources.clone().unwrap();
    let (cpu, memory) = (tier.get().cpu_millis, tier.get().memory_mib);
    assert_eq!(amounts(resources.requests.as_ref()), (cpu.request, memory.request), "{tier}");
    assert_eq!(amounts(resources.limits.as_ref()), (cpu.limit, memory.limit), "{tier}");

    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), &id.namespace());
    let hard = quotas.get("tier-limits").await.unwrap().spec.unwrap().hard.unwrap();
    let twice = |request, limit| (millis(&hard[request]), mebi(&hard[limit]));
    assert_eq!(twice("requests.cpu", "requests.memory"), (cpu.request * 2, memory.request * 2));
    assert_eq!(twice("limits.cpu", "limits.memory"), (cpu.limit * 2, memory.limit * 2));
    assert_eq!(hard["requests.storage"].0, format!("{gib}Gi"));
    let ranges: Api<LimitRange> = Api::namespaced(client.clone(), &id.namespace());
    let range = ranges.get("tier-limits").await.unwrap().spec.unwrap().limits.remove(0);
    assert_eq!(amounts(range.max.as_ref()), (cpu.limit, memory.limit), "{tier}");
    no_failure(&client, id).await;

    let wanted = format!("{gib}Gi");
    wait(stack, &format!("a volume of {gib} GiB"), async || {
        let claim = claim(&client, id).await;
        let requests = claim.spec.unwrap().resources.unwrap().requests.unwrap();
        assert_eq!(requests["storage"].0, wanted, "{tier}");
        let capacity = claim.status.unwrap().capacity.unwrap_or_default();
        Ok(capacity.get("storage").filter(|size| size.0 == wanted).map(drop))
    })
    .await;
}

/// The amounts of a pod: millis of CPU, MiB of memory.
fn amounts(of: Option<&BTreeMap<String, Quantity>>) -> (u32, u32) {
    let of = of.unwrap();
    (millis(&of["cpu"]), mebi(&of["memory"]))
}

fn millis(quantity: &Quantity) -> u32 {
    let text = &quantity.0;
    text.strip_suffix('m')
        .map_or_else(|| text.parse::<u32>().unwrap() * 1000, |it| it.parse().unwrap())
}

fn mebi(quantity: &Quantity) -> u32 {
    let text = &quantity.0;
    let gibi = text.strip_suffix("Gi").map(|gibi| gibi.parse::<u32>().unwrap() * 1024);
    gibi.unwrap_or_else(|| text.strip_suffix("Mi").unwrap().parse().unwrap())
}

async fn no_failure(client: &Client, id: &TenantId) {
    let status = deployment(client, id).await.status.unwrap();
    let conditions = status.conditions.unwrap_or_default();
    assert!(conditions.iter().all(|it| it.type_ != "ReplicaFailure"), "{conditions:?}");
}

pub(crate) async fn deployment(client: &Client, id: &TenantId) -> Deployment {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &id.namespace());
    deployments.get("openclaw-gateway").await.unwrap()
}

/// What a tenant's agent has.
pub(crate) struct Seen {
    pub(crate) files: BTreeMap<String, String>,
    /// Who the pod is.
    pod: Option<String>,
    /// What the pod was told last of its files.
    told: Option<String>,
    /// Which version of the Deployment's spec it is.
    template: Option<i64>,
}

pub(crate) async fn seen(stack: &Stack, id: &TenantId) -> Seen {
    let client = stack.client().unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &id.namespace());
    let mut pods: Vec<Pod> = pods(&client, id).await;
    assert_eq!(pods.len(), 1);
    let pod = pods.remove(0);
    Seen {
        files: maps.get("openclaw-workspace").await.unwrap().data.unwrap(),
        pod: pod.uid(),
        told: pod.annotations().get("openclaw.cloud/files").cloned(),
        template: deployment(&client, id).await.metadata.generation,
    }
}

/// Whether volumes of the class can grow from now on.
async fn expansion(stack: &Stack, allowed: bool) {
    let classes: Api<StorageClass> = Api::all(stack.client().unwrap());
    let patch = Patch::Merge(json!({ "allowVolumeExpansion": allowed }));
    classes.patch(CLASS, &PatchParams::default(), &patch).await.unwrap();
}

fn options(options: &[&str]) -> Vec<String> {
    options.iter().map(|&option| option.to_owned()).collect()
}
