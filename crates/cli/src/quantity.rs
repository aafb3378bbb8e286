//! Kubernetes' quantities: `1`, `1000m` and `1e0` are one amount, and the API writes its own form.

/// Whether a place of an object holds a quantity.
#[cfg(feature = "cluster")]
pub(crate) fn is_at(pointer: &str) -> bool {
    let within = ["/resources/requests/", "/resources/limits/"];
    within.iter().any(|part| pointer.contains(part))
        || pointer.ends_with("/sizeLimit")
        || pointer.starts_with("/spec/hard/")
        || pointer.starts_with("/spec/limits/")
}

/// Billionths of one.
const NANOS: i128 = 1_000_000_000;

/// How much `text` is, in billionths; nothing for what is no quantity.
pub(crate) fn nanos(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c)));
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let (numerator, shift) = unit_of(unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?;
    scale(digits.checked_mul(numerator)?, shift.checked_sub(places)?.checked_add(9)?)
}

/// How many gibibytes hold `text`.
#[cfg(feature = "cluster")]
pub(crate) fn gibi(text: &str) -> Option<u32> {
    const GIBI: i128 = NANOS << 30;
    u32::try_from((nanos(text)? + GIBI - 1) / GIBI).ok()
}

/// How many mebibytes hold `text`.
pub(crate) fn mebi(text: &str) -> Option<u64> {
    const MEBI: i128 = NANOS << 20;
    u64::try_from((nanos(text)? + MEBI - 1) / MEBI).ok()
}

/// How many thousandths hold `text`.
pub(crate) fn millis(text: &str) -> Option<u64> {
    const MILLI: i128 = NANOS / 1000;
    u64::try_from((nanos(text)? + MILLI - 1) / MILLI).ok()
}

/// A unit as a factor and a power of ten.
fn unit_of(unit: &str) -> Option<(i128, i32)> {
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(power) = binary.iter().position(|name| *name == unit) {
        return Some((1024_i128.pow(u32::try_from(power).ok()? + 1), 0));
    }
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    if let Some(step) = decimal.iter().position(|name| *name == unit) {
        return Some((1, (i32::try_from(step).ok()? - 3) * 3));
    }
    let exponent = unit.strip_prefix(['e', 'E'])?;
    Some((1, exponent.parse().ok()?))
}

/// `amount` times ten to the `power`, where that is a whole number.
fn scale(amount: i128, power: i32) -> Option<i128> {
    let factor = 10_i128.checked_pow(power.unsigned_abs())?;
    if power >= 0 {
        amount.checked_mul(factor)
    } else {
        (amount % factor == 0).then(|| amount / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_amount_has_many_forms() {
        for forms in [
            &["1", "1000m", "1e0", "1.0", "+1", "0.001k", "1000000u"][..],
            &["2Gi", "2048Mi", "2147483648", "2.0Gi"],
            &["1536Mi", "1.5Gi", "1610612736"],
            &["0", "0m", "0Gi"],
            &["1M", "1e6", "1E6", "1000k"],
            &["-5m", "-0.005"],
        ] {
            let amounts: Vec<Option<i128>> = forms.iter().map(|form| nanos(form)).collect();
            assert!(amounts.iter().all(|a| a.is_some() && *a == amounts[0]), "{forms:?}");
        }
    }

    #[test]
    fn amounts_that_differ_are_not_one() {
        let amounts: Vec<_> = ["1", "1m", "1Ki", "1k", "1Mi", "1M", "1E"].map(nanos).into();
        for (index, amount) in amounts.iter().enumerate() {
            assert!(amount.is_some() && !amounts[..index].contains(amount), "{index}");
        }
    }

    #[test]
    fn what_is_no_quantity_has_no_amount() {
        for text in ["", "Gi", "one", "1 Gi", "1GiB", "1ee", "--1", "1.2.3", "9e99"] {
            assert_eq!(nanos(text), None, "{text:?}");
        }
    }
}
