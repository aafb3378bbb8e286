//! The process: its parts, and how it ends.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Result;
use oc_platform_token::{KeyRing, LinkKey, Verifier};
use oc_service::{Lifecycle, Readiness, chain, secret};
use oc_store::{Store, migrations, updates};
use oc_streams::Wakes;
use parking_lot::Mutex;
use secrecy::ExposeSecret as _;
use tokio::{sync::Notify, time::sleep};
use tokio_util::task::TaskTracker;

use crate::{
    Config,
    courier::{Links, courier},
    desk::Desks,
    http::Faces,
    inbox::inbox,
    metrics::Metrics,
    notices::Teller,
    pace::Pace,
    polling,
    polls::Polls,
    relay::Relay,
    replays, server,
    texts::Texts,
    wakes::{Herald, Listener, look},
};

/// Tokens that are remembered: every tenant of a large fleet, twice.
const REMEMBERED_TOKENS: usize = 65_536;
const DATABASE_CONNECTIONS: u32 = 16;
/// Between two looks at the keys, and at what is old.
const KEYS: Duration = Duration::from_secs(5);
const UPKEEP: Duration = Duration::from_mins(1);
/// Between two signs of life.
const SIGN: Duration = Duration::from_secs(5);

/// Runs until the process has drained.
pub async fn run(config: Config, lifecycle: Lifecycle) -> Result<()> {
    let metrics = Arc::new(lifecycle.registry(Metrics::new));
    let office = config.office.open(DATABASE_CONNECTIONS)?;
    let redis = config.office.redis.url()?;
    let verifier = Arc::new(Verifier::new(config.keys()?, REMEMBERED_TOKENS));
    let link_key = secret(None, Some(&config.link_key_file), "OPENCLAW_LINK_KEY")?;
    let links = Links {
        key: LinkKey::new(link_key.expose_secret().as_bytes())?,
        root: config.upgrade_url.as_str().into(),
    };
    let internal_key =
        secret(None, Some(&config.internal_key_file), "OPENCLAW_CHANNELS_INTERNAL_KEY")?;
    let replica = rand::random();
    let (herald, bots) = (Herald::default(), Arc::<Notify>::default());
    let (polls, pace) = (Arc::<Polls>::default(), Arc::<Pace>::default());
    let desks = Arc::new(Desks::new(office.store.clone(), Arc::clone(&office.vault)));
    let (inbox, writer) = inbox(
        office.store.clone(),
        Arc::clone(&office.vault),
        office.clock,
        Arc::clone(&polls),
        herald.clone(),
    );
    let (courier, carrier) =
        courier(office.telegram.clone(), Arc::clone(&pace), Arc::clone(&metrics));
    let texts = Arc::new(Texts::read()?);
    let ops = config.ops.read()?;
    let listener = Listener {
        wakes: Wakes::listen(&redis)?,
        polls: Arc::clone(&polls),
        desks: Arc::clone(&desks),
        bots: Arc::clone(&bots),
        replica,
    };
    let polled = office.public_url.is_none();
    let relay = Arc::new(Relay {
        presence: office.bulletin.presence(),
        office,
        verifier: Arc::clone(&verifier),
        desks,
        polls,
        herald: herald.clone(),
        inbox,
        courier,
        texts: Arc::clone(&texts),
        links: links.clone(),
        pace,
        metrics,
        internal_key,
        faces: Mutex::new(Faces::default()),
        calls: TaskTracker::new(),
        draining: lifecycle.draining(),
    });
    let ready = lifecycle.readiness("postgres");
    migrate(&relay.office.store, &lifecycle).await;
    ready.set(true);
    lifecycle.spawn("inbox", writer.run());
    lifecycle.spawn("courier", carrier.run());
    lifecycle.spawn("listener", listener.run(lifecycle.clone()));
    let bulletin = relay.office.bulletin.clone();
    lifecycle.spawn("herald", herald.run(bulletin, replica, lifecycle.clone()));
    let (store, clock) = (relay.office.store.clone(), relay.office.clock);
    lifecycle.spawn("look", look(store, Arc::clone(&relay.polls), clock, lifecycle.clone()));
    lifecycle.spawn("keys", watch_keys(config.public_keys.clone(), verifier, lifecycle.clone()));
    lifecycle.spawn("upkeep", upkeep(Arc::clone(&relay), ready, lifecycle.clone()));
    lifecycle.spawn("replays", replays::run(Arc::clone(&relay), lifecycle.clone()));
    lifecycle.spawn("sign", sign(Arc::clone(&relay), lifecycle.clone()));
    let teller = Teller { relay: Arc::clone(&relay), texts, links, ops };
    lifecycle.spawn("notices", teller.run(lifecycle.clone()));
    if polled {
        lifecycle.spawn("polling", polling::run(Arc::clone(&relay), bots, lifecycle.clone()));
    }
    server::serve(config.listen, relay, lifecycle.draining()).await
}

/// Brings the schema up to date, however long Postgres is away.
async fn migrate(store: &Store, lifecycle: &Lifecycle) {
    let draining = lifecycle.draining();
    while !draining.is_cancelled() {
        match migrations::run(store).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(error = %chain(&error), "the schema waits for Postgres"),
        }
        let _ = draining.run_until_cancelled(sleep(Duration::from_secs(1))).await;
    }
}

/// Reads the public keys again whenever they have changed.
async fn watch_keys(path: PathBuf, verifier: Arc<Verifier>, lifecycle: Lifecycle) -> Result<()> {
    let draining = lifecycle.draining();
    let mut known = None;
    while draining.run_until_cancelled(sleep(KEYS)).await.is_some() {
        let read = std::fs::read_to_string(&path).ok();
        if read == known {
            continue;
        }
        if let Some(Ok(ring)) = read.as_deref().map(str::parse::<KeyRing>) {
            verifier.replace(ring);
        } else {
            tracing::error!(path = %path.display(), "keys stay as they were");
        }
        known = read;
    }
    Ok(())
}

/// Gives up what nobody fetches, and forgets what is old.
async fn upkeep(relay: Arc<Relay>, ready: Readiness, lifecycle: Lifecycle) -> Result<()> {
    let draining = lifecycle.draining();
    while !draining.is_cancelled() {
        let now = relay.office.clock.now();
        match updates::prune(&relay.office.store, now).await {
            Ok(pruned) => {
                ready.set(true);
                relay.metrics.expired.inc_by(pruned.expired);
                relay.metrics.released("lapsed", pruned.held);
            }
            Err(error) => {
                ready.set(!error.is_transient());
                tracing::warn!(error = %chain(&error), "what is old stays");
            }
        }
        let _ = draining.run_until_cancelled(sleep(UPKEEP)).await;
    }
    Ok(())
}

/// Says that somebody listens to agents: their silence counts only then.
async fn sign(relay: Arc<Relay>, lifecycle: Lifecycle) -> Result<()> {
    let draining = lifecycle.draining();
    while !draining.is_cancelled() {
        relay.metrics.polls.set(i64::try_from(relay.polls.count()).unwrap_or(i64::MAX));
        if let Err(error) = relay.presence.listen(relay.office.clock.unix_ms()).await {
            tracing::debug!(error = %chain(&error), "no sign of life");
        }
        let _ = draining.run_until_cancelled(sleep(SIGN)).await;
    }
    Ok(())
}
