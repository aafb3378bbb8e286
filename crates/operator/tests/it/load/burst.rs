//! Many tenants in one commit, beside a client that does nothing but apply.

use futures::{StreamExt as _, future::join_all, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
    discovery::ApiResource,
};
use oc_domain::{TenantId, TenantSpec};
use oc_manifests::Overlay;
use oc_sandbox::operator::{Setup, Stack, USER};
use serde_json::{Value, json};

use super::{draw, first, now, pay_for, provision, ready_pod, seconds, size, writes};
use crate::support::{setup, spec};

/// As many tenants at once as the operator has workers.
const WORKERS: usize = 16;
/// The objects of a tenant.
const OBJECTS: usize = 9;

#[tokio::test(flavor = "multi_thread")]
async fn many_tenants_in_one_commit_are_applied_about_as_fast_as_can_be() {
    let count = size(50, 200, 1_000);
    let mut stack = Stack::start(Setup { nodes: 2, ..setup() }).await.unwrap();
    let ids = draw(0..2 * count);
    let (bare, ids) = ids.split_at(count);
    pay_for(&stack, ids).await;
    // Before and after it: an API server with more objects is slower.
    let (first_half, second_half) = bare.split_at(count / 2);
    let mut rates = vec![alone(&mut stack, first_half, 0).await];
    let before = writes(&stack);
    let began = now();
    let pods = first(&stack, |pod: &Pod| ready_pod(pod), first_half.len() + count);
    let (_, (took, written)) = tokio::join!(pods, async {
        provision(&stack, ids, |_| "active").await;
        let took = seconds(began, now());
        (took, writes(&stack) - before)
    });
    let until_ready = seconds(began, now());
    rates.push(alone(&mut stack, second_half, first_half.len() + count).await);
    let (count, bare) = (as_float(count), f64::midpoint(rates[0], rates[1]));
    let report = json!({
        "tenants": count, "applied_seconds": took, "ready_seconds": until_ready,
        "objects_per_second": count * as_float(OBJECTS) / took, "writes": written,
        "writes_per_second": as_float(written) / took, "bare_per_second": bare,
        "bare_before_and_after": rates, "user": USER,
    });
    println!("bench {report}");
}

/// Applies the objects of these tenants while the operator does not run; objects a second. Their pods
/// are ready at the end, beside those of so many tenants before.
async fn alone(stack: &mut Stack, ids: &[TenantId], before: usize) -> f64 {
    assert!(stack.services[0].drain().await.unwrap());
    let client = stack.cluster.client_as("bare", &["system:masters"]).unwrap();
    let spec: TenantSpec = serde_json::from_value(spec("starter", "active")).unwrap();
    let work: Vec<Vec<Value>> = ids.iter().map(|id| render(stack, id, &spec)).collect();
    let pods = first(stack, |pod: &Pod| ready_pod(pod), before + ids.len());
    let applying = async {
        let began = now();
        let tenants = stream::iter(work).map(|objects| apply_all(&client, objects));
        tenants.buffer_unordered(WORKERS).collect::<Vec<()>>().await;
        as_float(ids.len() * OBJECTS) / seconds(began, now())
    };
    let (rate, _) = tokio::join!(applying, pods);
    stack.restart(0).await.unwrap();
    rate
}

fn render(stack: &Stack, id: &TenantId, spec: &TenantSpec) -> Vec<Value> {
    let objects = oc_manifests::tenant(id, spec, &stack.inventory, &Overlay::default());
    let mut objects: Vec<Value> =
        objects.iter().map(|object| serde_json::to_value(object).unwrap()).collect();
    let secret = oc_manifests::secret(id, "no token", "1");
    objects.insert(1, serde_json::to_value(secret).unwrap());
    assert_eq!(objects.len(), OBJECTS);
    objects
}

/// The namespace, all that may come at once, and the workload.
async fn apply_all(client: &Client, mut objects: Vec<Value>) {
    let (namespace, workload) = (objects.remove(0), objects.pop().unwrap());
    apply(client, namespace).await;
    join_all(objects.into_iter().map(|object| apply(client, object))).await;
    apply(client, workload).await;
}

async fn apply(client: &Client, object: Value) {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let kind = GroupVersionKind::try_from(object.types.as_ref().unwrap()).unwrap();
    let resource = ApiResource::from_gvk(&kind);
    let objects: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let params = PatchParams::apply("bare").force();
    objects.patch(&object.name_any(), &params, &Patch::Apply(&object)).await.unwrap();
}

fn as_float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}
