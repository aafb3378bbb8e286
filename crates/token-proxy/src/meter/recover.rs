//! What this process brings back to a Redis that was restarted. See `oc_streams::recovery`.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::Ordering,
    time::Duration,
};

use anyhow::Result;
use oc_domain::{RequestId, usage::Settlement};
use oc_store::{Store, periods, usage};
use oc_streams::{
    Place, Reservation,
    recovery::{Brought, Joined, Session, Stage},
};
use tokio::time::sleep;

use super::{Meter, Unsettled};

const RETRY: Duration = Duration::from_millis(50);
/// What clocks of two machines differ by.
const SKEW_MS: u64 = 10_000;

/// One meeting.
pub(super) struct Recovery<'a> {
    pub(super) session: &'a Session,
    pub(super) proxy: &'a str,
    /// Proxies that were alive, as far as this one knew.
    pub(super) alive: u32,
    pub(super) store: &'a Store,
    pub(super) meter: &'a Meter,
}

impl Recovery<'_> {
    /// Says that this process is so far, and waits until all are.
    pub(super) async fn join(&self, stage: Stage) -> Result<Joined> {
        loop {
            let joined = self.session.join(self.proxy, stage, self.alive).await?;
            if joined.reached(stage) {
                return Ok(joined);
            }
            sleep(RETRY).await;
        }
    }

    /// The same process as before: nothing was lost but answers.
    pub(super) async fn find_unsettled(&self) -> Result<()> {
        let unsettled = self.meter.unsettled();
        let mut found = self.find(&requests(&unsettled)).await?;
        for one in unsettled {
            if let Some(place) = found.remove(&one.request) {
                self.meter.resolved(one, Some(place));
            }
        }
        Ok(())
    }

    /// Brings back the settlements that Redis does not have. If it was `emptied` it counts from the
    /// ledger: what is there counts already.
    pub(super) async fn bring_settlements(&self, joined: &Joined, emptied: bool) -> Result<()> {
        let lost = self.meter.retained(|place| joined.has_lost(place));
        let unsettled = self.meter.unsettled();
        let mut found = self.find(&requests(&unsettled)).await?;
        let mut all = requests(&unsettled);
        all.extend(lost.iter().map(|settled| settled.reservation.request));
        let counted = self.counted(&all, emptied).await?;
        tracing::info!(lost = lost.len(), unsettled = unsettled.len(), emptied, "bringing back");
        for settled in lost {
            if counted.contains(&settled.reservation.request) {
                continue;
            }
            if let Some(place) = self.replay(&settled.reservation, &settled.settlement).await? {
                self.meter.moved(&settled.place, place);
            }
        }
        for one in unsettled {
            let mut place = found.remove(&one.request);
            if place.is_none() && !counted.contains(&one.request) {
                // Of what was not even reserved for certain the next sign of life tells.
                let Some(reservation) = &one.reservation else { continue };
                place = self.replay(reservation, &one.settlement).await?;
            }
            self.meter.resolved(one, place);
        }
        Ok(())
    }

    /// Brings back the reservations that are open and have not been booked.
    pub(super) async fn bring_open(&self, emptied: bool) -> Result<()> {
        let open = self.meter.all_open();
        let all: Vec<RequestId> = open.iter().map(|open| open.reservation.request).collect();
        // Redis may have settled one without being heard.
        let found = self.find(&all).await?;
        let counted = self.counted(&all, emptied).await?;
        for open in open {
            let request = open.reservation.request;
            if found.contains_key(&request) || counted.contains(&request) {
                continue;
            }
            let output = open.output.load(Ordering::Relaxed);
            while self.session.reopen(&open.reservation, output).await? == Brought::UsageMissing {
                self.load(open.reservation.period).await?;
            }
        }
        Ok(())
    }

    async fn find(&self, requests: &[RequestId]) -> Result<HashMap<RequestId, Place>> {
        // None is settled before it begins.
        let Some(oldest) = requests.iter().map(|request| request.unix_ms()).min() else {
            return Ok(HashMap::new());
        };
        Ok(self.session.find(oldest.saturating_sub(SKEW_MS), requests).await?)
    }

    async fn counted(&self, requests: &[RequestId], emptied: bool) -> Result<HashSet<RequestId>> {
        if !emptied || requests.is_empty() {
            return Ok(HashSet::new());
        }
        Ok(usage::existing(self.store, requests).await?)
    }

    /// Gives its new place; none if it has been booked by its lease.
    async fn replay(
        &self,
        reservation: &Reservation,
        settlement: &Settlement,
    ) -> Result<Option<Place>> {
        loop {
            match self.session.replay(reservation, settlement).await? {
                Brought::Back(place) => return Ok(Some(place)),
                Brought::Closed => return Ok(None),
                Brought::UsageMissing => self.load(reservation.period).await?,
            }
        }
    }

    async fn load(&self, period: i64) -> Result<()> {
        let used = periods::used(self.store, period).await?;
        Ok(self.session.put_usage(period, used.unwrap_or(0)).await?)
    }
}

fn requests(unsettled: &[Unsettled]) -> Vec<RequestId> {
    unsettled.iter().map(|one| one.request).collect()
}
