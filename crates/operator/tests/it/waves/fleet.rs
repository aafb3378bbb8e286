//! A fleet of some tenants, and what of it a rollout changes.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    time::Duration,
};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{ConfigMap, Namespace, Pod},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use oc_domain::{TenantId, inventory, tenant::Tenant};
use oc_manifests::{REVISION, TENANT};
use oc_sandbox::operator::{Setup, Stack, USER};
use oc_service::Clock;
use oc_store::{
    renderings,
    rollouts::{self, Rollout, Status},
};
use oc_testkit::{apply_strict, wait_for};
use serde_json::{Value, json};

use crate::support::{condition, execute, setup, spec, tail, uid, wait};

pub(super) const WORKLOAD: &str = "openclaw-gateway";
pub(super) const WORKSPACE: &str = "openclaw-workspace";
/// A rollout of forty tenants, on a machine that does other things too.
const LONG: Duration = Duration::from_secs(150);
/// A file that only [`Fleet::was_rendered_by_an_older_one`] knows.
const NOTE: &str = "OLDER.md";

/// Tenants of tier starter, and the operator.
pub(super) struct Fleet {
    pub(super) stack: Stack,
    pub(super) ids: Vec<TenantId>,
    options: Vec<String>,
}

/// What of a tenant matters here.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) id: TenantId,
    pub(super) revision: String,
    /// What it has been made with.
    pub(super) tier: String,
    pub(super) ready: bool,
    /// Its condition `Applied`.
    pub(super) applied: String,
    /// It does not answer since it got its revision.
    unready_by_update: bool,
}

/// The pod of a tenant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct One {
    pub(super) uid: String,
    /// The tag of its image.
    pub(super) image: String,
}

impl Fleet {
    /// So many tenants that are ready.
    pub(super) async fn start(size: usize, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let setup = Setup { options: options.clone(), ..setup() };
        let stack = Stack::start(setup).await.unwrap();
        let ids: Vec<TenantId> =
            (0..size).map(|number| format!("c-wave-{number:02}").parse().unwrap()).collect();
        let files: Vec<_> = ids.iter().map(|id| (id, spec("starter", "active"))).collect();
        stack.push(&files).await.unwrap();
        let fleet = Self { stack, ids, options };
        fleet.has("0.1.0").await;
        fleet
    }

    pub(super) fn client(&self) -> Client {
        self.stack.client().unwrap()
    }

    /// Pushes the inventory with another value there, in what concerns the cluster.
    pub(super) async fn push(&self, path: &str, value: &str) {
        let text = self.stack.remote.git(&["show", &format!("main:{}", inventory::PATH)]).unwrap();
        let mut file: Value = serde_json::from_str(&text).unwrap();
        *file.pointer_mut(&format!("/cluster/{}", path.replace('.', "/"))).unwrap() = json!(value);
        let files = [(inventory::PATH.to_owned(), file.to_string())];
        self.stack.push_files(&files).await.unwrap();
    }

    pub(super) async fn rollout(&self) -> Rollout {
        rollouts::current(&self.stack.store).await.unwrap().unwrap()
    }

    pub(super) async fn tenants(&self) -> Vec<Told> {
        let tenants: Api<Tenant> = Api::all(self.client());
        let told = |tenant: Tenant| {
            let status = tenant.status.clone().unwrap_or_default();
            let ready = status.conditions.iter().find(|it| it.type_ == "Ready");
            let since = ready.filter(|it| it.status == "False").map(|it| it.last_transition_time.0);
            let at = status.revised_at.as_ref().map(|at| at.0);
            Told {
                id: tenant.name_any().parse().unwrap(),
                tier: if status.observed_generation == tenant.metadata.generation {
                    tenant.spec.tier.to_string()
                } else {
                    String::new()
                },
                ready: ready.is_some_and(|it| it.status == "True"),
                applied: condition(&tenant, "Applied"),
                unready_by_update: since.is_some() && since >= at,
                revision: status.revision.unwrap_or_default(),
            }
        };
        tenants.list(&ListParams::default()).await.unwrap().items.into_iter().map(told).collect()
    }

    /// The revision that all have.
    pub(super) async fn revision(&self) -> String {
        let mut revisions: Vec<String> =
            self.tenants().await.into_iter().map(|it| it.revision).collect();
        revisions.dedup();
        assert_eq!(revisions.len(), 1, "{revisions:?}");
        revisions.remove(0)
    }

    /// What each namespace says of its revision.
    pub(super) async fn annotations(&self) -> Vec<String> {
        let namespaces: Api<Namespace> = Api::all(self.client());
        let ours = ListParams::default().labels(TENANT);
        let found = namespaces.list(&ours).await.unwrap();
        found.into_iter().map(|it| it.annotations()[REVISION].clone()).collect()
    }

    /// The pods that stay, by their tenants.
    pub(super) async fn pods(&self) -> BTreeMap<String, One> {
        let pods: Api<Pod> = Api::all(self.client());
        let mut found = pods.list(&ListParams::default().labels(TENANT)).await.unwrap().items;
        found.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        let one = |pod: Pod| {
            let image = pod.spec.as_ref().and_then(|spec| spec.containers[0].image.clone());
            (pod.labels()[TENANT].clone(), One { uid: uid(&pod), image: tag(image) })
        };
        found.into_iter().map(one).collect()
    }

    /// Who has, or had not long ago, a pod with that image.
    pub(super) async fn had(&self, image: &str) -> Vec<String> {
        let sets: Api<ReplicaSet> = Api::all(self.client());
        let mut found = sets.list(&ListParams::default().labels(TENANT)).await.unwrap().items;
        found.retain(|set| {
            let spec = set.spec.clone().and_then(|spec| spec.template?.spec);
            tag(spec.and_then(|spec| spec.containers[0].image.clone())) == image
        });
        found.iter().map(|set| set.labels()[TENANT].clone()).collect()
    }

    /// Waits until all are ready, with one pod of that image and nothing else.
    pub(super) async fn has(&self, image: &str) {
        let what = format!("all to have {image}");
        let waited = wait_for(LONG, &what, async || {
            let (pods, tenants) = (self.pods().await, self.tenants().await);
            let ready = tenants.iter().filter(|it| it.ready).count();
            let same = pods.values().filter(|pod| pod.image == image).count();
            let all = self.ids.len();
            Ok((ready == all && same == all && pods.len() == all).then_some(()))
        });
        if let Err(error) = waited.await {
            panic!("{error:#}\n{:#?}\n{}", self.tenants().await, tail(&self.stack));
        }
    }

    /// Waits until a rollout other than the last one has got so far; at most `parallel` are unready
    /// by it at once, and nobody is updated before its wave. Gives what `rollout status` tells.
    pub(super) async fn until(&self, status: Status, parallel: usize) -> Value {
        let what = format!("the rollout to be {status}");
        let mut joined = None;
        let waited = wait_for(LONG, &what, async || {
            let tenants = self.tenants().await;
            let rollout = self.rollout().await;
            let has = |it: &&Told| it.revision == rollout.revision;
            let unready = tenants.iter().filter(has).filter(|it| it.unready_by_update).count();
            assert!(unready <= parallel, "{unready} at once: {tenants:#?}");
            if rollout.status == Status::Running && rollout.wave < 3 {
                let share = [1, 10, 50][rollout.wave as usize];
                let updated = tenants.iter().filter(has).count();
                let most = (self.ids.len() * share).div_ceil(100);
                // In a pause some have joined by themselves.
                let joined = *joined.get_or_insert(updated);
                assert!(
                    updated <= most + joined,
                    "{updated} in wave {}: {tenants:#?}\n{}",
                    rollout.wave,
                    tail(&self.stack)
                );
            }
            Ok((rollout.status == status && self.is_of_git(&rollout)).then_some(()))
        });
        if let Err(error) = waited.await {
            let rollout = self.rollout().await;
            panic!("{error:#}\n{rollout:#?}\n{:#?}\n{}", self.tenants().await, tail(&self.stack));
        }
        self.status().await
    }

    /// Whether the operator has read what git says now, and the rollout is of that.
    fn is_of_git(&self, rollout: &Rollout) -> bool {
        let tip = self.stack.remote.git(&["rev-parse", "main"]).unwrap();
        let log = self.stack.log(0).unwrap();
        let newest = |what: &str| log.lines().rev().find(|line| line.contains(what));
        newest("the fleet repository is read").is_some_and(|line| line.contains(&tip))
            && newest("an inventory is read").is_some_and(|line| line.contains(&rollout.revision))
    }

    /// Waits until nobody has been unready for two seconds.
    pub(super) async fn settled(&self) {
        let mut quiet = 0;
        wait(&self.stack, "all to be ready", async || {
            let all = self.tenants().await.iter().all(|it| it.ready);
            quiet = if all { quiet + 1 } else { 0 };
            tokio::time::sleep(Duration::from_millis(250)).await;
            Ok((quiet > 8).then_some(()))
        })
        .await;
    }

    /// Kills the operator and starts it again, until it leads.
    pub(super) async fn crash(&mut self) {
        self.stack.services[0].kill().unwrap();
        self.restart().await;
    }

    /// Starts the operator in the place of one that was killed, until it leads.
    pub(super) async fn restart(&mut self) {
        self.stack.restart(0).await.unwrap();
        wait(&self.stack, "the operator to lead", async || {
            let leads = self.stack.services[0].metric("openclaw_operator_leader").await?;
            Ok((leads > 0.5).then_some(()))
        })
        .await;
    }

    /// Waits until everyone was looked at since the operator began, and nothing is left to do.
    pub(super) async fn is_steady(&self) {
        let looks = r#"openclaw_operator_reconciles_total{outcome="ok"}"#;
        let everyone = u32::try_from(self.ids.len()).unwrap();
        wait(&self.stack, "everyone to be looked at", async || {
            let looks = self.stack.services[0].metric(looks).await?;
            Ok((looks >= f64::from(everyone)).then_some(()))
        })
        .await;
        self.settled().await;
    }

    /// What the operator has written, as lines.
    pub(super) fn writes(&self) -> Vec<String> {
        let writes = self.stack.cluster.writes().unwrap();
        writes.iter().filter(|it| it.user == USER).map(|it| format!("{it:?}")).collect()
    }

    /// Does a verb of rollouts, which must succeed.
    pub(super) async fn verb(&self, verb: &str) {
        self.stack.succeed(&["rollout", verb]).await.unwrap();
    }

    /// What `rollout status` tells.
    pub(super) async fn status(&self) -> Value {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_oc-operator"));
        command.args(["rollout", "status", "--json", "--database-url", &self.stack.database]);
        command.args(&self.options).env("KUBECONFIG", self.stack.cluster.kubeconfig());
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Makes the past another one, while no operator runs: all have what an older renderer made,
    /// which is the same but for its name and one more file, and the newer one has paused.
    pub(super) async fn was_rendered_by_an_older_one(&self, older: &str) {
        let (store, newer) = (&self.stack.store, self.revision().await);
        let now = Clock::system().now();
        let tenants: Api<Tenant> = Api::all(self.client());
        for id in &self.ids {
            let mut kept = renderings::get(store, id, &newer).await.unwrap().unwrap();
            kept.objects = aged(&kept.objects, older);
            kept.digest = "0".repeat(16);
            kept.revision = older.to_owned();
            renderings::remove(store, id).await.unwrap();
            renderings::put(store, &kept, now).await.unwrap();
            let status = Patch::Merge(json!({ "status": { "revision": older } }));
            tenants.patch_status(id.as_str(), &PatchParams::default(), &status).await.unwrap();
        }
        let sql = format!("update rollouts set revision = '{older}' where revision = '{newer}'");
        execute(&self.stack, &sql).await;
        let begun = rollouts::begin(store, &newer, Some(older), now).await.unwrap();
        let (from, to) = ((Status::Running, 0), (Status::Paused, 0));
        assert!(rollouts::advance(store, begun.id, from, to, None, now).await.unwrap());
    }

    /// Has the API refuse Deployments with that image from now on.
    pub(super) async fn refuse(&self, image: &str) {
        let api = "admissionregistration.k8s.io/v1";
        let policy = json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": { "name": "no" },
            "spec": {
                "matchConstraints": { "resourceRules": [{
                    "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"],
                    "operations": ["CREATE", "UPDATE"],
                }] },
                "validations": [{
                    "expression": format!(
                        "object.spec.template.spec.containers.all(it, !it.image.endsWith(':{image}'))"
                    ),
                }],
            },
        });
        let binding = json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": "no" },
            "spec": { "policyName": "no", "validationActions": ["Deny"] },
        });
        apply_strict(&self.client(), &[policy, binding], "test").await.unwrap().clean().unwrap();
        // It holds a moment later.
        let deployments: Api<Deployment> = Api::namespaced(self.client(), &self.ids[0].namespace());
        let containers = json!([{ "name": WORKLOAD, "image": format!("x:{image}") }]);
        let patch = json!({ "spec": { "template": { "spec": { "containers": containers } } } });
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        wait(&self.stack, "the policy to hold", async || {
            let tried = deployments.patch(WORKLOAD, &params, &Patch::Strategic(&patch)).await;
            Ok(tried.is_err().then_some(()))
        })
        .await;
    }

    /// How many have the older renderer's file.
    pub(super) async fn older_notes(&self) -> usize {
        let maps: Api<ConfigMap> = Api::all(self.client());
        let found = maps.list(&ListParams::default().labels(TENANT)).await.unwrap();
        found.iter().filter(|it| it.data.iter().any(|data| data.contains_key(NOTE))).count()
    }
}

fn tag(image: Option<String>) -> String {
    image.and_then(|image| Some(image.rsplit_once(':')?.1.to_owned())).unwrap_or_default()
}

/// A rendering as an older renderer would have made it.
fn aged(objects: &[u8], revision: &str) -> Vec<u8> {
    let mut json = Vec::new();
    DeflateDecoder::new(objects).read_to_end(&mut json).unwrap();
    let mut objects: Vec<Value> = serde_json::from_slice(&json).unwrap();
    for object in &mut objects {
        match object["kind"].as_str().unwrap() {
            "Namespace" => object["metadata"]["annotations"][REVISION] = json!(revision),
            "ConfigMap" => object["data"][NOTE] = json!("It was so.\n"),
            _ => {}
        }
    }
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&serde_json::to_vec(&objects).unwrap()).unwrap();
    encoder.finish().unwrap()
}
