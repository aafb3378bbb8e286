//! Short fingerprints, the same in every release of the operator.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The first eight bytes of a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest([u8; 8]);

impl Default for Digest {
    fn default() -> Self {
        Self::NONE
    }
}

impl Digest {
    /// The digest of what is not there.
    pub(crate) const NONE: Self = Self([0; 8]);

    /// The digest of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(first(Sha256::digest(bytes).as_slice()))
    }

    /// The digest of several, in their order.
    pub(crate) fn all(parts: impl Iterator<Item = Self>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part.0);
        }
        Self(first(hasher.finalize().as_slice()))
    }
}

fn first(bytes: &[u8]) -> [u8; 8] {
    bytes.first_chunk().copied().unwrap_or_default()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
