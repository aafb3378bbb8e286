use std::{
    collections::HashMap,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;

use crate::{Claims, Invalid, KeyRing, PublicKey};

/// Verifies tokens and remembers the good ones.
///
/// A remembered token costs a look-up instead of about 60 microseconds of curve arithmetic. It
/// remembers its key too and goes with it. Bad tokens are not remembered, so no flood of them
/// pushes a good one out, and only so many of them are verified in a second.
#[derive(Debug)]
pub struct Verifier {
    capacity: usize,
    state: RwLock<State>,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is none of ours.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// So many bad tokens came that unknown ones are not looked at for a moment.
    #[error("too many platform tokens that are not valid, try again in a second")]
    Busy,
}

#[derive(Debug)]
struct State {
    ring: Arc<KeyRing>,
    /// The tokens seen lately, and those before them: both together hold `capacity`.
    recent: HashMap<Box<str>, Entry>,
    older: HashMap<Box<str>, Entry>,
    failures: Failures,
}

#[derive(Clone, Debug)]
struct Entry {
    claims: Arc<Claims>,
    key: PublicKey,
}

/// How many bad tokens were verified in the current second.
#[derive(Debug)]
struct Failures {
    since: Instant,
    count: u32,
}

impl Failures {
    /// Keeps a flood below three percent of one core.
    const PER_SECOND: u32 = 500;

    fn exhausted(&self, now: Instant) -> bool {
        self.count >= Self::PER_SECOND && now.duration_since(self.since) < Duration::from_secs(1)
    }

    fn add(&mut self, now: Instant) {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self { since: now, count: 0 };
        }
        self.count += 1;
    }
}

impl Verifier {
    /// A verifier that remembers at most `capacity` tokens, about 300 bytes each.
    pub fn new(ring: KeyRing, capacity: usize) -> Self {
        let failures = Failures { since: Instant::now(), count: 0 };
        let state =
            State { ring: Arc::new(ring), recent: HashMap::new(), older: HashMap::new(), failures };
        Self { capacity, state: RwLock::new(state) }
    }

    /// What the token says, if one of the keys signed it.
    pub fn verify(&self, token: &str) -> Result<Arc<Claims>, Refused> {
        let ring = {
            let state = self.state.read();
            if let Some(entry) = state.recent.get(token) {
                return Ok(Arc::clone(&entry.claims));
            }
            if !state.older.contains_key(token) && state.failures.exhausted(Instant::now()) {
                return Err(Refused::Busy);
            }
            Arc::clone(&state.ring)
        };
        if let Some(claims) = self.promote(token) {
            return Ok(claims);
        }
        // Outside of the lock: a flood of bad tokens must not hold up the good ones.
        match ring.verify(token) {
            Ok((claims, key)) => Ok(self.remember(token, claims, key)),
            Err(invalid) => {
                self.state.write().failures.add(Instant::now());
                Err(invalid.into())
            }
        }
    }

    /// Takes other keys from now on; tokens of keys that are gone are forgotten.
    pub fn replace(&self, ring: KeyRing) {
        let mut state = self.state.write();
        let stays = |entry: &Entry| ring.keys().contains(&entry.key);
        state.recent.retain(|_, entry| stays(entry));
        state.older.retain(|_, entry| stays(entry));
        state.ring = Arc::new(ring);
    }

    fn promote(&self, token: &str) -> Option<Arc<Claims>> {
        let mut state = self.state.write();
        let (token, entry) = state.older.remove_entry(token)?;
        let claims = Arc::clone(&entry.claims);
        state.insert(self.capacity, token, entry);
        Some(claims)
    }

    fn remember(&self, token: &str, claims: Claims, key: PublicKey) -> Arc<Claims> {
        let claims = Arc::new(claims);
        let mut state = self.state.write();
        // The ring may have lost the key since it was read.
        if state.ring.keys().contains(&key) {
            let entry = Entry { claims: Arc::clone(&claims), key };
            state.insert(self.capacity, token.into(), entry);
        }
        claims
    }
}

impl State {
    fn insert(&mut self, capacity: usize, token: Box<str>, entry: Entry) {
        if self.recent.len() >= capacity / 2 {
            self.older = mem::take(&mut self.recent);
        }
        self.recent.insert(token, entry);
    }
}
