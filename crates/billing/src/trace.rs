//! The id that runs from an event through decision, commit and apply.

use rand::random;

/// A new trace id, as W3C has them: 32 hexadecimal digits.
pub(crate) fn new() -> String {
    hex::encode(random::<[u8; 16]>())
}
