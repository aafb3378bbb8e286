//! Moves usage events from Redis to the ledger.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use oc_domain::usage::{Outcome, UsageEvent};
use oc_service::{Clock, Lifecycle, chain};
use oc_store::{Store, usage};
use oc_streams::{Delivered, Error, Events};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::Meter;
use crate::upstreams::Upstreams;

const BATCH: usize = 1_000;
/// Events that another consumer has had for so long are taken over.
const ABANDONED: Duration = Duration::from_secs(15);
const EVERY: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(500);
/// A fuller batch costs Postgres less than two.
const GATHER: Duration = Duration::from_millis(100);

pub(crate) struct Consumer {
    pub(crate) events: Events,
    pub(crate) store: Store,
    pub(crate) meter: Arc<Meter>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) clock: Clock,
    /// Whether it shall rest, and whether it does.
    pub(crate) rest: (watch::Receiver<bool>, watch::Sender<bool>),
}

impl Consumer {
    /// Runs until the process has drained and its events are in the ledger.
    pub(crate) async fn run(mut self, lifecycle: Lifecycle) -> Result<()> {
        let mut reclaimed = Instant::now();
        let mut backlog = true;
        loop {
            self.pause().await;
            let work = async {
                let mut moved = 0;
                if backlog {
                    // What this consumer had when it was killed, or when Postgres was away.
                    let events = self.events.unacknowledged(BATCH).await?;
                    backlog = !events.is_empty();
                    moved += self.record(events).await?;
                }
                if reclaimed.elapsed() > EVERY {
                    reclaimed = Instant::now();
                    let events = self.events.reclaim(ABANDONED, BATCH).await?;
                    moved += self.record(events).await?;
                    self.events.forget_consumers(Duration::from_hours(1)).await?;
                }
                let events = self.events.read(BATCH).await?;
                let few = events.len() < BATCH / 4;
                moved += self.record(events).await?;
                if few && moved > 0 && !lifecycle.draining().is_cancelled() {
                    sleep(GATHER).await;
                }
                anyhow::Ok(moved)
            };
            let moved = work.await;
            let over = lifecycle.draining().is_cancelled() && self.meter.outstanding() == 0;
            match moved {
                Ok(0) if over => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    backlog = true;
                    // Redis is the keeper's to tell of; while it is away this says nothing new.
                    let redis = error.downcast_ref::<Error>().is_some_and(Error::is_transient);
                    if !redis {
                        tracing::warn!(error = %chain(&*error), "usage waits for the ledger");
                    }
                    if self.meter.ending.load(std::sync::atomic::Ordering::Relaxed) {
                        return Ok(());
                    }
                    // Whoever waits for it to rest does not wait for this.
                    let _ = timeout(PAUSE, self.rest.0.wait_for(|wanted| *wanted)).await;
                }
            }
        }
    }

    /// Rests for as long as it shall.
    async fn pause(&mut self) {
        let (wanted, resting) = &mut self.rest;
        if *wanted.borrow() {
            let _ = resting.send(true);
            let _ = wanted.wait_for(|wanted| !wanted).await;
            let _ = resting.send(false);
        }
    }

    /// Records a batch, then acknowledges it.
    async fn record(&mut self, delivered: Vec<Delivered>) -> Result<usize> {
        if delivered.is_empty() {
            return Ok(0);
        }
        let ids: Vec<String> = delivered.iter().map(|one| one.stream_id.clone()).collect();
        let events: Vec<usage::Delivered> = delivered
            .into_iter()
            .map(|Delivered { stream_id, event }| {
                let event = match event {
                    Ok(event) => Ok(self.priced(event)),
                    Err((payload, error)) => Err(usage::Unreadable { payload, error }),
                };
                usage::Delivered { stream_id, event }
            })
            .collect();
        let settled = usage::record_or_quarantine(&self.store, &events).await?;
        for warning in &settled.recorded.warnings {
            self.meter.metrics.quota_warning(u32::from(warning.percent));
        }
        if settled.quarantined > 0 {
            tracing::error!(events = settled.quarantined, "usage events are not valid");
            self.meter.metrics.quarantined.inc_by(settled.quarantined as u64);
        }
        self.events.acknowledge(&ids).await?;
        Ok(ids.len())
    }

    /// A lease that passed was booked without a price: the first provider's is the best guess.
    fn priced(&self, mut event: UsageEvent) -> UsageEvent {
        if event.settlement.outcome == Outcome::Expired {
            let pool = self.upstreams.pool();
            let offer = pool.first_offer(event.model);
            event.settlement.cost_nano_usd =
                offer.map_or(0, |offer| offer.cost(event.settlement.tokens, self.clock.now()));
        }
        event
    }
}
