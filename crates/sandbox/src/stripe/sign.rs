//! The signature of a delivery.

use std::fmt::Write as _;

use aws_lc_rs::hmac;

/// The `Stripe-Signature` of a body at a moment in seconds after 1970: one `v1` for each secret.
pub fn sign(secrets: &[&str], at: i64, body: &str) -> String {
    let mut header = format!("t={at}");
    for secret in secrets {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
        // Writing to a text cannot fail.
        let _ = write!(header, ",v1={}", hex::encode(tag));
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `printf '1492774577.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test`.
    #[test]
    fn a_signature_is_what_openssl_says() {
        let header = sign(&["whsec_test"], 1_492_774_577, r#"{"id":"evt_1"}"#);
        assert_eq!(
            header,
            "t=1492774577,v1=7656fc2882a7ca0a651666b36bf2f2f22ee204f54f608f227498a2419f2890b2"
        );
    }

    #[test]
    fn each_secret_has_its_signature() {
        let header = sign(&["a", "b"], 1, "{}");
        let alone = |secret| sign(&[secret], 1, "{}").replace("t=1,", "");
        assert_eq!(header, format!("t=1,{},{}", alone("a"), alone("b")));
    }
}
