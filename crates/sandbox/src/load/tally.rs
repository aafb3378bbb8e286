//! What is counted while the load runs.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

use super::client::{Answered, Failure};

/// A frame that comes so long after its beat is late.
const LATE: Duration = Duration::from_millis(200);
/// Nanoseconds up to which figures are exact to a thousandth.
const LONGEST: u64 = 600_000_000_000;

/// The figures of one target.
pub(super) struct Tally {
    pub(super) latency: Histogram<u64>,
    pub(super) first: Histogram<u64>,
    pub(super) lateness: Histogram<u64>,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) unconnected: u64,
    pub(super) broken: u64,
    pub(super) lost: u64,
    pub(super) late: u64,
    /// How long this target was the one that was asked.
    pub(super) busy: Duration,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            latency: histogram(),
            first: histogram(),
            lateness: histogram(),
            statuses: BTreeMap::new(),
            unconnected: 0,
            broken: 0,
            lost: 0,
            late: 0,
            busy: Duration::ZERO,
        }
    }

    pub(super) fn record(&mut self, outcome: Result<Answered, Failure>) {
        let answered = match outcome {
            Ok(answered) => answered,
            Err(Failure::Unconnected(_)) => return self.unconnected += 1,
            Err(Failure::Broken(_) | Failure::Unfinished) => return self.broken += 1,
        };
        *self.statuses.entry(answered.status).or_default() += 1;
        if answered.status != 200 {
            return;
        }
        self.latency.saturating_record(nanoseconds(answered.latency));
        let Some(stream) = answered.stream else { return };
        if let Some(first) = stream.first {
            self.first.saturating_record(nanoseconds(first));
        }
        self.lost += stream.lost;
        for late in stream.late {
            self.late += u64::from(late > LATE);
            self.lateness.saturating_record(nanoseconds(late));
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::expect_used, reason = "constants, and every test of the load makes one")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are sound")
}
