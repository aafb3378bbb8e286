//! A look at the time that remembers when to look again.

use jiff::Timestamp;

/// The present, which notes the nearest moment that it was asked for and that has not come.
///
/// Whoever decides by asking nothing but [`Dial::reached`] decides the same until
/// [`Dial::next`].
#[derive(Debug)]
pub(crate) struct Dial {
    now: Timestamp,
    next: Option<Timestamp>,
}

impl Dial {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { now, next: None }
    }

    /// Whether `at` has come.
    pub(crate) fn reached(&mut self, at: Timestamp) -> bool {
        let reached = self.now >= at;
        if !reached {
            self.next = Some(self.next.map_or(at, |next| next.min(at)));
        }
        reached
    }

    /// The first moment at which an answer changes; after the present.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.next
    }
}
