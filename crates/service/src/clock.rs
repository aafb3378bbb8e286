//! The time of day.

use jiff::Timestamp;

/// Where the time of day comes from; the only reader of the system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock(Option<Timestamp>);

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still, for tests.
    pub const fn fixed(now: Timestamp) -> Self {
        Self(Some(now))
    }

    /// What time it is.
    pub fn now(self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the Clock")]
        self.0.unwrap_or_else(Timestamp::now)
    }

    /// What time it is, in milliseconds after 1970.
    pub fn unix_ms(self) -> u64 {
        u64::try_from(self.now().as_millisecond()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_clock_stands_still() {
        let clock = Clock::fixed(Timestamp::from_millisecond(1_795_000_000_123).unwrap());
        assert_eq!(clock.unix_ms(), 1_795_000_000_123);
        assert_eq!(clock.now(), clock.now());
    }

    #[test]
    fn the_systems_clock_is_past_2026() {
        assert!(Clock::system().unix_ms() > 1_760_000_000_000);
    }
}
