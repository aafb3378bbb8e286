//! Times as people read them.

use jiff::Timestamp;

/// The time that ages are counted from.
pub(super) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "a tool that ends in a second needs no clock")]
    Timestamp::now()
}

/// How long ago something was, in its two largest units at most: `42s`, `7m30s`, `3h12m`, `5d`.
pub(super) fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) if minutes < 10 => format!("{minutes}m{}s", seconds % 60),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) if hours < 10 => format!("{hours}h{}m", minutes % 60),
        (0, _, _) => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_two_units_while_the_second_one_matters() {
        let ago = |seconds| age(Timestamp::UNIX_EPOCH, Timestamp::from_second(seconds).unwrap());
        let ages = [0, 59, 60, 599, 600, 3_599, 3_661, 36_000, 86_400, 864_000].map(ago);
        let expected = ["0s", "59s", "1m0s", "9m59s", "10m", "59m", "1h1m", "10h", "1d", "10d"];
        assert_eq!(ages, expected);
    }

    #[test]
    fn what_lies_in_the_future_by_another_clock_is_of_now() {
        assert_eq!(age(Timestamp::from_second(5).unwrap(), Timestamp::UNIX_EPOCH), "0s");
    }
}
