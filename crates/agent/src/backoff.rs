//! How long to wait before the gateway is started again.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// A gateway that lived so long was well: what ended it is something new.
const WELL: Duration = Duration::from_mins(5);

/// 1 s, doubled at each early death up to 30 s.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }

    /// The wait after a gateway that lived for `life`.
    pub(crate) fn after(&mut self, life: Duration) -> Duration {
        if life >= WELL {
            self.reset();
        }
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST);
        wait
    }

    /// What was wrong may have been mended.
    pub(crate) fn reset(&mut self) {
        self.0 = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_a_good_life_forgives() {
        let mut backoff = Backoff::new();
        let early = Duration::from_secs(20);
        let waits = [1, 2, 4, 8, 16, 30, 30].map(Duration::from_secs);
        assert_eq!([(); 7].map(|()| backoff.after(early)), waits);
        assert_eq!(backoff.after(WELL), FIRST);
        assert_eq!(backoff.after(early), 2 * FIRST);
    }
}
