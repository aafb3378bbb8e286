use parking_lot::Mutex;

/// Repeats that are allowed: one for every five requests, and ten at once. When a provider fails
/// for everybody, repeats would only double its load.
#[derive(Debug)]
pub(crate) struct Budget(Mutex<u32>);

/// What a request adds, and what a repeat takes.
const EARNED: u32 = 1;
const SPENT: u32 = 5;
const MOST: u32 = 10 * SPENT;

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(MOST))
    }
}

impl Budget {
    /// A request came.
    pub(crate) fn earn(&self) {
        let mut left = self.0.lock();
        *left = (*left + EARNED).min(MOST);
    }

    /// Whether one may be repeated.
    pub(crate) fn spend(&self) -> bool {
        let mut left = self.0.lock();
        let enough = *left >= SPENT;
        if enough {
            *left -= SPENT;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_a_fifth_of_the_requests_in_the_long_run() {
        let budget = Budget::default();
        let mut repeats = 0;
        for _ in 0..1000 {
            budget.earn();
            repeats += u32::from(budget.spend());
        }
        assert!((200..=210).contains(&repeats), "{repeats}");
    }
}
