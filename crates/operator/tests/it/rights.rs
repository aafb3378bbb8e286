//! The operator may do what it does, and nothing else.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use oc_domain::{TenantId, tenant::Phase};
use oc_sandbox::operator::{Stack, USER};
use oc_testkit::wait_for;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    drift::strays_are_pruned,
    support::{gone, phase, pods, running, setup, spec, tenant, uid, wait},
};

/// A pod that turned not ready is replaced after 40 s.
const LONG: Duration = Duration::from_secs(90);
/// What the kubelet says.
const NOTE: &str = "the disk is on another node";

/// API group, resource with its subresource, verb, whether in namespace `platform`.
type Right = (String, String, String, bool);

/// What the operator has asked for; of an apply that made something, both verbs that it takes.
fn used(stack: &Stack) -> BTreeSet<Right> {
    let mut used = BTreeSet::new();
    for it in stack.cluster.requests().unwrap().iter().filter(|it| it.user == USER) {
        let right = |verb: &str| {
            let here = it.namespace == "platform";
            (it.api_group.clone(), it.resource.clone(), verb.to_owned(), here)
        };
        used.insert(right(&it.verb));
        if it.verb == "patch" && it.status == 201 {
            used.insert(right("create"));
        }
    }
    used
}

/// What its `ClusterRole` and its `Role` say.
fn allowed(stack: &Stack) -> BTreeSet<Right> {
    let mut allowed = BTreeSet::new();
    for object in oc_manifests::platform(&stack.inventory) {
        let object = serde_json::to_value(&object).unwrap();
        let here = object["kind"] == "Role";
        let name = if here { "operator" } else { "openclaw:operator" };
        if object["metadata"]["name"] != name || object["rules"].is_null() {
            continue;
        }
        for rule in object["rules"].as_array().unwrap() {
            let list = |key: &str| {
                let words = rule[key].as_array().unwrap().iter();
                words.map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            for group in list("apiGroups") {
                for resource in list("resources") {
                    for verb in list("verbs") {
                        allowed.insert((group.clone(), resource.clone(), verb, here));
                    }
                }
            }
        }
    }
    allowed
}

#[tokio::test]
async fn each_right_that_it_has_is_used_and_none_is_missing() {
    let mut setup = setup();
    setup.replicas = 2;
    setup.cluster.audit_reads = true;
    setup.options = vec!["--rollout-soak".to_owned(), "1s".to_owned()];
    let mut stack = Stack::start(setup).await.unwrap();
    let one = running(&stack, "c-7f3k2m9q", "starter").await;
    let sick = running(&stack, "c-8g4m3n0r", "starter").await;
    let mounting = running(&stack, "c-9h5n4p1s", "starter").await;
    // Times in a pod's status are whole seconds, and it has to have been ready in an earlier one.
    sleep(Duration::from_millis(2_100)).await;
    let broken = fails(&stack, &sick, "not-ready").await;
    let unmounted = fails(&stack, &mounting, "mount").await;
    says_why(&stack, &mounting, &unmounted).await;

    strays_are_pruned(&stack, &one).await;
    stack.push(&[(&one, spec("team", "active"))]).await.unwrap();
    phase(&stack, &one, Phase::Ready).await;
    stack.succeed(&["revoke", one.as_str()]).await.unwrap();
    told_of_files(&stack, &one).await;
    wait_for(LONG, "the sick pod to be replaced", async || {
        let pods = pods(&stack.client()?, &sick).await;
        Ok(pods.iter().all(|pod| uid(pod) != uid(&broken)).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error}\n{}", logs(&stack)));
    wait_for(LONG, "the volume that does not come to be told of", async || {
        let tenant = tenant(&stack.client()?, &mounting).await.unwrap();
        let conditions = tenant.status.unwrap_or_default().conditions;
        Ok(conditions.iter().any(|it| it.message.contains(NOTE)).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error}\n{}", logs(&stack)));
    // It takes the pods of the sick ones too.
    another_image(&stack, &one).await;
    for state in ["suspended", "active", "suspended", "active"] {
        stack.push(&[(&one, spec("team", state))]).await.unwrap();
        phase(&stack, &one, if state == "active" { Phase::Ready } else { Phase::Suspended }).await;
    }
    hand_over(&mut stack, &one).await;
    stack.push(&[(&one, spec("team", "deleted"))]).await.unwrap();
    gone(&stack, &one).await;

    let (used, allowed) = (used(&stack), allowed(&stack));
    let unused: Vec<_> = allowed.difference(&used).collect();
    assert!(unused.is_empty(), "allowed and never done: {unused:#?}");
    // What was refused counts as well; a 403 to what is allowed is a quota's or an ending namespace's.
    let beyond: Vec<_> = used.difference(&allowed).collect();
    assert!(beyond.is_empty(), "done and not allowed: {beyond:#?}");
}

fn logs(stack: &Stack) -> String {
    [stack.log(0).unwrap(), stack.log(1).unwrap()].concat()
}

/// Has the tenant's pod fail from now on.
async fn fails(stack: &Stack, id: &TenantId, how: &str) -> Pod {
    let client = stack.client().unwrap();
    let pod = pods(&client, id).await.remove(0);
    let api: Api<Pod> = Api::namespaced(client, &id.namespace());
    let patch = json!({ "metadata": { "annotations": { "testkit.openclaw.cloud/fail": how } } });
    api.patch(&pod.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
}

/// Tells of the pod what a kubelet would.
async fn says_why(stack: &Stack, id: &TenantId, pod: &Pod) {
    let event = json!({
        "metadata": { "name": "mount" }, "reason": "FailedMount", "message": NOTE, "type": "Warning",
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod", "name": pod.name_any(), "namespace": id.namespace(),
            "uid": uid(pod),
        },
    });
    let event: Event = serde_json::from_value(event).unwrap();
    let events: Api<Event> = Api::namespaced(stack.client().unwrap(), &id.namespace());
    events.create(&PostParams::default(), &event).await.unwrap();
}

async fn told_of_files(stack: &Stack, id: &TenantId) {
    wait(stack, "the pod to be told of its token", async || {
        let pods = pods(&stack.client()?, id).await;
        Ok(pods
            .iter()
            .any(|pod| pod.annotations().contains_key("openclaw.cloud/files"))
            .then_some(()))
    })
    .await;
}

async fn another_image(stack: &Stack, id: &TenantId) {
    let text = stack.remote.git(&["show", "main:nodes/inventory.json"]).unwrap();
    let text = text.replace("\"0.1.0\"", "\"0.1.1\"");
    stack.push_files(&[("nodes/inventory.json".to_owned(), text)]).await.unwrap();
    wait(stack, "the other image", async || {
        let status = tenant(&stack.client()?, id).await.unwrap().status.unwrap_or_default();
        Ok(status.image.filter(|image| image.ends_with(":0.1.1")))
    })
    .await;
    phase(stack, id, Phase::Ready).await;
}

/// The one that leads ends, and the other one works.
async fn hand_over(stack: &mut Stack, id: &TenantId) {
    let leads = async |number: usize| {
        stack.services[number].metric("openclaw_operator_leader").await.unwrap() > 0.5
    };
    let leader = usize::from(!leads(0).await);
    assert!(stack.services[leader].drain().await.unwrap());
    stack.push(&[(id, spec("team", "suspended"))]).await.unwrap();
    phase(stack, id, Phase::Suspended).await;
}
