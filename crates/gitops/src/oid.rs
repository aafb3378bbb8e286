//! The name of a git object.

use std::{fmt, str::FromStr};

/// The name of a commit: its SHA-1, as every host of git repositories uses it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid([u8; Oid::BYTES]);

/// The text that is no object's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a commit: expected 40 lower-case hexadecimal digits")]
pub struct InvalidOid(String);

impl Oid {
    /// The tip of a branch that does not exist yet, in git's own notation: all zeros.
    pub const NULL: Self = Self([0; Self::BYTES]);

    pub(crate) const BYTES: usize = 20;

    /// Whether this is [`Oid::NULL`].
    pub fn is_null(&self) -> bool {
        *self == Self::NULL
    }

    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Oid {
    type Err = InvalidOid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidOid(text.to_owned());
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        if text.len() != 2 * Self::BYTES {
            return Err(invalid());
        }
        let mut bytes = [0; Self::BYTES];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            for text in digits {
                *byte = *byte << 4 | digit(*text).ok_or_else(invalid)?;
            }
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oid_is_forty_lower_case_digits() {
        let text = "00ff0123456789abcdef0123456789abcdef0123";
        assert_eq!(text.parse::<Oid>().unwrap().to_string(), text);
        for text in ["", "00FF0123456789abcdef0123456789abcdef0123", &text[1..], "HEAD"] {
            assert!(text.parse::<Oid>().is_err(), "{text:?}");
        }
    }
}
