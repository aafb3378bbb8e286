//! One leads, whatever ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use oc_domain::{TenantId, tenant::Phase};
use oc_sandbox::operator::Stack;
use oc_testkit::wait_for;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::support::{SOON, phase, running, setup, spec, tail};

const METRIC: &str = "openclaw_operator_leader";

/// How many replicas said at one moment that they lead, at most, for as long as this lives.
struct Watch {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicUsize>,
    samples: Arc<AtomicUsize>,
}

impl Watch {
    fn begin(stack: &Stack) -> Self {
        let admins: Vec<String> = stack.services.iter().map(|it| it.admin.clone()).collect();
        let watch = Self { stop: Arc::default(), most: Arc::default(), samples: Arc::default() };
        let (stop, most) = (Arc::clone(&watch.stop), Arc::clone(&watch.most));
        let samples = Arc::clone(&watch.samples);
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move {
            while !stop.load(Ordering::Acquire) {
                let leaders = admins.iter().map(|admin| leads(admin));
                let leaders = futures::future::join_all(leaders).await;
                let count = leaders.into_iter().filter(|leads| *leads).count();
                most.fetch_max(count, Ordering::AcqRel);
                samples.fetch_add(1, Ordering::AcqRel);
                sleep(Duration::from_millis(20)).await;
            }
        });
        watch
    }

    fn end(&self) {
        self.stop.store(true, Ordering::Release);
        let (most, samples) =
            (self.most.load(Ordering::Acquire), self.samples.load(Ordering::Acquire));
        assert!(samples > 5, "{samples} samples");
        assert_eq!(most, 1, "of {samples} samples");
    }
}

async fn leads(admin: &str) -> bool {
    let asked = timeout(Duration::from_millis(200), async {
        reqwest::get(format!("{admin}/metrics")).await?.text().await
    });
    // One that hangs does not say anything.
    let Ok(Ok(text)) = asked.await else { return false };
    text.lines().any(|line| line.strip_prefix(METRIC).is_some_and(|value| value.trim() == "1"))
}

/// Which one leads.
async fn leader(stack: &Stack) -> usize {
    let found = wait_for(Duration::from_secs(30), "somebody to lead", async || {
        for (number, service) in stack.services.iter().enumerate() {
            if leads(&service.admin).await {
                return Ok(Some(number));
            }
        }
        Ok(None)
    });
    found.await.unwrap()
}

/// Deletes something of the tenant's, and waits until somebody has put it back.
async fn works(stack: &Stack, id: &TenantId, within: Duration) {
    let maps: Api<ConfigMap> = Api::namespaced(stack.client().unwrap(), &id.namespace());
    maps.delete("openclaw-workspace", &DeleteParams::default()).await.unwrap();
    let back = wait_for(within, "it to be put back", async || {
        Ok(maps.get_opt("openclaw-workspace").await?)
    });
    back.await.unwrap_or_else(|error| panic!("{error}\n{}", tail(stack)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_replica_takes_over_and_never_before_the_first_one_has_ended() {
    let mut setup = setup();
    setup.replicas = 2;
    let mut stack = Stack::start(setup).await.unwrap();
    let id = running(&stack, "c-7f3k2m9q", "starter").await;

    let first = leader(&stack).await;
    let watch = Watch::begin(&stack);
    sleep(Duration::from_secs(1)).await;
    let ends = oc_sandbox::signal(stack.services[first].pid(), "TERM");
    ends.unwrap();
    works(&stack, &id, Duration::from_secs(10)).await;
    watch.end();
    assert!(stack.services[first].drain().await.is_ok());
    stack.restart(first).await.unwrap();
    let second = leader(&stack).await;
    assert_ne!(first, second);

    let watch = Watch::begin(&stack);
    stack.services[second].kill().unwrap();
    works(&stack, &id, SOON).await;
    sleep(Duration::from_secs(1)).await;
    watch.end();
    stack.restart(second).await.unwrap();
    assert_eq!(leader(&stack).await, first);

    // One that hangs has to notice that it does not lead any more.
    let watch = Watch::begin(&stack);
    oc_sandbox::signal(stack.services[first].pid(), "STOP").unwrap();
    works(&stack, &id, SOON).await;
    watch.end();
    oc_sandbox::signal(stack.services[first].pid(), "CONT").unwrap();
    wait_for(Duration::from_secs(15), "it to have noticed", async || {
        Ok((!leads(&stack.services[first].admin).await).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(leader(&stack).await, second);

    away(&mut stack, &id).await;
}

/// The API server is away for ten seconds.
async fn away(stack: &mut Stack, id: &TenantId) {
    let watch = Watch::begin(stack);
    stack.cluster.kill_api_server().unwrap();
    stack.push(&[(id, spec("starter", "suspended"))]).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    stack.cluster.restart_api_server().await.unwrap();
    phase(stack, id, Phase::Suspended).await;
    works(stack, id, Duration::from_secs(15)).await;
    watch.end();
    let pids: Vec<u32> = stack.services.iter().map(oc_sandbox::Service::pid).collect();
    assert!(pids.iter().all(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists()));
    let maps: Api<ConfigMap> = Api::namespaced(stack.client().unwrap(), &id.namespace());
    let patch = json!({ "metadata": { "labels": { "openclaw.cloud/tenant": null } } });
    let name = "openclaw-workspace";
    maps.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    wait_for(Duration::from_secs(5), "its label", async || {
        Ok(maps.get(name).await?.metadata.labels.filter(|labels| labels.len() == 3))
    })
    .await
    .unwrap();
}
