//! Operator, API server and etcd, killed at random while tenants live their lives.
//!
//! The size is the small one unless `OPENCLAW_CRASH` is `large`, see `scripts/crash-operator`.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use oc_domain::{
    Inventory, TenantId,
    catalog::{Locale, TierId},
    inventory,
};
use oc_sandbox::{
    Remote,
    operator::{Setup, Stack},
    signal,
};
use oc_store::{Store, tenants};
use oc_streams::Bulletin;
use rand::{RngExt as _, seq::SliceRandom as _};
use serde_json::{Value, json};
use strum::VariantArray as _;
use tokio::time::{Instant, sleep, timeout};

use self::{check::converged, witness::Witness};
use crate::support::{id, pay, setup, spec};

mod check;
mod witness;

/// How much of everything.
struct Size {
    /// How many live at once.
    tenants: usize,
    /// The longest time between two kills, in milliseconds.
    pause: u64,
    operator: usize,
    api_server: usize,
    etcd: usize,
    /// The API server and etcd at once.
    both: usize,
    stories: usize,
}

const SMALL: Size =
    Size { tenants: 8, pause: 3_000, operator: 2, api_server: 1, etcd: 1, both: 0, stories: 1 };
const LARGE: Size =
    Size { tenants: 40, pause: 6_000, operator: 24, api_server: 8, etcd: 8, both: 4, stories: 2 };

/// What is killed.
#[derive(Clone, Copy)]
enum Victim {
    Operator,
    ApiServer,
    Etcd,
    Both,
}

/// What git says, when all is over.
#[derive(Debug)]
struct Truth {
    /// Each tenant's spec.
    specs: BTreeMap<TenantId, Value>,
    inventory: Inventory,
}

/// Those who change what git says.
struct Author {
    remote: Remote,
    bulletin: Bulletin,
    store: Store,
    /// Whose file was not there yet; each has a row.
    fresh: Vec<TenantId>,
    /// How many tenants live at once.
    tenants: usize,
    truth: Truth,
    commits: usize,
    revoked: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_as_git_says_whatever_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "a test has no options")]
    let large = std::env::var("OPENCLAW_CRASH").is_ok_and(|size| size == "large");
    let size = if large { LARGE } else { SMALL };
    let first = rand::random::<bool>();
    for story in 0..size.stories {
        // Half of them with a second replica.
        Box::pin(tell(&size, 1 + usize::from(first ^ (story % 2 == 1)))).await;
    }
}

async fn tell(size: &Size, replicas: usize) {
    let began = Instant::now();
    let options = ["--rollout-soak", "1s"].map(str::to_owned).into();
    // All of them may be of a tier that takes a node of its own.
    let dedicated = u32::try_from(size.tenants).unwrap();
    let setup = Setup { replicas, dedicated, options, ..setup() };
    let mut stack = Stack::start(setup).await.unwrap();
    let witness = Witness::new(&stack);
    let mut author = Author::new(&stack, size.tenants).await;
    let (kills, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let killing = async {
        kill(&mut stack, size, &kills).await;
        over.store(true, Relaxed);
    };
    tokio::join!(killing, author.live(&over), witness.look(&over));
    let (truth, commits, revoked) = (author.truth, author.commits, author.revoked);
    let counts = converged(&stack, &truth, &witness).await;
    println!(
        "{replicas} replicas, {} kills, {commits} commits, {revoked} revocations; {counts}: {:.1} s",
        kills.into_inner(),
        began.elapsed().as_secs_f64(),
    );
}

/// One after the other, at moments that nobody knows.
async fn kill(stack: &mut Stack, size: &Size, kills: &AtomicUsize) {
    let mut victims = vec![Victim::Operator; size.operator];
    victims.extend(vec![Victim::ApiServer; size.api_server]);
    victims.extend(vec![Victim::Etcd; size.etcd]);
    victims.extend(vec![Victim::Both; size.both]);
    victims.shuffle(&mut rand::rng());
    for victim in victims {
        sleep(between(500, size.pause)).await;
        match victim {
            Victim::Operator => {
                let number = rand::rng().random_range(0..stack.services.len());
                signal(stack.services[number].pid(), "KILL").unwrap();
                stack.services[number].kill().unwrap();
                sleep(between(0, 1_000)).await;
                stack.restart(number).await.unwrap();
            }
            Victim::ApiServer => {
                stack.cluster.kill_api_server().unwrap();
                sleep(between(0, 3_000)).await;
                stack.cluster.restart_api_server().await.unwrap();
            }
            Victim::Etcd => {
                stack.cluster.kill_etcd().unwrap();
                sleep(between(0, 3_000)).await;
                stack.cluster.restart_etcd().await.unwrap();
            }
            Victim::Both => {
                stack.cluster.kill_etcd().unwrap();
                stack.cluster.kill_api_server().unwrap();
                sleep(between(0, 3_000)).await;
                stack.cluster.restart_etcd().await.unwrap();
                stack.cluster.restart_api_server().await.unwrap();
            }
        }
        kills.fetch_add(1, Relaxed);
    }
    // What was begun last is let go on for a moment.
    sleep(between(500, 3_000)).await;
}

impl Author {
    async fn new(stack: &Stack, tenants: usize) -> Self {
        let fresh: Vec<TenantId> =
            (0..3 * tenants).map(|number| id(&format!("t-{number}"))).collect();
        for id in &fresh {
            pay(stack, id).await;
        }
        Self {
            remote: Remote::at(stack.remote.path()),
            bulletin: Bulletin::new(&stack.redis_url.clone().into()).unwrap(),
            store: stack.store.clone(),
            fresh,
            tenants,
            truth: Truth { specs: BTreeMap::new(), inventory: stack.inventory.clone() },
            commits: 0,
            revoked: 0,
        }
    }

    /// Commits, one after the other, until it is over.
    async fn live(&mut self, over: &AtomicBool) {
        let files: Vec<(String, String)> =
            (0..self.tenants / 2).filter_map(|_| self.begin()).collect();
        self.push(&files).await;
        while !over.load(Relaxed) {
            sleep(between(50, 800)).await;
            match rand::rng().random_range(0..20) {
                0..2 => {
                    let file = self.roll_out();
                    self.push(&[file]).await;
                }
                2 => self.revoke().await,
                _ => self.write().await,
            }
        }
    }

    fn living(&self) -> Vec<TenantId> {
        let lives = |(_, spec): &(&TenantId, &Value)| spec["state"] != "deleted";
        let mut living: Vec<TenantId> =
            self.truth.specs.iter().filter(lives).map(|(id, _)| id.clone()).collect();
        living.shuffle(&mut rand::rng());
        living
    }

    /// A commit about up to three tenants.
    async fn write(&mut self) {
        let living = self.living();
        let many = rand::rng().random_range(1..=3);
        let mut files: Vec<(String, String)> =
            living.iter().take(many).map(|id| self.change(id)).collect();
        if living.len() < self.tenants && rand::rng().random_range(0..3) == 0 {
            files.extend(self.begin());
        }
        self.push(&files).await;
    }

    /// A new tenant.
    fn begin(&mut self) -> Option<(String, String)> {
        let id = self.fresh.pop()?;
        Some(self.file(&id, spec(&tier(), "active")))
    }

    /// Something new in a tenant's file.
    fn change(&mut self, id: &TenantId) -> (String, String) {
        let spec = changed(self.truth.specs[id].clone());
        self.file(id, spec)
    }

    fn file(&mut self, id: &TenantId, spec: Value) -> (String, String) {
        let file = json!({
            "apiVersion": "openclaw.cloud/v1alpha1", "kind": "Tenant",
            "metadata": { "name": id }, "spec": spec,
        });
        self.truth.specs.insert(id.clone(), spec);
        (id.path(), file.to_string())
    }

    /// Another image for everyone.
    fn roll_out(&mut self) -> (String, String) {
        self.truth.inventory.cluster.image.tag = format!("0.2.{}", self.commits);
        let text = serde_json::to_string(&self.truth.inventory).unwrap();
        (inventory::PATH.to_owned(), text)
    }

    async fn push(&mut self, files: &[(String, String)]) {
        self.remote.import(files).unwrap();
        self.commits += 1;
        let tip = self.remote.git(&["rev-parse", "main"]).unwrap();
        self.bulletin.fleet_moved(&tip).await.unwrap();
    }

    async fn revoke(&mut self) {
        let Some(id) = self.living().pop() else { return };
        tenants::raise_generation(&self.store, &id).await.unwrap().unwrap();
        self.bulletin.tenant_changed(&id).await.unwrap();
        self.revoked += 1;
    }
}

/// Another tier, another state, another language.
fn changed(mut spec: Value) -> Value {
    let runs = spec["state"] == "active" && spec.get("hold").is_none();
    match rand::rng().random_range(0..20) {
        0..6 => spec["tier"] = json!(tier()),
        6..10 if runs => spec["state"] = json!("suspended"),
        10..12 if runs => spec["hold"] = json!({ "reason": "a look at it" }),
        6..15 => {
            spec["state"] = json!("active");
            spec.as_object_mut().unwrap().remove("hold");
        }
        15..17 => spec["state"] = json!("deleted"),
        _ => {
            let locale = Locale::VARIANTS[rand::rng().random_range(0..Locale::VARIANTS.len())];
            spec["locale"] = json!(locale);
        }
    }
    spec
}

fn tier() -> String {
    TierId::VARIANTS[rand::rng().random_range(0..TierId::VARIANTS.len())].to_string()
}

fn between(least_ms: u64, most_ms: u64) -> Duration {
    Duration::from_millis(rand::rng().random_range(least_ms..most_ms))
}

/// What an API that may be away says within two seconds.
async fn ask<T>(question: impl Future<Output = Result<T, kube::Error>>) -> Option<T> {
    timeout(Duration::from_secs(2), question).await.ok()?.ok()
}
