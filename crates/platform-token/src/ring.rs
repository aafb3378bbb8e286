use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The half of a key that verifies.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// The text is no key, or there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key of 32 bytes in base64url without padding, or not one or two of them")]
pub struct InvalidKey;

impl PublicKey {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        key_bytes(text).map(Self)
    }
}

pub(crate) fn key_bytes(text: &str) -> Result<[u8; 32], InvalidKey> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| InvalidKey)?;
    bytes.try_into().map_err(|_| InvalidKey)
}

/// The public keys that are valid now: one, or two while a key is being replaced.
///
/// To rotate: add the new key to the proxies' file, let the operator sign with it and write every
/// pod's token again, then take the old key out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRing(Vec<PublicKey>);

impl KeyRing {
    const MAX: usize = 2;

    pub(crate) fn keys(&self) -> &[PublicKey] {
        &self.0
    }
}

impl FromStr for KeyRing {
    type Err = InvalidKey;

    /// One key a line; empty lines and those that start with `#` are skipped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lines = text.lines().map(str::trim);
        let keys: Result<Vec<PublicKey>, _> = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::parse)
            .collect();
        let keys = keys?;
        if (1..=Self::MAX).contains(&keys.len()) { Ok(Self(keys)) } else { Err(InvalidKey) }
    }
}
