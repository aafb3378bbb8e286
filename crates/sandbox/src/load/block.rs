//! When the next request starts.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};

use super::Bound;

/// How coarse a timer may be.
const COARSE: Duration = Duration::from_millis(2);

/// Starts of requests, handed out to whichever client is free.
pub(super) struct Block {
    begin: Instant,
    end: Option<Instant>,
    count: u64,
    /// Seconds between two starts.
    interval: Option<f64>,
    taken: AtomicU64,
}

impl Block {
    pub(super) fn new(bound: Bound, rate: Option<f64>) -> Self {
        let begin = Instant::now();
        let (end, count) = match bound {
            Bound::Time(time) => (Some(begin + time), u64::MAX),
            Bound::Count(count) => (None, count),
        };
        let interval = rate.map(|rate| 1.0 / rate);
        Self { begin, end, count, interval, taken: AtomicU64::new(0) }
    }

    /// The start that the next request is measured from, when it has come; none after the last.
    pub(super) async fn next(&self) -> Option<Instant> {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        if number >= self.count {
            return None;
        }
        let start = match self.interval {
            #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 requests are made")]
            Some(interval) => self.begin + Duration::from_secs_f64(interval * number as f64),
            None => Instant::now(),
        };
        // What is due in time is asked, however late a client is free for it.
        if self.end.is_some_and(|end| start >= end) {
            return None;
        }
        if self.interval.is_some() {
            wait(start).await;
        }
        Some(start)
    }
}

async fn wait(start: Instant) {
    if let Some(early) = start.checked_sub(COARSE).filter(|early| *early > Instant::now()) {
        sleep_until(early).await;
    }
    while Instant::now() < start {
        yield_now().await;
    }
}
