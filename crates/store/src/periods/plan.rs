//! How the periods of an account become what its subscription says.

use std::cmp::Reverse;

use jiff::{Timestamp, ToSpan};

use super::Period;
use crate::Error;

/// A period that there should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The first instant.
    pub starts_at: Timestamp,
    /// The first instant after it.
    pub ends_at: Timestamp,
    /// Tokens that may be used.
    pub limit: u64,
    /// Messages that may be counted; none where they are not.
    pub messages: Option<u64>,
}

/// One step; no two periods overlap after any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodChange {
    /// A period that has not begun goes.
    Delete {
        /// Which one.
        id: i64,
    },
    /// A period ends at another time, or gets other limits. It keeps its key and its start, and so
    /// what was charged and reserved.
    Update {
        /// Which one.
        id: i64,
        /// The first instant after it.
        ends_at: Timestamp,
        /// Tokens that may be used.
        limit: u64,
        /// Messages that may be counted; none where they are not.
        messages: Option<u64>,
    },
    /// A period is new.
    Insert(Wanted),
}

/// What has to be done, in that order, so that from `now` on the periods are those `wanted` and no
/// others; nothing where they are.
///
/// What has begun is never deleted: a wanted period takes over the one that began last within it,
/// else it cuts off the one that runs into its start. What is over and not wanted stays as it was.
/// An error if a wanted period is empty or overlaps another.
pub fn plan(
    existing: &[Period],
    wanted: &[Wanted],
    now: Timestamp,
) -> Result<Vec<PeriodChange>, Error> {
    // A period with charges has begun by the clock of a proxy, whatever ours says.
    let used = existing.iter().filter(|period| period.used > 0).map(|period| period.starts_at);
    let now = used.fold(rounded(now), Timestamp::max);
    let wanted = running(wanted, now)?;

    let mut inserted: Vec<Wanted> = Vec::new();
    let mut holders: Vec<(i64, Wanted)> = Vec::new();
    for one in wanted {
        match holder(existing, &one, now) {
            Some(id) => holders.push((id, one)),
            None => inserted.push(one),
        }
    }
    let mut changes: Vec<PeriodChange> = Vec::new();
    let mut longer: Vec<PeriodChange> = Vec::new();
    for period in existing {
        let held = holders.iter().find(|(id, _)| *id == period.id);
        let (ends_at, limit, messages) = match held {
            Some((_, one)) => (one.ends_at, one.limit, one.messages),
            None if period.starts_at > now => {
                changes.push(PeriodChange::Delete { id: period.id });
                continue;
            }
            None => (cut(period, &inserted, now), period.limit, period.messages),
        };
        let update = PeriodChange::Update { id: period.id, ends_at, limit, messages };
        if ends_at > period.ends_at {
            longer.push(update);
        } else if (ends_at, limit, messages) != (period.ends_at, period.limit, period.messages) {
            changes.push(update);
        }
    }
    changes.extend(longer);
    changes.extend(inserted.into_iter().map(PeriodChange::Insert));
    Ok(changes)
}

/// Those that are not over, as the database will hold them, in order.
fn running(wanted: &[Wanted], now: Timestamp) -> Result<Vec<Wanted>, Error> {
    let round = |one: &Wanted| Wanted {
        starts_at: rounded(one.starts_at),
        ends_at: rounded(one.ends_at),
        ..*one
    };
    let mut wanted: Vec<Wanted> = wanted.iter().map(round).collect();
    wanted.sort_by_key(|one| one.starts_at);
    let follow = wanted.is_sorted_by(|one, next| one.ends_at <= next.starts_at);
    if !follow || wanted.iter().any(|one| one.starts_at >= one.ends_at) {
        return Err(Error::OverlappingPeriods);
    }
    wanted.retain(|one| one.ends_at > now);
    Ok(wanted)
}

/// The period that becomes `wanted`: of those that begin within it and have begun the last, or the
/// one that begins when it does.
fn holder(existing: &[Period], wanted: &Wanted, now: Timestamp) -> Option<i64> {
    let within = |start: Timestamp| {
        let begun = wanted.starts_at <= start && start < wanted.ends_at && start <= now;
        begun || start == wanted.starts_at
    };
    let found = existing.iter().filter(|period| within(period.starts_at));
    found.min_by_key(|period| Reverse(period.starts_at)).map(|period| period.id)
}

/// The end of a period that has begun and is not wanted.
fn cut(period: &Period, inserted: &[Wanted], now: Timestamp) -> Timestamp {
    // Not empty, also where it begins now.
    let least = period.starts_at.checked_add(1.microsecond()).unwrap_or(Timestamp::MAX);
    let starts = inserted.iter().map(|one| one.starts_at).filter(|start| *start > period.starts_at);
    starts.fold(period.ends_at.min(now.max(least)), Timestamp::min)
}

/// As Postgres holds it: whole microseconds.
fn rounded(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
