//! The keys that wrap data keys.

use std::{fmt, str::FromStr};

use aws_lc_rs::aead::{AES_256_GCM, NONCE_LEN, RandomizedNonceKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use oc_domain::TenantId;

use super::{
    not_open,
    seal::{Sealed, open, seal},
};
use crate::Error;

/// What a data key is called in errors.
const DATA_KEY: &str = "the data key";

/// Keys that wrap data keys. The first one wraps; all of them unwrap.
///
/// As text one key a line, its id and 32 bytes in base64; empty lines and those that start with `#`
/// are skipped.
pub struct KeyFile {
    current: Key,
    others: Vec<Key>,
}

struct Key {
    id: String,
    key: RandomizedNonceKey,
}

/// Why a text is no key file; it tells nothing of the keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyFile {
    /// A line is no key.
    #[error("line {0} is not an id and 32 bytes in base64")]
    Line(usize),
    /// Two keys have one id.
    #[error("the key {0:?} stands there twice")]
    Twice(String),
    /// There is no key.
    #[error("there is no key in it")]
    Empty,
}

impl KeyFile {
    /// The id of the key that wraps.
    pub fn current(&self) -> &str {
        &self.current.id
    }

    /// A data key of `tenant` by the current key: nonce, ciphertext, tag.
    pub(super) fn wrap(&self, tenant: &TenantId, data_key: &[u8; 32]) -> Result<Vec<u8>, Error> {
        let sealed = seal(&self.current.key, tenant.as_str(), data_key);
        let Sealed { nonce, ciphertext } = sealed.map_err(|_| not_open(tenant, DATA_KEY))?;
        Ok([&nonce[..], &ciphertext].concat())
    }

    /// The data key of `tenant` that was wrapped by the key `id`.
    pub(crate) fn unwrap(
        &self,
        tenant: &TenantId,
        id: &str,
        wrapped: &[u8],
    ) -> Result<RandomizedNonceKey, Error> {
        let bytes = self.unwrap_bytes(tenant, id, wrapped)?;
        RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| not_open(tenant, DATA_KEY))
    }

    pub(super) fn unwrap_bytes(
        &self,
        tenant: &TenantId,
        id: &str,
        wrapped: &[u8],
    ) -> Result<[u8; 32], Error> {
        let key = self.keys().find(|key| key.id == id);
        let key = key.ok_or_else(|| Error::UnknownKey(id.to_owned()))?;
        let parts = wrapped.split_at_checked(NONCE_LEN);
        let opened = parts.and_then(|(nonce, ciphertext)| {
            open(&key.key, tenant.as_str(), nonce, ciphertext.to_vec()).ok()
        });
        let bytes = opened.and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| not_open(tenant, DATA_KEY))
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.others)
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys().map(|key| &key.id)).finish()
    }
}

impl FromStr for KeyFile {
    type Err = InvalidKeyFile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = parse(line).ok_or(InvalidKeyFile::Line(index + 1))?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(InvalidKeyFile::Twice(key.id));
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or(InvalidKeyFile::Empty)?;
        Ok(Self { current, others: keys.collect() })
    }
}

fn parse(line: &str) -> Option<Key> {
    let (id, key) = line.split_once(char::is_whitespace)?;
    let bytes = STANDARD.decode(key.trim()).ok()?;
    // Of another length it is none.
    let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).ok()?;
    Some(Key { id: id.to_owned(), key })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, byte: u8) -> String {
        format!("{id} {}\n", STANDARD.encode([byte; 32]))
    }

    #[test]
    fn the_first_key_wraps_and_every_key_unwraps_for_its_tenant_alone() {
        let old: KeyFile = line("old", 1).parse().unwrap();
        let text = ["# keys\n\n", &line("new", 2), &line("old", 1)].concat();
        let both: KeyFile = text.parse().unwrap();
        assert_eq!(both.current(), "new");
        let (one, two) = ("c-one".parse().unwrap(), "c-two".parse().unwrap());
        let wrapped = old.wrap(&one, &[7; 32]).unwrap();
        assert_eq!(both.unwrap_bytes(&one, "old", &wrapped).unwrap(), [7; 32]);
        for (tenant, id) in [(&two, "old"), (&one, "new")] {
            let error = both.unwrap_bytes(tenant, id, &wrapped).unwrap_err();
            assert!(matches!(error, Error::Sealed { .. }), "{error:?}");
        }
        let wrapped = both.wrap(&one, &[7; 32]).unwrap();
        let error = old.unwrap_bytes(&one, "new", &wrapped).unwrap_err();
        assert!(matches!(error, Error::UnknownKey(id) if id == "new"));
    }

    #[test]
    fn what_is_no_key_file_is_refused_without_a_word_of_it() {
        let short = STANDARD.encode([1; 31]);
        for (text, expected) in [
            (String::new(), InvalidKeyFile::Empty),
            (line("one", 1) + "two hush", InvalidKeyFile::Line(2)),
            (format!("one {short}"), InvalidKeyFile::Line(1)),
            (line("one", 1) + &line("one", 2), InvalidKeyFile::Twice("one".to_owned())),
        ] {
            let error = text.parse::<KeyFile>().unwrap_err();
            assert_eq!(error, expected);
            assert!(!format!("{error} {error:?}").contains("hush"));
        }
    }

    #[test]
    fn debug_shows_ids_alone() {
        let keys: KeyFile = (line("one", 1) + &line("two", 2)).parse().unwrap();
        assert_eq!(format!("{keys:?}"), r#"["one", "two"]"#);
    }
}
