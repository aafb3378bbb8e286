//! Quantities in the form that Kubernetes itself writes, so a read-back object equals ours.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Thousandths of a CPU.
pub(crate) fn millis(millis: u32) -> Quantity {
    Quantity(if millis.is_multiple_of(1000) {
        (millis / 1000).to_string()
    } else {
        format!("{millis}m")
    })
}

/// Mebibytes.
pub(crate) fn mebi(mebi: u32) -> Quantity {
    Quantity(if mebi.is_multiple_of(1024) && mebi > 0 {
        format!("{}Gi", mebi / 1024)
    } else {
        format!("{mebi}Mi")
    })
}

/// Gibibytes.
pub(crate) fn gibi(gibi: u32) -> Quantity {
    Quantity(format!("{gibi}Gi"))
}

/// A count of things.
pub(crate) fn count(count: u32) -> Quantity {
    Quantity(count.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_canonical() {
        assert_eq!(millis(250).0, "250m");
        assert_eq!(millis(2000).0, "2");
        assert_eq!(mebi(1536).0, "1536Mi");
        assert_eq!(mebi(2048).0, "2Gi");
    }
}
