//! The process: its parts, and how it ends.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use oc_platform_token::{KeyRing, LinkKey, Verifier};
use oc_service::{Clock, Lifecycle, chain, secret};
use oc_store::Store;
use oc_streams::{Events, Ledger};
use secrecy::ExposeSecret as _;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config,
    admit::Gatekeeper,
    handle::{Handler, Shared},
    meter::{Consumer, Keeper, Meter, Rest, Settler},
    metrics::Metrics,
    reconcile,
    request::Room,
    server::{self, Stop},
    upstream::client,
    upstreams::{Upstreams, watch as watch_file},
};

/// Tokens that are remembered: every tenant of a large fleet, twice.
const REMEMBERED_TOKENS: usize = 65_536;
/// Answers that are read on at once after their clients left.
const DRAINS: usize = 256;
const DATABASE_CONNECTIONS: u32 = 8;
/// What is kept back of the grace for settling what was cut.
const SETTLE: Duration = Duration::from_secs(3);

/// Runs until the process has drained.
pub async fn run(config: Config, lifecycle: Lifecycle) -> Result<()> {
    let clock = Clock::system();
    let metrics = Arc::new(lifecycle.registry(Metrics::new));
    let meter = Arc::new(Meter::new(Arc::clone(&metrics), clock));
    let upstreams = Arc::new(Upstreams::read(&config.upstreams)?);
    let verifier = Arc::new(Verifier::new(read_keys(&config.public_keys)?, REMEMBERED_TOKENS));
    let (database, redis) = (config.database.url()?, config.redis.url()?);
    let store = Store::connect(&database, DATABASE_CONNECTIONS)?;
    let ledger = Ledger::new(&redis, config.limits())?;

    let (wanted, wanted_seen) = watch::channel(true);
    let (resting, resting_seen) = watch::channel(false);
    let keeper = Keeper {
        proxy: config.name.clone(),
        redis: ledger.connection()?,
        ledger: ledger.clone(),
        store: store.clone(),
        meter: Arc::clone(&meter),
        upstreams: Arc::clone(&upstreams),
        rest: Rest { wanted, resting: resting_seen },
        readiness: lifecycle.readiness("redis"),
    };
    let consumer = Consumer {
        events: Events::new(&redis, &config.name)?,
        store: store.clone(),
        meter: Arc::clone(&meter),
        upstreams: Arc::clone(&upstreams),
        clock,
        rest: (wanted_seen, resting),
    };
    lifecycle.spawn("keeper", keeper.run(lifecycle.clone()));
    lifecycle.spawn("consumer", consumer.run(lifecycle.clone()));
    lifecycle.spawn("upstreams", Arc::clone(&upstreams).watch(lifecycle.clone()));
    lifecycle.spawn("keys", watch_keys(&config, &verifier, &lifecycle));
    let upkeep = reconcile::Upkeep {
        store: store.clone(),
        upstreams: Arc::clone(&upstreams),
        metrics,
        clock,
        retention_months: config.retention_months,
        every: config.upkeep,
        readiness: lifecycle.readiness("ledger"),
    };
    lifecycle.spawn("upkeep", upkeep.run(lifecycle.clone()));

    let link_key = secret(None, Some(&config.link_key_file), "OPENCLAW_LINK_KEY")?;
    let shared = Arc::new(Shared {
        verifier,
        upstreams,
        meter: Arc::clone(&meter),
        room: Room::default(),
        upgrade_url: config.upgrade_url.clone(),
        links: LinkKey::new(link_key.expose_secret().as_bytes())?,
        first_byte: config.first_byte,
        idle: config.idle,
        drains: Arc::new(Semaphore::new(DRAINS)),
    });
    let runtime = Handle::current();
    let handler = move || {
        let gatekeeper = Gatekeeper {
            redis: ledger.connection()?,
            store: store.clone(),
            runtime: runtime.clone(),
            meter: Arc::clone(&shared.meter),
        };
        let settler = Settler::new(gatekeeper.redis.clone(), Arc::clone(&shared.meter));
        Ok(Handler { shared: Arc::clone(&shared), gatekeeper, settler, client: client()? })
    };
    let threads = match config.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let stop = Stop { draining: lifecycle.draining(), cut: CancellationToken::new() };
    let cut = cut_at_grace(&meter, &lifecycle, &stop);
    lifecycle.spawn("cut", cut);
    let served = server::serve(config.listen, threads, stop.clone(), handler).await;
    stop.cut.cancel();
    served
}

/// Cuts what is still open shortly before the grace ends, so that it can be settled.
fn cut_at_grace(
    meter: &Arc<Meter>,
    lifecycle: &Lifecycle,
    stop: &Stop,
) -> impl Future<Output = Result<()>> + use<> {
    let (meter, stop) = (Arc::clone(meter), stop.clone());
    let grace = lifecycle.grace().saturating_sub(SETTLE);
    async move {
        stop.draining.cancelled().await;
        // Served to the end before that: there is nothing to cut.
        if stop.cut.run_until_cancelled(sleep(grace)).await.is_some() {
            tracing::warn!(open = meter.outstanding(), "the grace is over");
            meter.ending.store(true, Ordering::Relaxed);
            stop.cut.cancel();
        }
        Ok(())
    }
}

fn read_keys(path: &Path) -> Result<KeyRing> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.parse().with_context(|| path.display().to_string())
}

fn watch_keys(
    config: &Config,
    verifier: &Arc<Verifier>,
    lifecycle: &Lifecycle,
) -> impl Future<Output = Result<()>> + use<> {
    let (path, verifier) = (config.public_keys.clone(), Arc::clone(verifier));
    let reload = {
        let path = path.clone();
        move || match read_keys(&path) {
            Ok(ring) => verifier.replace(ring),
            Err(error) => tracing::error!(error = %chain(&*error), "keys stay as they were"),
        }
    };
    watch_file(path, lifecycle.clone(), reload)
}
