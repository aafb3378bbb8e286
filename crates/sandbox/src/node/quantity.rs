//! Numbers out of Kubernetes quantities.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Suffixes and what they stand for, in thousandths.
const SUFFIXES: [(&str, u64); 10] = [
    ("m", 1),
    ("k", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("Ki", 1000 << 10),
    ("Mi", 1000 << 20),
    ("Gi", 1000 << 30),
    ("Ti", 1000 << 40),
    ("", 1000),
];

/// Thousandths, such as those of a CPU; `None` where it is no whole number of a known unit.
pub(super) fn thousandths(quantity: &Quantity) -> Option<u64> {
    let digits = quantity.0.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = quantity.0.strip_prefix(digits)?;
    let (_, unit) = SUFFIXES.iter().find(|(known, _)| *known == suffix)?;
    digits.parse::<u64>().ok()?.checked_mul(*unit)
}

/// Whole units, such as bytes.
pub(super) fn units(quantity: &Quantity) -> Option<u64> {
    thousandths(quantity).map(|thousandths| thousandths / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        let read = |text: &str| thousandths(&Quantity(text.to_owned()));
        assert_eq!(read("250m"), Some(250));
        assert_eq!(read("2"), Some(2000));
        assert_eq!(read("1536Mi"), Some((1536 * 1000) << 20));
        assert_eq!(read("1.5Gi"), None);
        assert_eq!(read("1Xi"), None);
        assert_eq!(units(&Quantity("512Mi".to_owned())), Some(512 << 20));
    }
}
