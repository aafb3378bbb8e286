//! Ids as Stripe spells them, drawn from a seed.

use std::{collections::BTreeMap, sync::Arc};

/// The id of an object: its kind as a prefix, then letters and digits.
pub type Id = Arc<str>;

/// What a customer of Stripe may attach to an object.
pub type Metadata = Arc<BTreeMap<String, String>>;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A sequence of numbers that its seed decides.
#[derive(Clone, Debug)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (`SplitMix64`).
    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, or 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.number().checked_rem(bound).unwrap_or_default()
    }

    /// Whether an event of this probability happens.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        // The upper 32 bits are exact in a float.
        let unit = f64::from(u32::try_from(self.number() >> 32).unwrap_or_default());
        unit < probability * 4_294_967_296.0
    }

    /// A new id of this kind, with so many characters after its prefix.
    pub(super) fn id(&mut self, prefix: &str, length: usize) -> Id {
        let mut text = String::with_capacity(prefix.len() + length);
        text.push_str(prefix);
        let mut number = 0;
        for place in 0..length {
            if place % 10 == 0 {
                number = self.number();
            }
            let digit = usize::try_from(number % 62).unwrap_or_default();
            text.push(char::from(ALPHABET.get(digit).copied().unwrap_or(b'0')));
            number /= 62;
        }
        text.into()
    }
}

/// Metadata with these changes; an empty value takes its key away.
pub(super) fn merge(metadata: &mut Metadata, changes: &BTreeMap<String, String>) {
    let merged = Arc::make_mut(metadata);
    for (key, value) in changes {
        if value.is_empty() {
            merged.remove(key);
        } else {
            merged.insert(key.clone(), value.clone());
        }
    }
}
