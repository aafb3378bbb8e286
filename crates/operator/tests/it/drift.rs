//! Nobody writes where nothing is to do, and what somebody else does to ours does not last.

use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{
        ConfigMap, LimitRange, Namespace, PersistentVolumeClaim, ResourceQuota, Secret,
        ServiceAccount,
    },
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams, TypeMeta},
    discovery::ApiResource,
};
use oc_domain::{
    TenantId,
    tenant::{Phase, Tenant},
};
use oc_sandbox::operator::{Stack, USER};
use oc_testkit::wait_for;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{
    condition, id, pay, phase, pods, running, setup, spec, tail, tenant, uid, wait,
};

/// Within this everything is back.
const BACK: Duration = Duration::from_secs(5);
const WORKSPACE: &str = "openclaw-workspace";
const GATEWAY: &str = "openclaw-gateway";
const CLAIM: &str = "openclaw-state";

/// The operator's writes until now, as `verb resource name: status`.
fn writes(stack: &Stack) -> Vec<String> {
    let ours = stack.cluster.writes().unwrap().into_iter().filter(|it| it.user == USER);
    ours.map(|it| {
        format!("{} {} {}/{}: {}", it.verb, it.resource, it.namespace, it.name, it.status)
    })
    .collect()
}

/// Waits until the operator has not written for a while; gives its writes until then.
async fn quiet(stack: &Stack) -> Vec<String> {
    let mut last = writes(stack);
    let mut since = Instant::now();
    wait(stack, "the operator to rest", async || {
        let now = writes(stack);
        if now.len() != last.len() {
            (last, since) = (now, Instant::now());
        }
        Ok((since.elapsed() > Duration::from_secs(3)).then_some(()))
    })
    .await;
    last
}

/// How many looks have come to something.
async fn looks(stack: &Stack) -> f64 {
    let name = "openclaw_operator_reconciles_total{outcome=\"ok\"}";
    stack.services[0].metric(name).await.unwrap()
}

async fn looked(stack: &Stack, more_than: f64) {
    wait(
        stack,
        "looks at everything",
        async || Ok((looks(stack).await >= more_than).then_some(())),
    )
    .await;
}

fn times_read(stack: &Stack) -> usize {
    stack.log(0).unwrap().matches("the fleet repository is read").count()
}

#[tokio::test]
async fn nothing_is_written_where_nothing_is_to_do() {
    let mut stack = Stack::start(setup()).await.unwrap();
    let mut files = Vec::new();
    for (number, tier) in
        ["starter", "pro", "team", "individual", "business", "enterprise"].into_iter().enumerate()
    {
        files.push((id(&format!("c-aaaaaaa{number}")), spec(tier, "active"), Phase::Ready));
        files.push((id(&format!("c-bbbbbbb{number}")), spec(tier, "suspended"), Phase::Suspended));
    }
    // One is held, one never was, one has no place, one is nobody's.
    files[1].1["state"] = json!("active");
    files[1].1["hold"] = json!({ "reason": "payment" });
    files[3].1["state"] = json!("deleted");
    files[5].1 = spec("enterprise", "active");
    files[5].2 = Phase::Provisioning;
    for (number, (id, ..)) in files.iter().enumerate() {
        if number != 7 {
            pay(&stack, id).await;
        }
    }
    let pushed: Vec<_> = files.iter().map(|(id, spec, _)| (id, spec.clone())).collect();
    stack.push(&pushed).await.unwrap();
    let client = stack.client().unwrap();
    for (number, (id, _, expected)) in files.iter().enumerate() {
        match number {
            3 => assert!(tenant(&client, id).await.is_none()),
            // Which of the two has the node is not said.
            5 | 10 => {}
            _ => drop(phase(&stack, id, *expected).await),
        }
    }
    wait(&stack, "the one without a place", async || {
        let mut found = 0;
        for (id, ..) in [&files[5], &files[10]] {
            let Some(tenant) = tenant(&client, id).await else { return Ok(None) };
            found += usize::from(condition(&tenant, "Ready") == "False Unschedulable");
        }
        Ok((found == 1).then_some(()))
    })
    .await;
    let before = quiet(&stack).await;

    stack.services[0].kill().unwrap();
    stack.restart(0).await.unwrap();
    looked(&stack, 11.0).await;
    assert_eq!(quiet(&stack).await[before.len()..], [""; 0], "after a restart");

    let (looks_before, moved) = (looks(&stack).await, inventory_moved(&stack));
    stack.push_files(&[("nodes/inventory.json".to_owned(), moved)]).await.unwrap();
    looked(&stack, looks_before + 11.0).await;
    assert_eq!(quiet(&stack).await[before.len()..], [""; 0], "after a second look");

    let reads = times_read(&stack);
    stack.push_files(&[("README.md".to_owned(), "Nothing.\n".to_owned())]).await.unwrap();
    wait(&stack, "the commit", async || Ok((times_read(&stack) > reads).then_some(()))).await;
    sleep(Duration::from_secs(20)).await;
    assert_eq!(writes(&stack)[before.len()..], [""; 0], "after a while");
}

/// The inventory with a node elsewhere, which is no concern of a tenant's.
fn inventory_moved(stack: &Stack) -> String {
    let text = stack.remote.git(&["show", "main:nodes/inventory.json"]).unwrap();
    let mut inventory: Value = serde_json::from_str(&text).unwrap();
    inventory["nodes"][3]["location"] = json!("nbg1");
    inventory.to_string()
}

/// The objects of one kind of a tenant, or of the cluster.
fn api(stack: &Stack, id: &TenantId, kind: &ApiResource) -> Api<DynamicObject> {
    let client = stack.client().unwrap();
    if ["Namespace", "Tenant"].contains(&kind.kind.as_str()) {
        return Api::all_with(client, kind);
    }
    Api::namespaced_with(client, &id.namespace(), kind)
}

fn kind<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

/// What of an object somebody wanted.
fn wanted(object: &DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).unwrap();
    value.as_object_mut().unwrap().remove("status");
    let metadata = value["metadata"].as_object_mut().unwrap();
    for field in [
        "resourceVersion",
        "managedFields",
        "generation",
        "uid",
        "creationTimestamp",
        "ownerReferences",
    ] {
        metadata.remove(field);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| key.starts_with("openclaw.cloud/"));
    }
    value
}

/// What an object holds.
fn contents(object: &DynamicObject) -> [Value; 2] {
    ["spec", "data"].map(|field| object.data[field].clone())
}

/// An object of a tenant, and how somebody changes it.
struct Edit {
    kind: ApiResource,
    name: String,
    patch: Value,
}

fn edit<K: Resource<DynamicType = ()>>(name: &str, patch: Value) -> Edit {
    Edit { kind: kind::<K>(), name: name.to_owned(), patch }
}

fn by_hand() -> PatchParams {
    PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() }
}

/// Changes an object, and waits until it is as it was.
async fn comes_back(stack: &Stack, id: &TenantId, edit: &Edit) {
    let Edit { kind, name, patch } = edit;
    let objects = api(stack, id, kind);
    let before = objects.get(name).await.unwrap();
    let forgets = patch.pointer("/metadata/managedFields").is_some();
    let is_strategy = patch.pointer("/spec/strategy").is_some();
    let patch = if kind.kind == "Deployment" && !forgets {
        Patch::Strategic(patch)
    } else {
        Patch::Merge(patch)
    };
    let edited = objects.patch(name, &by_hand(), &patch).await.unwrap();
    if !forgets {
        assert_ne!(wanted(&edited), wanted(&before), "{} {name} {patch:?}", kind.kind);
    }
    let mut last = Value::Null;
    let waited = wait_for(BACK, "it to be back", async || {
        let Some(now) = objects.get_opt(name).await? else { return Ok(None) };
        last = wanted(&now);
        let ours = |it: &_| is_ours(it);
        let managed = now.metadata.managed_fields.iter().flatten().any(ours);
        Ok((last == wanted(&before) && (!forgets || managed)).then_some(now))
    });
    match waited.await {
        // One that has become something that no apply can change is made anew.
        Ok(now) => assert!(now.uid() == before.uid() || is_strategy, "{name} is another one"),
        Err(error) => {
            panic!("{} {name} after {patch:?}: {error}: {last:#}\n{}", kind.kind, tail(stack))
        }
    }
}

fn is_ours(entry: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some("openclaw-operator")
}

/// Several fields of every kind.
fn edits(id: &TenantId) -> Vec<Edit> {
    let of = id.namespace();
    let labels = |key: &str, value: Value| json!({ "metadata": { "labels": { key: value } } });
    let tenant = "openclaw.cloud/tenant";
    let managed = "app.kubernetes.io/managed-by";
    let pod = |fields: Value| json!({ "spec": { "template": { "spec": fields } } });
    let container = |mut fields: Value| {
        fields["name"] = json!(GATEWAY);
        pod(json!({ "containers": [fields] }))
    };
    let home = json!([{ "name": "HOME", "value": "/" }]);
    let mut all = vec![
        edit::<Namespace>(&of, labels(tenant, Value::Null)),
        edit::<Namespace>(&of, labels(tenant, json!("c-somebody"))),
        edit::<Namespace>(&of, labels(managed, json!("me"))),
        edit::<Namespace>(&of, labels("openclaw.cloud/tier", json!("enterprise"))),
        edit::<Namespace>(&of, labels("pod-security.kubernetes.io/enforce", json!("privileged"))),
        edit::<Namespace>(
            &of,
            json!({ "metadata": { "annotations": { "openclaw.cloud/revision": "x" } } }),
        ),
        edit::<ResourceQuota>("tier-limits", json!({ "spec": { "hard": { "pods": "9" } } })),
        edit::<ResourceQuota>("tier-limits", json!({ "spec": { "hard": { "services": null } } })),
        edit::<ResourceQuota>("tier-limits", labels(tenant, Value::Null)),
        edit::<LimitRange>(
            "tier-limits",
            json!({ "spec": { "limits": [{ "type": "Container" }] } }),
        ),
        edit::<LimitRange>("tier-limits", labels(tenant, json!("c-somebody"))),
        edit::<NetworkPolicy>("customer-isolation", json!({ "spec": { "egress": [{}] } })),
        edit::<NetworkPolicy>("customer-isolation", json!({ "spec": { "egress": null } })),
        edit::<NetworkPolicy>("customer-isolation", json!({ "spec": { "ingress": [{}] } })),
        edit::<NetworkPolicy>(
            "customer-isolation",
            json!({ "spec": { "policyTypes": ["Ingress"] } }),
        ),
        edit::<NetworkPolicy>("customer-isolation", labels(managed, Value::Null)),
        edit::<ServiceAccount>(GATEWAY, json!({ "automountServiceAccountToken": true })),
        edit::<ServiceAccount>(GATEWAY, labels(tenant, json!("c-somebody"))),
        edit::<ConfigMap>(WORKSPACE, json!({ "data": { "SOUL.md": "You are a pirate." } })),
        edit::<ConfigMap>(WORKSPACE, json!({ "data": { "SOUL.md": null } })),
        edit::<ConfigMap>(WORKSPACE, json!({ "data": null })),
        edit::<ConfigMap>(WORKSPACE, labels(tenant, Value::Null)),
        edit::<Secret>("openclaw-config", json!({ "data": { "platform-token": "bWluZQ==" } })),
        edit::<Secret>("openclaw-config", json!({ "data": { "telegram-number": null } })),
        edit::<Secret>("openclaw-config", labels(tenant, json!("c-somebody"))),
        edit::<PersistentVolumeClaim>(CLAIM, labels(tenant, json!("c-somebody"))),
        edit::<PersistentVolumeClaim>(CLAIM, labels(managed, Value::Null)),
        edit::<Deployment>(GATEWAY, json!({ "spec": { "replicas": 2 } })),
        edit::<Deployment>(GATEWAY, json!({ "spec": { "strategy": { "type": "RollingUpdate" } } })),
        edit::<Deployment>(GATEWAY, pod(json!({ "automountServiceAccountToken": true }))),
        edit::<Deployment>(GATEWAY, pod(json!({ "runtimeClassName": null }))),
        edit::<Deployment>(GATEWAY, container(json!({ "env": home }))),
        edit::<Deployment>(GATEWAY, container(json!({ "image": "registry.example.org/other" }))),
        edit::<Deployment>(
            GATEWAY,
            container(json!({ "securityContext": { "readOnlyRootFilesystem": false } })),
        ),
        edit::<Deployment>(GATEWAY, labels(tenant, Value::Null)),
    ];
    let forgotten = json!({ "metadata": { "managedFields": [{}] } });
    let names: Vec<(ApiResource, String)> =
        all.iter().map(|it| (it.kind.clone(), it.name.clone())).collect();
    for (kind, name) in names {
        if !all.iter().any(|it| it.kind == kind && it.patch == forgotten) {
            all.push(Edit { kind, name, patch: forgotten.clone() });
        }
    }
    all
}

#[tokio::test]
async fn what_somebody_changes_of_ours_comes_back_and_what_is_theirs_stays() {
    let mut stack = Stack::start(setup()).await.unwrap();
    let id = running(&stack, "c-7f3k2m9q", "starter").await;
    let other = running(&stack, "c-8g4m3n0r", "starter").await;
    quiet(&stack).await;

    let all = edits(&id);
    for edit in &all {
        comes_back(&stack, &id, edit).await;
    }
    the_tenant_comes_back(&stack, &id).await;
    phase(&stack, &id, Phase::Ready).await;
    for edit in &all[all.len() - 9..] {
        deleted_comes_back(&stack, &id, edit).await;
    }
    theirs_stays(&stack, &id).await;
    strays_are_pruned(&stack, &id).await;
    a_restart_sees_it(&mut stack, &id).await;
    the_namespace_comes_back(&stack, &id).await;
    assert_eq!(pods(&stack.client().unwrap(), &other).await.len(), 1);
}

/// Makes an object with our labels.
async fn create<K: Resource<DynamicType = ()>>(stack: &Stack, id: &TenantId, mut object: Value) {
    object["apiVersion"] = json!(K::api_version(&()));
    object["kind"] = json!(K::kind(&()));
    object["metadata"]["labels"] =
        json!({ "openclaw.cloud/tenant": id, "app.kubernetes.io/managed-by": "openclaw-cloud" });
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let objects = api(stack, id, &kind::<K>());
    objects.create(&PostParams::default(), &object).await.unwrap();
}

async fn the_tenant_comes_back(stack: &Stack, id: &TenantId) {
    let name = id.as_str();
    let metadata = |fields: Value| json!({ "metadata": fields });
    let annotations = |value: Value| metadata(json!({ "annotations": value }));
    for patch in [
        json!({ "spec": { "tier": "pro" } }),
        json!({ "spec": { "state": "suspended" } }),
        json!({ "spec": { "hold": { "reason": "by hand" } } }),
        json!({ "spec": { "thinking": "low" } }),
        json!({ "spec": { "connections": ["google"] } }),
        json!({ "spec": { "state": "deleted" } }),
        annotations(json!({ "openclaw.cloud/commit": null })),
        annotations(json!({ "openclaw.cloud/commit": "0123" })),
        metadata(json!({ "finalizers": null })),
        metadata(json!({ "managedFields": [{}] })),
    ] {
        if patch.pointer("/spec/state") == Some(&json!("deleted")) {
            ended_by_hand(stack, id, &patch).await;
        } else {
            comes_back(stack, id, &edit::<Tenant>(name, patch)).await;
        }
    }
    let tenants: Api<Tenant> = Api::all(stack.client().unwrap());
    let status = async || tenants.get(name).await.unwrap().status.unwrap();
    let before = status().await;
    let patch = json!({ "status": { "phase": "Suspended", "image": null } });
    tenants.patch_status(name, &by_hand(), &Patch::Merge(patch)).await.unwrap();
    wait(stack, "the status", async || Ok((status().await == before).then_some(()))).await;
}

/// That is final, so the object is made again; nothing of the tenant ends.
async fn ended_by_hand(stack: &Stack, id: &TenantId, patch: &Value) {
    let client = stack.client().unwrap();
    let tenants: Api<Tenant> = Api::all(client.clone());
    phase(stack, id, Phase::Ready).await;
    let before: Vec<_> = pods(&client, id).await.iter().map(uid).collect();
    tenants.patch(id.as_str(), &by_hand(), &Patch::Merge(patch)).await.unwrap();
    wait(stack, "the state to be what git says", async || {
        let now = tenant(&client, id).await;
        Ok(now.filter(|it| it.spec.runs() && it.metadata.deletion_timestamp.is_none()))
    })
    .await;
    phase(stack, id, Phase::Ready).await;
    let now: Vec<_> = pods(&client, id).await.iter().map(uid).collect();
    assert_eq!(now, before);
}

async fn deleted_comes_back(stack: &Stack, id: &TenantId, edit: &Edit) {
    let Edit { kind, name, .. } = edit;
    if kind.kind == "Namespace" {
        return;
    }
    phase(stack, id, Phase::Ready).await;
    let objects = api(stack, id, kind);
    let before = objects.get(name).await.unwrap();
    objects.delete(name, &DeleteParams::background()).await.unwrap();
    if kind.kind == "PersistentVolumeClaim" {
        // It is there for as long as a pod uses it, and keeps nothing else back meanwhile.
        let quota = json!({ "spec": { "hard": { "pods": "9" } } });
        comes_back(stack, id, &self::edit::<ResourceQuota>("tier-limits", quota)).await;
        let client = stack.client().unwrap();
        let pod = pods(&client, id).await.remove(0).name_any();
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(client, &id.namespace());
        pods.delete(&pod, &DeleteParams::default()).await.unwrap();
    }
    let waited = wait_for(BACK, "it to be back", async || {
        let now = objects.get_opt(name).await?;
        Ok(now.filter(|now| now.uid() != before.uid()))
    });
    let now = waited.await.unwrap_or_else(|error| panic!("{} {name}: {error}", kind.kind));
    if kind.kind != "PersistentVolumeClaim" {
        assert_eq!(contents(&now), contents(&before));
    }
}

/// What others add to ours.
async fn theirs_stays(stack: &Stack, id: &TenantId) {
    phase(stack, id, Phase::Ready).await;
    let metadata =
        json!({ "labels": { "example.org/x": "1" }, "annotations": { "example.org/y": "2" } });
    let maps = api(stack, id, &kind::<ConfigMap>());
    let namespaces = api(stack, id, &kind::<Namespace>());
    let before = quiet(stack).await.len();
    namespaces
        .patch(&id.namespace(), &by_hand(), &Patch::Merge(json!({ "metadata": metadata })))
        .await
        .unwrap();
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "NOTES.md": "theirs" },
    });
    let other = PatchParams::apply("somebody-else");
    maps.patch(WORKSPACE, &other, &Patch::Apply(&theirs)).await.unwrap();
    // The same value by two managers is no reason for a war.
    let scale = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "replicas": 1 },
    });
    let deployments = api(stack, id, &kind::<Deployment>());
    deployments.patch(GATEWAY, &other.clone().force(), &Patch::Apply(&scale)).await.unwrap();
    // A copy elsewhere is not ours, whatever it says of itself.
    let mut copy = maps.get(WORKSPACE).await.unwrap();
    copy.metadata = ObjectMeta {
        name: copy.metadata.name,
        labels: copy.metadata.labels,
        ..ObjectMeta::default()
    };
    copy.types = Some(TypeMeta::resource::<ConfigMap>());
    let elsewhere: Api<DynamicObject> =
        Api::namespaced_with(stack.client().unwrap(), "default", &kind::<ConfigMap>());
    elsewhere.create(&PostParams::default(), &copy).await.unwrap();
    copy.metadata.name = Some("another".to_owned());
    elsewhere.create(&PostParams::default(), &copy).await.unwrap();
    assert_eq!(quiet(stack).await[before..], [""; 0]);
    let mine = json!({ "metadata": { "labels": { "openclaw.cloud/tenant": null } }, "data": { "SOUL.md": "" } });
    maps.patch(WORKSPACE, &by_hand(), &Patch::Merge(mine)).await.unwrap();
    wait(stack, "ours to be back", async || {
        let map = maps.get(WORKSPACE).await?;
        Ok((map.data["data"]["SOUL.md"] != "" && map.labels().len() == 4).then_some(()))
    })
    .await;
    let map = maps.get(WORKSPACE).await.unwrap();
    assert_eq!(map.data["data"]["NOTES.md"], "theirs");
    assert_eq!((&*map.labels()["example.org/x"], &*map.annotations()["example.org/y"]), ("1", "2"));
    let namespace = namespaces.get(&id.namespace()).await.unwrap();
    assert_eq!(namespace.labels()["example.org/x"], "1");
    // Whoever takes a value from us does not keep it, however often.
    for round in 0..3 {
        let theirs = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": { "SOUL.md": format!("theirs {round}") },
        });
        maps.patch(WORKSPACE, &other.clone().force(), &Patch::Apply(&theirs)).await.unwrap();
        wait(stack, "ours to be back", async || {
            let soul = maps.get(WORKSPACE).await?.data["data"]["SOUL.md"].to_string();
            Ok((!soul.contains("theirs")).then_some(()))
        })
        .await;
    }
    let before = quiet(stack).await.len();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(writes(stack)[before..], [""; 0]);
    assert_eq!(elsewhere.get("another").await.unwrap().labels().len(), 4, "it was left alone");
}

/// What carries our labels and is not rendered.
pub(crate) async fn strays_are_pruned(stack: &Stack, id: &TenantId) {
    let named = || json!({ "metadata": { "name": "stray" } });
    let with_spec = |spec: Value| json!({ "metadata": { "name": "stray" }, "spec": spec });
    create::<ResourceQuota>(stack, id, with_spec(json!({ "hard": { "pods": "20" } }))).await;
    create::<LimitRange>(stack, id, with_spec(json!({ "limits": [] }))).await;
    create::<NetworkPolicy>(stack, id, with_spec(json!({ "podSelector": {}, "egress": [{}] })))
        .await;
    create::<ServiceAccount>(stack, id, named()).await;
    create::<ConfigMap>(stack, id, named()).await;
    create::<Secret>(stack, id, named()).await;
    let pods = json!({ "matchLabels": { "a": "b" } });
    let template = json!({
        "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "a", "image": "b" }] },
    });
    let spec = json!({ "replicas": 0, "selector": pods, "template": template });
    create::<Deployment>(stack, id, with_spec(spec)).await;
    for kind in [
        kind::<ResourceQuota>(),
        kind::<LimitRange>(),
        kind::<NetworkPolicy>(),
        kind::<ServiceAccount>(),
        kind::<ConfigMap>(),
        kind::<Secret>(),
        kind::<Deployment>(),
    ] {
        let objects = api(stack, id, &kind);
        let gone = wait_for(BACK, "it to be pruned", async || {
            Ok(objects.get_opt("stray").await?.is_none().then_some(()))
        });
        gone.await.unwrap_or_else(|error| panic!("{}: {error}", kind.kind));
    }
}

/// What happened while nobody looked.
async fn a_restart_sees_it(stack: &mut Stack, id: &TenantId) {
    phase(stack, id, Phase::Ready).await;
    let edits = [
        edit::<NetworkPolicy>("customer-isolation", json!({ "spec": { "ingress": [{}] } })),
        edit::<ConfigMap>(WORKSPACE, json!({ "data": { "SOUL.md": "You are a pirate." } })),
        edit::<Tenant>(id.as_str(), json!({ "spec": { "hold": { "reason": "by hand" } } })),
    ];
    let quota = api(stack, id, &kind::<ResourceQuota>());
    stack.services[0].kill().unwrap();
    let client = stack.client().unwrap();
    let pod = uid(&pods(&client, id).await[0]);
    let mut before = Vec::new();
    for Edit { kind, name, patch } in &edits {
        let objects = api(stack, id, kind);
        before.push(contents(&objects.get(name).await.unwrap()));
        objects.patch(name, &by_hand(), &Patch::Merge(patch)).await.unwrap();
    }
    quota.delete("tier-limits", &DeleteParams::default()).await.unwrap();
    create::<ConfigMap>(stack, id, json!({ "metadata": { "name": "stray" } })).await;
    let claim = json!({
        "metadata": { "name": "stray" },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "local-path",
            "resources": { "requests": { "storage": "1Gi" } },
        },
    });
    // The quota takes no second one while it is there.
    create::<PersistentVolumeClaim>(stack, id, claim).await;
    stack.restart(0).await.unwrap();
    wait(stack, "all of it to be back", async || {
        for (Edit { kind, name, .. }, before) in edits.iter().zip(&before) {
            if contents(&api(stack, id, kind).get(name).await?) != *before {
                return Ok(None);
            }
        }
        let stray = api(stack, id, &kind::<ConfigMap>()).get_opt("stray").await?;
        Ok(quota.get_opt("tier-limits").await?.filter(|_| stray.is_none()))
    })
    .await;
    phase(stack, id, Phase::Ready).await;
    assert_eq!(
        uid(&pods(&client, id).await[0]),
        pod,
        "an edit of the Tenant was never carried out"
    );
}

async fn the_namespace_comes_back(stack: &Stack, id: &TenantId) {
    let namespaces: Api<Namespace> = Api::all(stack.client().unwrap());
    let before = namespaces.get(&id.namespace()).await.unwrap();
    namespaces.delete(&id.namespace(), &DeleteParams::default()).await.unwrap();
    wait(stack, "the namespace to be another one", async || {
        let now = namespaces.get_opt(&id.namespace()).await?;
        Ok(now.filter(|now| now.uid() != before.uid()))
    })
    .await;
    phase(stack, id, Phase::Ready).await;
    wait(
        stack,
        "its pod",
        async || Ok((pods(&stack.client()?, id).await.len() == 1).then_some(())),
    )
    .await;
    for Edit { kind, name, .. } in edits(id) {
        assert!(
            api(stack, id, &kind).get_opt(&name).await.unwrap().is_some(),
            "{} {name}",
            kind.kind
        );
    }
}
