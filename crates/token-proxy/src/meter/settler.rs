//! Settlements on their way to Redis.

use std::{sync::Arc, time::Duration};

use oc_domain::usage::Settlement;
use oc_streams::{Connection, Settled};
use parking_lot::Mutex;
use tokio::{runtime::Handle, time::sleep};

use super::{Meter, Open, Unsettled};

/// How long a settlement waits for others: what Redis and this process do for each would stand in the
/// way of requests that somebody waits for. Shorter than the second look of a request that finds its
/// quota spent.
const GATHER: Duration = Duration::from_millis(10);
/// Settlements in one call: Redis does nothing else meanwhile.
const MOST: usize = 64;

/// Tells Redis what the requests of one thread have used.
#[derive(Clone)]
pub(crate) struct Settler {
    redis: Connection,
    meter: Arc<Meter>,
    waiting: Arc<Mutex<Vec<Ended>>>,
}

/// A request, and how it ended.
type Ended = (Arc<Open>, Settlement);

impl Settler {
    pub(crate) fn new(redis: Connection, meter: Arc<Meter>) -> Self {
        Self { redis, meter, waiting: Arc::default() }
    }

    /// The request has ended so. Until Redis has said that it knows, it counts as open.
    pub(super) fn settle(&self, open: Arc<Open>, settlement: Settlement) {
        let mut waiting = self.waiting.lock();
        waiting.push((open, settlement));
        if waiting.len() > 1 {
            return;
        }
        // Without a runtime the process is gone: the reservation's lease passes.
        if let Ok(runtime) = Handle::try_current() {
            self.meter.tasks.spawn_on(self.clone().gather(), &runtime);
        }
    }

    async fn gather(self) {
        sleep(GATHER).await;
        let waiting = std::mem::take(&mut *self.waiting.lock());
        let mut waiting = waiting.into_iter().peekable();
        while waiting.peek().is_some() {
            self.confirm(waiting.by_ref().take(MOST).collect()).await;
        }
    }

    /// Tells Redis, and remembers what it said.
    async fn confirm(&self, ended: Vec<Ended>) {
        let meter = &self.meter;
        let all = ended.iter().map(|(open, settlement)| (open.reservation.request, settlement));
        match self.redis.settle_all(all).await {
            Ok(places) => {
                for ((open, settlement), place) in ended.into_iter().zip(places) {
                    let reservation = open.reservation.clone();
                    let request = reservation.request;
                    if let Some(place) = place {
                        meter.retain(Settled { place, reservation, settlement });
                    } else {
                        // It is in the ledger, estimated.
                        tracing::warn!(%request, "settled by its lease");
                    }
                    // Last: at every moment it is in one of the places.
                    meter.close(request);
                }
            }
            Err(error) => {
                if !error.is_transient() {
                    tracing::error!(error = %oc_service::chain(&error), "not settled");
                }
                for (open, settlement) in ended {
                    let reservation = open.reservation.clone();
                    let request = reservation.request;
                    let reservation = Some(reservation);
                    meter.not_settled(Unsettled { request, reservation, settlement });
                    meter.close(request);
                }
            }
        }
    }
}
