//! How often a tenant's pod may be replaced.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Replacements in any hour.
const MOST: usize = 3;
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// What passes after the first, the second and the third replacement of an hour.
const PAUSES: [SignedDuration; MOST] =
    [SignedDuration::from_mins(1), SignedDuration::from_mins(5), SignedDuration::from_mins(15)];

/// A tenant's replacements so far: three in any hour at most, with growing pauses between them, so
/// that a pod that never comes right is not churned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// The last three at most, the oldest first.
    taken: Vec<Timestamp>,
}

impl Budget {
    /// Notes that a pod was replaced.
    pub fn take(&mut self, now: Timestamp) {
        self.taken.push(now);
        self.taken.sort_unstable();
        let surplus = self.taken.len().saturating_sub(MOST);
        self.taken.drain(..surplus);
    }

    /// From when on a pod may be replaced; `None`: at any time.
    pub fn ready_at(&self) -> Option<Timestamp> {
        let last = *self.taken.last()?;
        let recent = self.taken.iter().filter(|taken| **taken + HOUR > last).count();
        let pause = recent.checked_sub(1).and_then(|index| PAUSES.get(index))?;
        Some(self.spent_until().map_or(last + *pause, |hour| hour.max(last + *pause)))
    }

    /// Until when nothing is left of the hour's replacements.
    pub fn spent_until(&self) -> Option<Timestamp> {
        let oldest = *self.taken.first().filter(|_| self.taken.len() == MOST)?;
        Some(oldest + HOUR)
    }
}
