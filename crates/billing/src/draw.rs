//! Ids that are the same whenever the same thing is asked for.

use aws_lc_rs::digest::{SHA256, digest};

/// The bits of an id, by what it is drawn for.
pub(crate) fn draw(what: &str) -> [u8; 5] {
    let hash = digest(&SHA256, what.as_bytes());
    let mut bits = [0; 5];
    bits.iter_mut().zip(hash.as_ref()).for_each(|(bit, byte)| *bit = *byte);
    bits
}
