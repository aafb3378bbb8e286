//! The task that keeps Redis and this process of one mind: signs of life, expired leases, and
//! recovery after Redis was restarted. See `oc_streams::recovery` for the protocol.

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::Result;
use oc_domain::RequestId;
use oc_service::{Lifecycle, Readiness, chain};
use oc_store::Store;
use oc_streams::{
    Connection, Error, Ledger,
    recovery::{Brought, DURABLE, Joined, Session, Stage},
};
use tokio::{sync::watch, time::sleep};

use super::{Meter, Retained, Unsettled};
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

impl Keeper {
    /// Runs until the process has drained and all is settled, or nobody waits any more.
    pub(crate) async fn run(mut self, lifecycle: Lifecycle) -> Result<()> {
        let mut known: Option<String> = None;
        loop {
            self.meter.metrics.redis_unready.set(1);
            match self.meet(known.as_deref()).await {
                Ok(Some(run_id)) => {
                    let first = known.is_none();
                    known = Some(run_id);
                    if first {
                        // A registration that Redis may still lose would be missed in a recovery.
                        sleep(DURABLE).await;
                    }
                    self.open_up();
                    let error = self.live(&lifecycle).await;
                    if self.over(&lifecycle) {
                        return self.leave().await;
                    }
                    self.shut(&error);
                }
                Ok(None) => sleep(RETRY).await,
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
        let ending = self.meter.ending.load(std::sync::atomic::Ordering::Relaxed);
        ending || (lifecycle.draining().is_cancelled() && self.meter.outstanding() == 0)
    }

    fn open_up(&mut self) {
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

    /// Meets the Redis process that is there now; gives its run id once requests are admitted.
    async fn meet(&mut self, known: Option<&str>) -> Result<Option<String>> {
        let session = Session::open(self.redis.clone()).await?;
        let run_id = session.epoch().run_id().to_owned();
        if known == Some(&*run_id) {
            // The same process: nothing was lost but answers.
            self.resolve(&session, None).await?;
            self.ledger.publish(Some(session.into_epoch()));
            return Ok(Some(run_id));
        }
        tracing::info!(run_id, "meeting Redis");
        let _ = self.rest.wanted.send(true);
        // Closed means that there is no consumer any more.
        let _ = self.rest.resting.wait_for(|resting| *resting).await;
        let joined = self.join(&session, Stage::Resting, |joined| joined.resting).await?;
        if known.is_some() {
            self.bring_back(&session, &joined).await?;
        }
        self.join(&session, Stage::Replayed, |joined| joined.ready).await?;
        self.ledger.publish(Some(session.into_epoch()));
        Ok(Some(run_id))
    }

    async fn join(
        &self,
        session: &Session,
        stage: Stage,
        enough: impl Fn(&Joined) -> bool,
    ) -> Result<Joined> {
        loop {
            let joined = session.join(&self.proxy, stage).await?;
            if enough(&joined) {
                return Ok(joined);
            }
            sleep(RETRY).await;
        }
    }

    /// Step 2 of the protocol.
    async fn bring_back(&self, session: &Session, joined: &Joined) -> Result<()> {
        self.resolve(session, Some(joined)).await?;
        let mut lost: Vec<Retained> = self.meter.retained();
        lost.retain(|retained| joined.has_lost(&retained.stream_id));
        if joined.empty && !lost.is_empty() {
            // Redis starts from the ledger then: what is there counts already.
            let requests: Vec<RequestId> = lost.iter().map(|r| r.reservation.request).collect();
            let there = oc_store::usage::existing(&self.store, &requests).await?;
            lost.retain(|retained| !there.contains(&retained.reservation.request));
        }
        let (replayed, open) = (lost.len(), self.meter.all_open());
        for Retained { stream_id, reservation, settlement, .. } in lost {
            let place = loop {
                match session.replay(&reservation, &settlement).await? {
                    Brought::Back(place) => break place,
                    Brought::UsageMissing => self.load(session, reservation.period).await?,
                }
            };
            self.meter.moved(&stream_id, place);
        }
        for open in &open {
            let output = open.output.load(std::sync::atomic::Ordering::Relaxed);
            while session.reopen(&open.reservation, output).await? == Brought::UsageMissing {
                self.load(session, open.reservation.period).await?;
            }
        }
        tracing::info!(replayed, reopened = open.len(), empty = joined.empty, "brought back");
        Ok(())
    }

    async fn load(&self, session: &Session, period: i64) -> Result<()> {
        let used = oc_store::periods::used(&self.store, period).await?;
        Ok(session.put_usage(period, used.unwrap_or(0)).await?)
    }

    /// Settles what Redis had not confirmed: if it has it, or the ledger has, it counts; else it is
    /// brought.
    async fn resolve(&self, session: &Session, joined: Option<&Joined>) -> Result<()> {
        let unsettled = self.meter.take_unsettled();
        if unsettled.is_empty() {
            return Ok(());
        }
        let outcome = self.resolve_all(session, joined, &unsettled).await;
        match &outcome {
            Ok(rest) => self.meter.put_back(rest.iter().cloned()),
            Err(_) => self.meter.put_back(unsettled),
        }
        outcome.map(drop)
    }

    async fn resolve_all(
        &self,
        session: &Session,
        joined: Option<&Joined>,
        unsettled: &[Unsettled],
    ) -> Result<Vec<Unsettled>> {
        let requests: Vec<RequestId> = unsettled.iter().map(|one| one.request).collect();
        let oldest = unsettled.iter().map(|one| one.settlement.finished_ms).min().unwrap_or(0);
        // Clocks of two machines differ.
        let found = session.find(oldest.saturating_sub(10_000), &requests).await?;
        let in_ledger = if joined.is_some() {
            oc_store::usage::existing(&self.store, &requests).await?
        } else {
            HashSet::new()
        };
        let mut rest = Vec::new();
        for one in unsettled {
            let Unsettled { request, reservation, settlement } = one;
            match (found.get(request), reservation) {
                (Some(place), Some(reservation)) => {
                    self.meter.retain(place.clone(), reservation.clone(), settlement.clone());
                }
                (Some(_), None) => {}
                (None, _) if in_ledger.contains(request) => {}
                // Before the process is published: its own settlements come after.
                (None, Some(reservation)) if joined.is_some() => {
                    let place = loop {
                        match session.replay(reservation, settlement).await? {
                            Brought::Back(place) => break place,
                            Brought::UsageMissing => self.load(session, reservation.period).await?,
                        }
                    };
                    self.meter.retain(place, reservation.clone(), settlement.clone());
                }
                (None, _) => rest.push(one.clone()),
            }
        }
        Ok(rest)
    }

    /// Signs of life until Redis is lost or the process is over.
    async fn live(&mut self, lifecycle: &Lifecycle) -> Error {
        loop {
            if let Err(error) = self.beat().await {
                if error.is_transient() {
                    return error;
                }
                tracing::error!(error = %chain(&error), "a script of ours failed");
            }
            if self.over(lifecycle) {
                return Error::Restarted;
            }
            let draining = lifecycle.draining().is_cancelled();
            sleep(if draining { RETRY } else { BEAT }).await;
        }
    }

    async fn beat(&self) -> Result<(), Error> {
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
        for request in self.redis.reap(REAPED).await? {
            tracing::warn!(%request, "its proxy was lost, booked as estimated");
        }
        for one in self.meter.take_unsettled() {
            self.settle_again(one).await?;
        }
        Ok(())
    }

    async fn settle_again(&self, one: Unsettled) -> Result<(), Error> {
        match self.redis.settle(one.request, &one.settlement).await {
            Ok(Some(settled)) => {
                if let Some(reservation) = one.reservation {
                    self.meter.retain(settled.stream_id, reservation, one.settlement);
                }
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => {
                self.meter.put_back([one]);
                Err(error)
            }
        }
    }
}
