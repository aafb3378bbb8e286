//! Agents that do not answer: each reason by its name, whoever has to know is told, and a pod that
//! no restart helps is replaced.

use std::time::Duration;

use k8s_openapi::api::{
    core::v1::{Event as PodEvent, Node, Pod, ResourceQuota},
    events::v1::Event,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use oc_domain::{
    TenantId,
    tenant::{Phase, Tenant},
};
use oc_sandbox::operator::Stack;
use oc_testkit::wait_for;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{
    condition, execute, gone, id, pay, phase, pods, setup, spec, tail, tenant, uid, wait,
};

/// What makes a simulated pod fail.
const FAIL: &str = "testkit.openclaw.cloud/fail";
/// Longer than all that a test here waits for by the clock.
const LONG: Duration = Duration::from_secs(100);

/// A tenant of a stack, with what its test asks for again and again.
struct Patient<'a> {
    stack: &'a Stack,
    client: Client,
    id: TenantId,
}

impl<'a> Patient<'a> {
    /// Tenants with an account, whose files are pushed at once; they need not be ready.
    async fn all<const N: usize>(stack: &'a Stack, names: [(&str, &str); N]) -> [Self; N] {
        let ids = names.map(|(name, _)| id(name));
        for id in &ids {
            pay(stack, id).await;
        }
        let files: Vec<(&TenantId, Value)> =
            ids.iter().zip(names).map(|(id, (_, tier))| (id, spec(tier, "active"))).collect();
        stack.push(&files).await.unwrap();
        ids.map(|id| Self { stack, client: stack.client().unwrap(), id })
    }

    async fn is_ready(&self) -> Tenant {
        phase(self.stack, &self.id, Phase::Ready).await
    }

    /// Waits until its condition `Ready` is that, in that phase.
    async fn is(&self, phase: Phase, ready: &str) -> Tenant {
        let what = format!("{} to be {phase}, {ready}", self.id);
        let mut last = String::new();
        let waited = wait_for(LONG, &what, async || {
            let tenant = tenant(&self.client, &self.id).await;
            let now = tenant.as_ref().and_then(|it| it.status.as_ref()?.phase);
            last = tenant.as_ref().map(|it| condition(it, "Ready")).unwrap_or_default();
            Ok(tenant.filter(|_| now == Some(phase) && last == ready))
        });
        match waited.await {
            Ok(tenant) => tenant,
            Err(error) => panic!("{error:#}, it is {last}\n{}", tail(self.stack)),
        }
    }

    /// Waits until it is sick of that, in that phase: the event and the metric say so too.
    async fn suffers(&self, phase: Phase, problem: &str) -> Tenant {
        let tenant = self.is(phase, &format!("False {problem}")).await;
        let metric = format!(r#"openclaw_operator_unhealthy{{problem="{problem}"}}"#);
        wait(self.stack, &metric, async || {
            let count = self.stack.services[0].metric(&metric).await?;
            Ok((count >= 1.0).then_some(()))
        })
        .await;
        self.event(&phase.to_string()).await;
        tenant
    }

    /// Waits until an event with that reason tells of it; gives its words.
    async fn event(&self, reason: &str) -> String {
        let events: Api<Event> = Api::default_namespaced(self.client.clone());
        let selector = format!("regarding.name={},reason={reason}", self.id);
        let params = ListParams::default().fields(&selector);
        wait(self.stack, &selector, async || {
            let found = events.list(&params).await?.items.pop();
            Ok(found.map(|event| event.note.unwrap_or_default()))
        })
        .await
    }

    /// Has its pod fail, or not any more.
    async fn fail(&self, how: Option<&str>) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.id.namespace());
        let patch = json!({ "metadata": { "annotations": { FAIL: how } } });
        let name = self.pod().await.name_any();
        pods.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// The pod that it has, once it has one.
    async fn pod(&self) -> Pod {
        wait(self.stack, &format!("{} to have a pod", self.id), async || {
            Ok(pods(&self.client, &self.id).await.pop())
        })
        .await
    }

    /// Waits until it has another pod.
    async fn another(&self, before: &Pod) -> Pod {
        let what = format!("{} to have another pod", self.id);
        let waited = wait_for(LONG, &what, async || {
            let mut pods = pods(&self.client, &self.id).await;
            pods.retain(|pod| uid(pod) != uid(before));
            Ok(pods.pop())
        });
        waited.await.unwrap_or_else(|error| panic!("{error:#}\n{}", tail(self.stack)))
    }

    /// What the outbox has of it, as lines.
    async fn notices(&self) -> Vec<String> {
        let sql = format!(
            "select kind || ' ' || (payload ->> 'reason') || ' ' || (payload ->> 'tenant') \
             from outbox where payload ->> 'tenant' = '{}' order by id",
            self.id
        );
        execute(self.stack, &sql).await.lines().map(str::to_owned).collect()
    }

    /// Waits until ops are told of that, and nobody of anything else.
    async fn is_told(&self, problem: &str) {
        let wanted = vec![format!("ops_agent_unhealthy {problem} {}", self.id)];
        wait(self.stack, &wanted[0], async || {
            let told = self.notices().await;
            assert!(told.is_empty() || told == wanted, "{told:?}");
            Ok((told == wanted).then_some(()))
        })
        .await;
    }
}

async fn metric(stack: &Stack, name: &str) -> f64 {
    stack.services[0].metric(name).await.unwrap()
}

/// 40 s after it stopped answering, once; the next time not before a minute has passed.
async fn is_replaced_within_the_budget(one: &Patient<'_>) {
    let first = one.pod().await;
    // Times in a pod are whole seconds: a pod that was never ready is not yet one that stopped.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let failed = Instant::now();
    one.fail(Some("not-ready")).await;
    one.suffers(Phase::Degraded, "NotReady").await;
    let second = one.another(&first).await;
    let replaced = Instant::now();
    one.is_ready().await;
    let took = failed.elapsed();
    assert!(took > Duration::from_secs(38), "after {took:?} it is replaced");
    assert!(took < Duration::from_mins(1), "after {took:?} it is ready again");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    one.fail(Some("not-ready")).await;
    one.suffers(Phase::Degraded, "NotReady").await;
    one.another(&second).await;
    let pause = replaced.elapsed();
    assert!(pause > Duration::from_secs(58), "replaced again after {pause:?}");
    one.is_ready().await;
    assert_eq!(one.notices().await, Vec::<String>::new(), "what mends itself is told to nobody");
}

/// The kubelet's are told to ops at once and left alone.
async fn is_told_and_left_alone(one: &Patient<'_>, how: &str, problem: &str) -> Pod {
    let pod = one.pod().await;
    one.fail(Some(how)).await;
    one.suffers(Phase::Degraded, problem).await;
    one.is_told(problem).await;
    pod
}

/// The image of a pod that ran cannot be had any more.
async fn says_that_its_image_does_not_come(one: &Patient<'_>) {
    let pod = one.pod().await;
    one.fail(Some("image-pull")).await;
    one.suffers(Phase::Degraded, "ImageNotPulled").await;
    one.fail(None).await;
    one.is_ready().await;
    assert_eq!(uid(&one.pod().await), uid(&pod));
}

/// A new pod waits for its volume; the kubelet's event says why.
async fn says_that_its_volume_does_not_come(one: &Patient<'_>) {
    let before = one.pod().await;
    let deployments: Api<k8s_openapi::api::apps::v1::Deployment> =
        Api::namespaced(one.client.clone(), &one.id.namespace());
    let template = |how: Option<&str>| json!({ "spec": { "template": { "metadata": { "annotations": { FAIL: how } } } } });
    let patch = async |how| {
        let patch = Patch::Merge(template(how));
        deployments.patch("openclaw-gateway", &PatchParams::default(), &patch).await.unwrap();
    };
    patch(Some("mount")).await;
    let pod = one.another(&before).await;
    let namespace = one.id.namespace();
    let event: PodEvent = serde_json::from_value(json!({
        "metadata": { "name": "mount", "namespace": namespace },
        "involvedObject": { "kind": "Pod", "name": pod.name_any(), "namespace": namespace, "uid": uid(&pod) },
        "reason": "FailedMount", "type": "Warning", "message": "no such disk: nvme9n9",
        "source": { "component": "kubelet" }, "lastTimestamp": pod.creation_timestamp(),
    }))
    .unwrap();
    let events: Api<PodEvent> = Api::namespaced(one.client.clone(), &namespace);
    events.create(&PostParams::default(), &event).await.unwrap();
    let tenant = one.suffers(Phase::Degraded, "VolumeNotMounted").await;
    let ready = tenant.status.unwrap().conditions.remove(0);
    assert!(ready.message.contains("nvme9n9"), "{}", ready.message);
    patch(None).await;
    one.another(&pod).await;
    one.is_ready().await;
}

/// A tenant that needs a node of its own, and there is none.
async fn says_that_no_node_takes_it(one: &Patient<'_>) {
    let tenant = one.suffers(Phase::Provisioning, "Unschedulable").await;
    let ready = tenant.status.unwrap().conditions.remove(0);
    assert!(ready.message.contains("nodes are available"), "{}", ready.message);
    cordon(&one.client, false).await;
    one.is_ready().await;
}

/// Whether the one dedicated node takes nothing new.
async fn cordon(client: &Client, closed: bool) {
    let nodes: Api<Node> = Api::all(client.clone());
    let patch = Patch::Merge(json!({ "spec": { "unschedulable": closed } }));
    nodes.patch("dedicated-1", &PatchParams::default(), &patch).await.unwrap();
}

/// Somebody's quota of no pods at all: ours cannot be put back by it.
async fn says_that_its_pod_is_refused(one: &Patient<'_>) {
    let namespace = one.id.namespace();
    let before = one.pod().await;
    let quotas: Api<ResourceQuota> = Api::namespaced(one.client.clone(), &namespace);
    let quota = json!({ "metadata": { "name": "foreign" }, "spec": { "hard": { "pods": "0" } } });
    let quota = serde_json::from_value(quota).unwrap();
    quotas.create(&PostParams::default(), &quota).await.unwrap();
    wait(one.stack, "the quota to be counted", async || {
        let used = quotas.get("foreign").await?.status.and_then(|status| status.used);
        Ok(used.filter(|used| !used.is_empty()).map(drop))
    })
    .await;
    let pods: Api<Pod> = Api::namespaced(one.client.clone(), &namespace);
    pods.delete(&before.name_any(), &DeleteParams::default()).await.unwrap();
    let tenant = one.suffers(Phase::Degraded, "PodRefused").await;
    let ready = tenant.status.unwrap().conditions.remove(0);
    assert!(ready.message.contains("foreign"), "{}", ready.message);
    quotas.delete("foreign", &DeleteParams::default()).await.unwrap();
    // The ReplicaSet's controller tries again ever more seldom.
    one.is(Phase::Ready, "True Ready").await;
}

#[tokio::test]
async fn a_sick_agent_is_told_by_its_reason_and_a_pod_that_stops_answering_is_replaced() {
    let mut stack = Stack::start(setup()).await.unwrap();
    let client = stack.client().unwrap();
    cordon(&client, true).await;
    let names = [
        ("c-s1ckread", "starter"),
        ("c-s1ckcras", "starter"),
        ("c-s1ckmem0", "team"),
        ("c-s1ckpvh0", "starter"),
        ("c-s1ckmnt0", "pro"),
        ("c-s1ckqvta", "starter"),
        ("c-s1cknode", "enterprise"),
    ];
    let told = {
        let [stops, crashes, grows, unpulled, unmounted, refused, homeless] =
            Patient::all(&stack, names).await;
        for one in [&stops, &crashes, &grows, &unpulled, &unmounted, &refused] {
            one.is_ready().await;
        }
        let ((), crashing, killed, ..) = tokio::join!(
            is_replaced_within_the_budget(&stops),
            is_told_and_left_alone(&crashes, "crash-loop", "CrashLoop"),
            is_told_and_left_alone(&grows, "out-of-memory", "OutOfMemory"),
            says_that_its_image_does_not_come(&unpulled),
            says_that_its_volume_does_not_come(&unmounted),
            says_that_its_pod_is_refused(&refused),
            says_that_no_node_takes_it(&homeless),
        );
        assert_eq!(uid(&crashes.pod().await), uid(&crashing), "the kubelet's is left alone");
        assert_eq!(uid(&grows.pod().await), uid(&killed), "the kubelet's is left alone");
        [crashes.id, grows.id]
    };
    assert!((metric(&stack, "openclaw_operator_replaced_pods_total").await - 2.0).abs() < 0.1);
    stack.services[0].kill().unwrap();
    stack.restart(0).await.unwrap();
    let [crashes, grows] = told.map(|id| Patient { stack: &stack, client: client.clone(), id });
    crashes.suffers(Phase::Degraded, "CrashLoop").await;
    grows.suffers(Phase::Degraded, "OutOfMemory").await;
    for (one, problem) in [(&crashes, "CrashLoop"), (&grows, "OutOfMemory")] {
        one.is_told(problem).await;
        one.fail(None).await;
        one.is_ready().await;
        let gauge = format!(r#"openclaw_operator_unhealthy{{problem="{problem}"}}"#);
        wait(&stack, "the metric to fall", async || {
            Ok((stack.services[0].metric(&gauge).await? < 0.5).then_some(()))
        })
        .await;
    }
    // Whoever ends while it is sick is sick no more.
    crashes.fail(Some("crash-loop")).await;
    crashes.suffers(Phase::Degraded, "CrashLoop").await;
    stack.push(&[(&crashes.id, spec("starter", "deleted"))]).await.unwrap();
    gone(&stack, &crashes.id).await;
    let gauge = r#"openclaw_operator_unhealthy{problem="CrashLoop"}"#;
    assert!(metric(&stack, gauge).await < 0.5);
}
