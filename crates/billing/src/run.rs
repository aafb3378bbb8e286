//! The process: its parts, and how it ends.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use jiff::SignedDuration;
use oc_platform_token::LinkKey;
use oc_service::{Clock, Lifecycle, Readiness, chain, secret};
use oc_store::{
    Store,
    events::{self, Filter, Status},
    migrations,
};
use oc_streams::Bulletin;
use secrecy::ExposeSecret as _;
use tokio::{net::TcpListener, sync::Notify, time::sleep};

use crate::{
    Config,
    committer::Committer,
    decide::Policy,
    http::{Shared, router},
    metrics::Metrics,
    review::Reviewer,
};

/// Reviews hold no connection while Stripe is asked.
const DATABASE_CONNECTIONS: u32 = 8;
const UPKEEP: Duration = Duration::from_secs(15);
/// Events are kept for so long: Stripe repeats one for three days.
const KEEP_EVENTS: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Events of a kind that are counted: more is said as so many.
const COUNTED: u32 = 10_000;

/// Runs until the process has drained.
pub async fn run(config: Config, lifecycle: Lifecycle) -> Result<()> {
    let clock = Clock::system();
    let metrics = Arc::new(lifecycle.registry(Metrics::new));
    let store = Store::connect(&config.database.url()?, DATABASE_CONNECTIONS)?;
    let bulletin = Bulletin::new(&config.redis.url()?)?;
    let (due, changed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let reviewer = Reviewer {
        store: store.clone(),
        stripe: config.stripe.client()?,
        bulletin: bulletin.clone(),
        clock,
        policy: Policy::default(),
        metrics: Arc::clone(&metrics),
        due,
        changed: Arc::clone(&changed),
    };
    let committer = Committer {
        store: store.clone(),
        bulletin,
        clock,
        metrics: Arc::clone(&metrics),
        changed,
        options: config.fleet.options(),
    };
    let link_key = secret(None, Some(&config.link_key_file), "OPENCLAW_LINK_KEY")?;
    let key_of = |file, name| secret(None, Some(file), name);
    let shared = Arc::new(Shared {
        reviewer: reviewer.clone(),
        webhook_secrets: config.webhook_secrets()?,
        internal_key: key_of(&config.internal_key_file, "OPENCLAW_BILLING_INTERNAL_KEY")?,
        admin_key: key_of(&config.admin_key_file, "OPENCLAW_BILLING_ADMIN_KEY")?,
        links: LinkKey::new(link_key.expose_secret().as_bytes())?,
        public_url: config.public_url.trim_end_matches('/').to_owned(),
    });
    let ready = lifecycle.readiness("postgres");
    migrate(&store, &lifecycle).await;
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.with_context(|| config.listen.to_string())?;
    ready.set(true);
    lifecycle.spawn("reviews", reviewer.run(lifecycle.clone()));
    lifecycle.spawn("committer", committer.run(lifecycle.clone()));
    lifecycle.spawn("upkeep", upkeep(store, metrics, clock, ready, lifecycle.clone()));
    tracing::info!(address = %listener.local_addr()?, "listening");
    let draining = lifecycle.draining();
    axum::serve(listener, router(shared))
        .with_graceful_shutdown(async move { draining.cancelled().await })
        .await?;
    Ok(())
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

/// Counts what waits, and forgets what nobody asks for.
async fn upkeep(
    store: Store,
    metrics: Arc<Metrics>,
    clock: Clock,
    ready: Readiness,
    lifecycle: Lifecycle,
) -> Result<()> {
    let draining = lifecycle.draining();
    while !draining.is_cancelled() {
        let done = async {
            for (status, gauge) in [
                (Status::Pending, &metrics.pending_events),
                (Status::Quarantined, &metrics.quarantined_events),
            ] {
                let filter = Filter { status: Some(status), ..Filter::default() };
                let events = events::list(&store, &filter, COUNTED).await?;
                gauge.set(i64::try_from(events.len()).unwrap_or(i64::MAX));
            }
            events::prune(&store, clock.now() - KEEP_EVENTS).await
        };
        ready.set(done.await.is_ok());
        let _ = draining.run_until_cancelled(sleep(UPKEEP)).await;
    }
    Ok(())
}
