//! When a container that ended is started again, as the kubelet has it.

use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_mins(5);
/// After so long without an end, all is forgiven.
const FORGIVEN: Duration = Duration::from_mins(10);

/// The ends of one container.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    /// How long to wait the next time, and since when.
    next: Option<(Duration, Instant)>,
}

impl BackOff {
    /// How long to wait after an end: not at all the first time, then 10 s, doubled each time up to
    /// five minutes.
    pub(super) fn ended(&mut self, now: Instant) -> Duration {
        let remembered = self.next.filter(|(_, since)| now.duration_since(*since) < FORGIVEN);
        let (wait, next) = match remembered {
            None => (Duration::ZERO, FIRST),
            Some((wait, _)) => (wait, LONGEST.min(wait * 2)),
        };
        self.next = Some((next, now + wait));
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_five_minutes() {
        let (mut back_off, mut now) = (BackOff::default(), Instant::now());
        let waits: Vec<u64> = (0..8)
            .map(|_| {
                let wait = back_off.ended(now);
                now += wait;
                wait.as_secs()
            })
            .collect();
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn ten_minutes_of_running_are_forgiven() {
        let (mut back_off, now) = (BackOff::default(), Instant::now());
        back_off.ended(now);
        assert_eq!(back_off.ended(now + Duration::from_secs(599)), FIRST);
        let later = now + Duration::from_secs(599) + FIRST + FORGIVEN;
        assert_eq!(back_off.ended(later), Duration::ZERO);
    }
}
