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
    Place, Reservation, Settled,
    recovery::{Brought, Joined, Lost, Need, Session, Stage},
};
use tokio::time::sleep;

use super::{Meter, Unsettled};

const RETRY: Duration = Duration::from_millis(50);
/// What clocks of two machines differ by.
const SKEW_MS: u64 = 10_000;

/// One meeting.
pub(super) struct Recovery<'a> {
    pub(super) session: &'a Session,
    /// The process that this one met before, if any.
    pub(super) before: Option<&'a str>,
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

    /// Brings back the settlements that Redis does not have.
    pub(super) async fn bring_settlements(&self, joined: &Joined) -> Result<()> {
        let lost = self.meter.retained(|place| joined.has_lost(place));
        let unsettled = self.meter.unsettled();
        let mut all = requests(&unsettled);
        let mut found = self.find(&all).await?;
        all.extend(lost.iter().map(|settled| settled.reservation.request));
        let mut ledger = InLedger::of(all);
        tracing::info!(lost = lost.len(), unsettled = unsettled.len(), "bringing back");
        for Settled { place, reservation, settlement } in lost {
            let process = place.process();
            if let Some(moved) =
                self.replay(&reservation, &settlement, process, &mut ledger).await?
            {
                self.meter.moved(&place, moved);
            }
        }
        for one in unsettled {
            let mut place = found.remove(&one.request);
            if place.is_none() {
                // Of what was not even reserved for certain the next sign of life tells.
                let Some(reservation) = &one.reservation else { continue };
                let process = self.before.unwrap_or_default();
                place = self.replay(reservation, &one.settlement, process, &mut ledger).await?;
            }
            self.meter.resolved(one, place);
        }
        Ok(())
    }

    /// Brings back the reservations that are open and have not been booked.
    pub(super) async fn bring_open(&self) -> Result<()> {
        let open = self.meter.all_open();
        let all: Vec<RequestId> = open.iter().map(|open| open.reservation.request).collect();
        // Redis may have settled one without being heard.
        let found = self.find(&all).await?;
        let mut ledger = InLedger::of(all);
        for open in open {
            let reservation = &open.reservation;
            if found.contains_key(&reservation.request) {
                continue;
            }
            let output = open.output.load(Ordering::Relaxed);
            loop {
                let process = self.before.unwrap_or_default();
                let in_ledger = ledger.has(reservation.request);
                let lost = Lost { reservation, process, in_ledger };
                let Brought::Needs(need) = self.session.reopen(lost, output).await? else { break };
                self.provide(need, reservation.period, &mut ledger).await?;
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

    /// Gives its new place; none if it counts already.
    async fn replay(
        &self,
        reservation: &Reservation,
        settlement: &Settlement,
        process: &str,
        ledger: &mut InLedger,
    ) -> Result<Option<Place>> {
        loop {
            let in_ledger = ledger.has(reservation.request);
            let lost = Lost { reservation, process, in_ledger };
            match self.session.replay(lost, settlement).await? {
                Brought::Back(place) => return Ok(Some(place)),
                Brought::Closed => return Ok(None),
                Brought::Needs(need) => self.provide(need, reservation.period, ledger).await?,
            }
        }
    }

    async fn provide(&self, need: Need, period: i64, ledger: &mut InLedger) -> Result<()> {
        match need {
            Need::Usage => {
                let used = periods::used(self.store, period).await?;
                self.session.put_usage(period, used.unwrap_or(0)).await?;
            }
            Need::Ledger => ledger.look(self.store).await?,
        }
        Ok(())
    }
}

/// Which requests the ledger has, asked for once and only if that matters: Postgres may be away.
/// Nothing is written to it meanwhile.
struct InLedger {
    all: Vec<RequestId>,
    found: Option<HashSet<RequestId>>,
}

impl InLedger {
    fn of(all: Vec<RequestId>) -> Self {
        Self { all, found: None }
    }

    async fn look(&mut self, store: &Store) -> Result<()> {
        self.found = Some(usage::existing(store, &self.all).await?);
        Ok(())
    }

    fn has(&self, request: RequestId) -> Option<bool> {
        self.found.as_ref().map(|found| found.contains(&request))
    }
}

fn requests(unsettled: &[Unsettled]) -> Vec<RequestId> {
    unsettled.iter().map(|one| one.request).collect()
}
