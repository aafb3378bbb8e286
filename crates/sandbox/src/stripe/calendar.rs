//! Billing periods and the shares of them, in seconds after 1970 and whole cents.

use jiff::{Span, Timestamp, tz::TimeZone};
use strum::{EnumString, IntoStaticStr};

const DAY: i64 = 86_400;

/// A stretch of time, its end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its first second.
    pub start: i64,
    /// The first second that is no more in it.
    pub end: i64,
}

/// How often a price is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// The unit.
    pub interval: Interval,
    /// So many units.
    pub count: u32,
}

/// Units of recurring prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Interval {
    /// 24 hours.
    Day,
    /// Seven days.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Cadence {
    /// Once a month.
    pub const MONTHLY: Self = Self { interval: Interval::Month, count: 1 };

    /// The first moment after `after` that lies a whole number of steps from `anchor`; a day that a
    /// month does not have is its last one, and does not change the months that follow.
    pub(super) fn next(self, anchor: i64, after: i64) -> i64 {
        let count = i64::from(self.count.max(1));
        let months = match self.interval {
            Interval::Day => return next_step(anchor, DAY * count, after),
            Interval::Week => return next_step(anchor, 7 * DAY * count, after),
            Interval::Month => count,
            Interval::Year => 12 * count,
        };
        // 31 days are at least a month, so the estimate is never too late.
        let mut steps = (after.saturating_sub(anchor) / (31 * DAY * months)).max(0);
        loop {
            steps += 1;
            let Some(moment) = add_months(anchor, steps * months) else { return i64::MAX };
            if moment > after {
                return moment;
            }
        }
    }
}

fn next_step(anchor: i64, step: i64, after: i64) -> i64 {
    anchor.saturating_add((after.saturating_sub(anchor).div_euclid(step) + 1).max(1) * step)
}

fn add_months(anchor: i64, months: i64) -> Option<i64> {
    let start = Timestamp::from_second(anchor).ok()?.to_zoned(TimeZone::UTC);
    let moment = start.checked_add(Span::new().try_months(months).ok()?).ok()?;
    Some(moment.timestamp().as_second())
}

/// The share of `amount` for `part` of `whole` seconds, rounded to the nearest cent.
pub(super) fn share(amount: i64, part: i64, whole: i64) -> i64 {
    let whole = i128::from(whole.max(1));
    let product = i128::from(amount) * i128::from(part);
    let cents = (2 * product + whole).div_euclid(2 * whole);
    i64::try_from(cents).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn the_31st_becomes_the_last_day_of_shorter_months_only() {
        let anchor = second("2026-10-31T08:00:00Z");
        let mut at = anchor;
        let mut seen = Vec::new();
        for _ in 0..5 {
            at = Cadence::MONTHLY.next(anchor, at);
            seen.push(Timestamp::from_second(at).unwrap().strftime("%m-%d").to_string());
        }
        assert_eq!(seen, ["11-30", "12-31", "01-31", "02-28", "03-31"]);
    }

    #[test]
    fn a_year_from_a_leap_day_is_the_28th() {
        let cadence = Cadence { interval: Interval::Year, count: 1 };
        let anchor = second("2028-02-29T00:00:00Z");
        assert_eq!(cadence.next(anchor, anchor), second("2029-02-28T00:00:00Z"));
        let fourth = cadence.next(anchor, second("2031-12-01T00:00:00Z"));
        assert_eq!(fourth, second("2032-02-29T00:00:00Z"));
    }

    #[test]
    fn shares_are_rounded_to_the_nearest_cent() {
        assert_eq!(share(1900, 1, 2), 950);
        assert_eq!(share(1900, 1, 3), 633);
        assert_eq!(share(-1900, 2, 3), -1267);
        assert_eq!(share(4900, 0, 5), 0);
    }
}
