//! The process: it waits for the lead, leads, and gives the lead away.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use arc_swap::ArcSwapOption;
use jiff::SignedDuration;
use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use oc_domain::tenant::Phase;
use oc_gitops::Author;
use oc_platform_token::SigningKey;
use oc_service::{Clock, Lifecycle, chain, secret};
use oc_store::{Store, tenants};
use oc_streams::{Bulletin, Notices, Told};
use secrecy::ExposeSecret as _;
use tokio::{
    sync::{Notify, oneshot},
    task::JoinSet,
    time::sleep,
};

use crate::{
    Config,
    conductor::Conductor,
    git::Reader,
    lease::{Leadership, identity},
    metrics::{Metrics, forget},
    orders::Orders,
    queue::Queue,
    reconcile::Operator,
    watch::Watches,
    world::{MANAGER, World},
};

const DATABASE_CONNECTIONS: u32 = 8;
/// Between two looks for generations that were raised, for the case that nobody told.
const POLL: Duration = Duration::from_secs(30);
/// A row may become visible so long after its own time.
const OVERLAP: SignedDuration = SignedDuration::from_secs(10);
const COUNT: Duration = Duration::from_secs(5);

/// What lasts longer than one lead.
struct Process {
    config: Config,
    client: Client,
    store: Store,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// Runs until the process has drained.
pub async fn run(config: Config, lifecycle: Lifecycle) -> Result<()> {
    let clock = Clock::system();
    let metrics = Arc::new(lifecycle.registry(Metrics::new));
    let mut kubernetes = kube::Config::infer().await.context("the cluster's address")?;
    if kubernetes.cluster_url.host().is_some_and(|host| host.starts_with("127.")) {
        // Else HTTPS_PROXY would be asked for loopback too.
        kubernetes.proxy_url = None;
    }
    let client = Client::try_from(kubernetes)?;
    let store = Store::connect(&config.database.url()?, DATABASE_CONNECTIONS)?;
    let ready = lifecycle.readiness("running");
    let process = Process { config, client, store, clock, metrics };
    let draining = lifecycle.draining();
    // A replica that waits is ready to lead.
    ready.set(true);
    while !draining.is_cancelled() {
        let mut leadership = Leadership::new(
            process.client.clone(),
            &process.config.namespace,
            identity(clock.now()),
            clock,
        );
        if draining.run_until_cancelled(leadership.acquire()).await.is_none() {
            break;
        }
        process.metrics.leader.set(1);
        tracing::info!("leads");
        let lost = {
            let mut work = process.lead()?;
            tokio::select! {
                () = draining.cancelled() => false,
                () = leadership.keep() => true,
                ended = work.join_next() => {
                    tracing::error!(?ended, "a part ended");
                    false
                }
            }
            // Whatever is in hand is cut off: each step of it may be done twice.
        };
        process.metrics.leader.set(0);
        forget(&process.metrics);
        if !lost {
            leadership.release().await;
        }
    }
    Ok(())
}

impl Process {
    /// Begins everything that a leader does; it ends with what is returned.
    fn lead(&self) -> Result<JoinSet<()>> {
        let (world, queue) = (Arc::new(World::default()), Arc::new(Queue::default()));
        let fleetwide = Arc::new(ArcSwapOption::empty());
        let (orders, moved) = (Arc::new(Orders::default()), Arc::new(Notify::new()));
        let redis = self.config.redis.url()?;
        let key =
            secret(None, Some(&self.config.signing_key_file), "OPENCLAW_OPERATOR_SIGNING_KEY")?;
        let reporter = Reporter { controller: MANAGER.to_owned(), instance: None };
        let operator = Arc::new(Operator {
            client: self.client.clone(),
            world: Arc::clone(&world),
            queue: Arc::clone(&queue),
            store: self.store.clone(),
            bulletin: Bulletin::new(&redis)?,
            key: SigningKey::parse(key.expose_secret())?,
            fleetwide: Arc::clone(&fleetwide),
            orders: Arc::clone(&orders),
            metrics: Arc::clone(&self.metrics),
            clock: self.clock,
            recorder: Recorder::new(self.client.clone(), reporter),
        });
        let mut work = JoinSet::new();
        let (complete, listed) = oneshot::channel();
        let watches = Watches {
            client: self.client.clone(),
            world: Arc::clone(&world),
            queue: Arc::clone(&queue),
        };
        work.spawn(watches.run(complete));
        let author =
            Author { name: "OpenClaw operator".into(), email: "operator@openclaw.cloud".into() };
        let reader = Reader {
            options: self.config.fleet.options(author),
            world: Arc::clone(&world),
            queue: Arc::clone(&queue),
            fleetwide: Arc::clone(&fleetwide),
            metrics: Arc::clone(&self.metrics),
            moved: Arc::clone(&moved),
        };
        let conductor = Conductor {
            store: self.store.clone(),
            world: Arc::clone(&world),
            queue: Arc::clone(&queue),
            fleetwide,
            orders,
            policy: self.config.rollout.policy(),
            metrics: Arc::clone(&self.metrics),
            clock: self.clock,
        };
        let workers = self.config.workers.max(1);
        let store = self.store.clone();
        work.spawn(async move {
            // Nothing is decided before all that exists is known.
            if listed.await.is_err() {
                return;
            }
            conductor.load().await;
            let mut parts = JoinSet::new();
            parts.spawn(reader.run());
            parts.spawn(conductor.run());
            for _ in 0..workers {
                parts.spawn(Arc::clone(&operator).work());
            }
            parts.join_next().await;
        });
        work.spawn(listen(Notices::listen(&redis)?, moved, Arc::clone(&queue)));
        work.spawn(generations(store, self.clock, Arc::clone(&queue)));
        work.spawn(count(world, queue, Arc::clone(&self.metrics)));
        Ok(work)
    }
}

/// Looks at once at what somebody tells of.
async fn listen(mut notices: Notices, moved: Arc<Notify>, queue: Arc<Queue>) {
    loop {
        match notices.next().await {
            Told::Fleet(_) | Told::Connected => moved.notify_one(),
            Told::Tenant(id) => queue.add(&id),
        }
    }
}

/// Looks at tenants whose row has changed, for the case that nobody told.
async fn generations(store: Store, clock: Clock, queue: Arc<Queue>) {
    let mut since = clock.now();
    loop {
        sleep(POLL).await;
        match tenants::generations(&store, since - OVERLAP).await {
            Ok(rows) => {
                for (id, _, changed) in rows {
                    since = since.max(changed);
                    queue.add(&id);
                }
            }
            Err(error) => tracing::debug!(error = %chain(&error), "no rows"),
        }
    }
}

async fn count(world: Arc<World>, queue: Arc<Queue>, metrics: Arc<Metrics>) {
    loop {
        let mut phases: Vec<Phase> = Vec::new();
        world.each(|_, entry| {
            let status = entry.tenant.as_ref().and_then(|tenant| tenant.status.as_ref());
            phases.extend(status.and_then(|status| status.phase));
        });
        metrics.phases(|phase| {
            i64::try_from(phases.iter().filter(|it| **it == phase).count()).unwrap_or(i64::MAX)
        });
        metrics.queue_depth.set(i64::try_from(queue.depth()).unwrap_or(i64::MAX));
        sleep(COUNT).await;
    }
}
