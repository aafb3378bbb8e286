use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rand::RngExt as _;

/// Failures in a row that break a key.
const FAILURES: u32 = 5;
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_mins(1);

/// Keeps requests from a key that fails, and lets one through now and then to see.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// How long it stayed open last time.
    pause: Duration,
    open_until: Option<Instant>,
    /// One request is trying whether it works again.
    trying: Option<Instant>,
}

impl Breaker {
    /// Whether a request may be sent now.
    pub(crate) fn allows(&self, now: Instant) -> bool {
        let state = self.0.lock();
        match state.open_until {
            None => true,
            Some(until) => now >= until && state.trying.is_none_or(|since| now - since > LONGEST),
        }
    }

    /// A request is being sent.
    pub(crate) fn sent(&self, now: Instant) {
        let mut state = self.0.lock();
        if state.open_until.is_some() {
            state.trying = Some(now);
        }
    }

    /// It works.
    pub(crate) fn succeeded(&self) {
        let mut state = self.0.lock();
        if state.failures > 0 || state.open_until.is_some() {
            *state = State::default();
        }
    }

    /// It failed, as anything may now and then.
    pub(crate) fn failed(&self, now: Instant) {
        let mut state = self.0.lock();
        state.failures += 1;
        let tried = state.trying.take().is_some();
        if state.failures >= FAILURES || tried {
            let pause = (state.pause * 2).clamp(SHORTEST, LONGEST);
            let jitter = rand::rng().random_range(0.8..1.2);
            state.pause = pause;
            state.open_until = Some(now + pause.mul_f64(jitter));
        }
    }

    /// It will not work for so long: it said so.
    pub(crate) fn trip(&self, now: Instant, pause: Duration) {
        let mut state = self.0.lock();
        state.trying = None;
        state.open_until =
            Some(state.open_until.map_or(now + pause, |until| until.max(now + pause)));
    }

    /// How long it stays open.
    pub(crate) fn open_for(&self, now: Instant) -> Option<Duration> {
        let until = self.0.lock().open_until?;
        (until > now).then(|| until - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_fails_is_left_alone_and_tried_once_after_a_pause() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES {
            assert!(breaker.allows(now));
            breaker.failed(now);
        }
        assert!(!breaker.allows(now));
        let later = now + Duration::from_secs(3);
        assert!(breaker.allows(later));
        breaker.sent(later);
        assert!(!breaker.allows(later), "one at a time");
        breaker.failed(later);
        assert!(!breaker.allows(later + Duration::from_secs(3)), "the pause has doubled");
        let later = later + Duration::from_secs(5);
        breaker.sent(later);
        breaker.succeeded();
        assert!(breaker.allows(later));
    }

    #[test]
    fn a_success_in_between_forgives() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..3 * FAILURES {
            breaker.failed(now);
            breaker.succeeded();
        }
        assert!(breaker.allows(now));
    }

    #[test]
    fn what_a_provider_says_of_itself_holds() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        breaker.trip(now, Duration::from_mins(10));
        breaker.trip(now, Duration::from_secs(1));
        assert!(!breaker.allows(now + Duration::from_secs(599)));
        assert!(breaker.allows(now + Duration::from_secs(601)));
    }
}
