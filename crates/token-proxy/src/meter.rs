//! Every admitted request from its reservation to its settlement, as this process knows it.
//!
//! A request is in one of three places: open, unsettled (Redis has not answered), or retained (Redis
//! has it, but may still lose it). What is in none of them is in the ledger.

mod consumer;
mod ledger;
mod recover;
mod settler;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use oc_domain::{
    RequestId, TenantId,
    usage::{Outcome, Settlement, Tokens},
};
use oc_service::Clock;
use oc_streams::{Open as Renewal, Place, Reservation, Settled, Watermark, recovery};
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use crate::{
    metrics::Metrics,
    upstream::{Lane, Upstream},
};

pub(crate) use consumer::Consumer;
pub(crate) use ledger::{Keeper, Rest};
pub(crate) use settler::Settler;

/// Settlements kept in memory at most, about 60 MB: more pile up only while Postgres is down, and by
/// then Redis has the oldest of them on its disk.
const MOST_RETAINED: usize = 100_000;
/// A request is renewed when it has been open for this long: shorter ones end within their lease.
const RENEW_AFTER: Duration = Duration::from_secs(1);

/// What this process has to account for.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    open: Mutex<HashMap<RequestId, Arc<Open>>>,
    unsettled: Mutex<HashMap<RequestId, Unsettled>>,
    retained: Mutex<VecDeque<Retained>>,
    /// Settlements on their way to Redis, and answers that are read on.
    pub(crate) tasks: TaskTracker,
    /// The process ends: nobody waits for anything any more.
    pub(crate) ending: AtomicBool,
}

/// A reservation that has not been settled.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) reservation: Reservation,
    /// Output tokens so far, by our count.
    pub(crate) output: AtomicU64,
    /// It has ended, and Redis has not said that it knows.
    ended: AtomicBool,
    since: Instant,
}

/// A settlement that Redis has not confirmed. It may have it all the same.
#[derive(Clone, Debug)]
pub(crate) struct Unsettled {
    pub(crate) request: RequestId,
    /// None where not even the reservation was confirmed.
    pub(crate) reservation: Option<Reservation>,
    pub(crate) settlement: Settlement,
}

/// A settlement that Redis has.
#[derive(Debug)]
struct Retained {
    settled: Settled,
    since: Instant,
}

/// A reservation that is being asked for. Unless the answer comes, as when the client leaves, Redis
/// may have made it.
pub(crate) struct Asking<'a> {
    meter: &'a Meter,
    request: RequestId,
    answered: bool,
}

impl Asking<'_> {
    /// It is known whether Redis made it.
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.meter.uncertain(self.request);
        }
    }
}

impl Meter {
    pub(crate) fn new(metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self {
            metrics,
            clock,
            open: Mutex::default(),
            unsettled: Mutex::default(),
            retained: Mutex::default(),
            tasks: TaskTracker::new(),
            ending: AtomicBool::new(false),
        }
    }

    /// Takes the account of a reservation that Redis has just made.
    pub(crate) fn open(self: &Arc<Self>, settler: Settler, reservation: Reservation) -> Account {
        let request = reservation.request;
        let open = Arc::new(Open {
            reservation,
            output: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            since: Instant::now(),
        });
        self.open.lock().insert(request, Arc::clone(&open));
        self.metrics.reservations_open.inc();
        Account {
            meter: Arc::clone(self),
            settler,
            open,
            upstream: None,
            attempts: 0,
            first_byte_ms: None,
            settled: false,
        }
    }

    /// A reservation is asked for.
    pub(crate) fn asking(&self, request: RequestId) -> Asking<'_> {
        Asking { meter: self, request, answered: false }
    }

    /// A reservation of which Redis has not said whether it made it. It is ended with nothing used.
    fn uncertain(&self, request: RequestId) {
        let settlement = Settlement {
            upstream: String::new(),
            tokens: Tokens::default(),
            charged: 0,
            excess: 0,
            cost_nano_usd: 0,
            outcome: Outcome::Unsent,
            measured: true,
            attempts: 0,
            first_byte_ms: None,
            finished_ms: self.clock.unix_ms(),
        };
        self.not_settled(Unsettled { request, reservation: None, settlement });
    }

    /// Open reservations that have to be renewed.
    pub(crate) fn renewals(&self) -> Vec<Renewal> {
        let open = self.open.lock();
        let old = open.values().filter(|open| open.since.elapsed() >= RENEW_AFTER);
        old.map(|open| Renewal {
            request: open.reservation.request,
            output: open.output.load(Ordering::Relaxed),
        })
        .collect()
    }

    /// All open reservations.
    pub(crate) fn all_open(&self) -> Vec<Arc<Open>> {
        self.open.lock().values().map(Arc::clone).collect()
    }

    /// Whether a settlement of the tenant is on its way to Redis.
    pub(crate) fn is_settling(&self, tenant: &TenantId) -> bool {
        let open = self.open.lock();
        open.values()
            .any(|open| open.ended.load(Ordering::Relaxed) && open.reservation.tenant == *tenant)
    }

    /// How many requests are open or not confirmed.
    pub(crate) fn outstanding(&self) -> usize {
        self.open.lock().len() + self.unsettled.lock().len()
    }

    /// What Redis has not confirmed.
    pub(crate) fn unsettled(&self) -> Vec<Unsettled> {
        self.unsettled.lock().values().cloned().collect()
    }

    fn not_settled(&self, one: Unsettled) {
        self.unsettled.lock().insert(one.request, one);
    }

    /// It is known what became of it: it has been booked, and if by this process at this place.
    pub(crate) fn resolved(&self, one: Unsettled, place: Option<Place>) {
        let Unsettled { request, reservation, settlement } = one;
        if let (Some(place), Some(reservation)) = (place, reservation) {
            self.retain(Settled { place, reservation, settlement });
        }
        self.unsettled.lock().remove(&request);
    }

    /// Redis has the settlement.
    pub(crate) fn retain(&self, settled: Settled) {
        let mut retained = self.retained.lock();
        if retained.len() >= MOST_RETAINED {
            retained.pop_front();
        }
        retained.push_back(Retained { settled, since: Instant::now() });
    }

    /// What Redis might lose and is `wanted`, oldest first.
    pub(crate) fn retained(&self, wanted: impl Fn(&Place) -> bool) -> Vec<Settled> {
        let retained = self.retained.lock();
        let wanted = retained.iter().filter(|retained| wanted(&retained.settled.place));
        wanted.map(|retained| retained.settled.clone()).collect()
    }

    /// What was brought back has another place now.
    pub(crate) fn moved(&self, from: &Place, to: Place) {
        let mut retained = self.retained.lock();
        if let Some(moved) = retained.iter_mut().find(|retained| retained.settled.place == *from) {
            moved.settled.place = to;
            moved.since = Instant::now();
        }
    }

    fn close(&self, request: RequestId) {
        self.open.lock().remove(&request);
        self.metrics.reservations_open.dec();
    }

    /// Forgets what is in the ledger, and on Redis' disk.
    pub(crate) fn forget(&self, in_ledger: &Watermark) {
        let mut retained = self.retained.lock();
        while let Some(first) = retained.front() {
            let safe = first.since.elapsed() >= recovery::KEEP;
            if !safe || !in_ledger.covers(&first.settled.place) {
                break;
            }
            retained.pop_front();
        }
        self.metrics.retained.set(i64::try_from(retained.len()).unwrap_or(i64::MAX));
    }
}

/// The account of one request: settled exactly once, at the latest when it is dropped.
pub(crate) struct Account {
    pub(crate) meter: Arc<Meter>,
    settler: Settler,
    pub(crate) open: Arc<Open>,
    /// Who was asked last.
    pub(crate) upstream: Option<(Arc<Upstream>, Arc<Lane>)>,
    pub(crate) attempts: u32,
    pub(crate) first_byte_ms: Option<u64>,
    settled: bool,
}

impl Account {
    /// Output tokens so far.
    pub(crate) fn counted(&self, output: u64) {
        self.open.output.store(output, Ordering::Relaxed);
    }

    /// Ends the request.
    pub(crate) fn settle(mut self, outcome: Outcome, tokens: Tokens, measured: bool) {
        self.end(outcome, tokens, measured);
    }

    fn end(&mut self, outcome: Outcome, tokens: Tokens, measured: bool) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let reservation = &self.open.reservation;
        let (charged, excess) = reservation.charge(tokens);
        let cost_nano_usd = self.cost(tokens);
        if excess > 0 {
            let beyond = u128::from(cost_nano_usd) * u128::from(excess)
                / u128::from((charged + excess).max(1));
            self.meter.metrics.excess(excess, u64::try_from(beyond).unwrap_or(u64::MAX));
        }
        if measured && outcome != Outcome::Unsent && outcome != Outcome::Refused {
            let input = tokens.input + tokens.cached_input;
            self.meter.metrics.measured_input(reservation.input, input);
        }
        let settlement = Settlement {
            upstream: self
                .upstream
                .as_ref()
                .map_or_else(String::new, |(_, lane)| lane.name.clone()),
            tokens,
            charged,
            excess,
            cost_nano_usd,
            outcome,
            measured,
            attempts: self.attempts,
            first_byte_ms: self.first_byte_ms,
            finished_ms: self.meter.clock.unix_ms(),
        };
        if cfg!(feature = "bare") {
            return self.meter.close(self.open.reservation.request);
        }
        self.open.ended.store(true, Ordering::Relaxed);
        self.settler.settle(Arc::clone(&self.open), settlement);
    }

    fn cost(&self, tokens: Tokens) -> u64 {
        let model = self.open.reservation.model;
        let offer = self.upstream.as_ref().and_then(|(upstream, _)| upstream.offer(model));
        offer.map_or(0, |offer| offer.cost(tokens, self.meter.clock.now()))
    }
}

impl Drop for Account {
    /// Nobody settled it: its task was dropped, because its client left or the process ends.
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let ending = self.meter.ending.load(Ordering::Relaxed);
        let outcome = if ending { Outcome::Drained } else { Outcome::ClientGone };
        // Nothing was sent, so nothing was used; else the input was, and what was counted.
        let tokens = if self.attempts == 0 {
            Tokens::default()
        } else {
            Tokens {
                input: self.open.reservation.input,
                output: self.open.output.load(Ordering::Relaxed),
                ..Tokens::default()
            }
        };
        self.end(outcome, tokens, self.attempts == 0);
    }
}
