//! The task that keeps Redis and this process of one mind: signs of life, expired leases, and
//! recovery after Redis was restarted. See `oc_streams::recovery` for the protocol.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Result;
use oc_service::{Lifecycle, Readiness, chain};
use oc_store::Store;
use oc_streams::{
    Connection, Epoch, Error, Ledger,
    recovery::{DURABLE, Session, Stage},
};
use tokio::{sync::watch, time::sleep};

use super::{Meter, recover::Recovery};
use crate::upstreams::Upstreams;

const BEAT: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(50);
/// Expired leases that are booked in one call.
const REAPED: u32 = 100;
/// Renewals in one call.
const RENEWED: usize = 500;

/// Whether the consumer may write to the ledger, and whether it does.
#[derive(Debug)]
pub(crate) struct Rest {
    /// It shall not.
    pub(crate) wanted: watch::Sender<bool>,
    /// It does not.
    pub(crate) resting: watch::Receiver<bool>,
}

/// What the task works with.
pub(crate) struct Keeper {
    pub(crate) proxy: String,
    pub(crate) ledger: Ledger,
    pub(crate) redis: Connection,
    pub(crate) store: Store,
    pub(crate) meter: Arc<Meter>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) rest: Rest,
    pub(crate) readiness: Readiness,
}

/// The Redis process that was met last.
struct Known {
    run_id: Arc<str>,
    /// Proxies that were alive, this one included.
    alive: u32,
}

impl Keeper {
    /// Runs until the process has drained and all is settled, or nobody waits any more.
    pub(crate) async fn run(mut self, lifecycle: Lifecycle) -> Result<()> {
        let mut known: Option<Known> = None;
        loop {
            self.meter.metrics.redis_unready.set(1);
            match self.meet(known.as_ref()).await {
                Ok(epoch) => {
                    let alive = known.as_ref().map_or(1, |known| known.alive);
                    let known = known.insert(Known { run_id: Arc::clone(epoch.run_id()), alive });
                    self.open_up(epoch);
                    let error = self.live(&lifecycle, known).await;
                    if self.over(&lifecycle) {
                        return self.leave().await;
                    }
                    self.shut(&error);
                }
                Err(error) => {
                    tracing::debug!(error = %chain(&*error), "Redis is not back");
                    sleep(RETRY).await;
                }
            }
            if self.over(&lifecycle) {
                return Ok(());
            }
        }
    }

    fn over(&self, lifecycle: &Lifecycle) -> bool {
        let ending = self.meter.ending.load(Ordering::Relaxed);
        ending || (lifecycle.draining().is_cancelled() && self.meter.outstanding() == 0)
    }

    fn open_up(&mut self, epoch: Epoch) {
        self.ledger.publish(Some(epoch));
        let _ = self.rest.wanted.send(false);
        self.meter.metrics.redis_unready.set(0);
        self.readiness.set(true);
    }

    fn shut(&mut self, error: &Error) {
        tracing::warn!(error = %chain(error), "Redis is lost, nothing is admitted");
        self.readiness.set(false);
        self.ledger.publish(None);
    }

    async fn leave(&self) -> Result<()> {
        if let Err(error) = self.redis.leave(&self.proxy).await {
            tracing::warn!(error = %chain(&error), "others will wait for this proxy");
        }
        Ok(())
    }

    /// Meets the Redis process that is there now; gives it once requests are admitted.
    async fn meet(&self, known: Option<&Known>) -> Result<Epoch> {
        let session = Session::open(self.redis.clone()).await?;
        let run_id = session.epoch().run_id();
        let recovery = Recovery {
            session: &session,
            before: known.map(|known| &*known.run_id),
            proxy: &self.proxy,
            alive: known.map_or(0, |known| known.alive),
            store: &self.store,
            meter: &self.meter,
        };
        if known.is_some_and(|known| known.run_id == *run_id) {
            recovery.find_unsettled().await?;
            return Ok(session.into_epoch());
        }
        tracing::info!(%run_id, "meeting Redis");
        recovery.join(Stage::Met).await?;
        let _ = self.rest.wanted.send(true);
        // Closed means that there is no consumer any more.
        let _ = self.rest.resting.clone().wait_for(|resting| *resting).await;
        let joined = recovery.join(Stage::Resting).await?;
        if known.is_some() {
            recovery.bring_settlements(&joined).await?;
            recovery.join(Stage::Settled).await?;
            recovery.bring_open().await?;
            // Those that ended meanwhile.
            recovery.bring_settlements(&joined).await?;
        } else {
            // A registration that Redis may still lose would be missed in a recovery.
            sleep(DURABLE).await;
        }
        recovery.join(Stage::Reopened).await?;
        Ok(session.into_epoch())
    }

    /// Signs of life until Redis is lost or the process is over.
    async fn live(&self, lifecycle: &Lifecycle, known: &mut Known) -> Error {
        loop {
            match self.beat().await {
                Ok(alive) => known.alive = alive,
                Err(error) if error.is_transient() => return error,
                Err(error) => {
                    tracing::error!(error = %chain(&error), "a script of ours failed");
                }
            }
            if self.over(lifecycle) {
                return Error::Restarted;
            }
            let draining = lifecycle.draining().is_cancelled();
            sleep(if draining { RETRY } else { BEAT }).await;
        }
    }

    /// A sign of life; says how many proxies are alive.
    async fn beat(&self) -> Result<u32, Error> {
        let renewals = self.meter.renewals();
        let mut chunks = renewals.chunks(RENEWED);
        let beat = self.redis.beat(&self.proxy, chunks.next().unwrap_or_default()).await?;
        for chunk in chunks {
            self.redis.beat(&self.proxy, chunk).await?;
        }
        self.meter.forget(&beat.in_ledger);
        self.meter.metrics.stream_lag.set(beat.lag.as_secs_f64());
        self.upstreams.share(beat.alive as usize);
        self.upstreams.observe(&self.meter.metrics);
        for reaped in self.redis.reap(REAPED).await? {
            let request = reaped.reservation.request;
            tracing::warn!(%request, "its proxy was lost, booked as estimated");
            self.meter.retain(reaped);
        }
        for one in self.meter.unsettled() {
            let place = self.redis.settle(one.request, &one.settlement).await?;
            self.meter.resolved(one, place);
        }
        Ok(beat.alive)
    }
}
