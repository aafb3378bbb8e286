//! What Stripe sends: whether it is from Stripe, and whom it may concern.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, verify as verify_mac};
use jiff::{SignedDuration, Timestamp};
use oc_domain::AccountId;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::standing::ACCOUNT;

/// How old a signature may be, and how far in the future: a replay is harmless here, since events are
/// hints, but an old one is no sign of Stripe.
pub const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
/// The largest body that is read, in bytes; real ones have at most some tens of kilobytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Signatures that are looked at: Stripe sends one for each secret that is valid.
const MOST_SIGNATURES: usize = 8;

/// The event types that make an account be looked at again. All others are stored and ignored.
pub const HANDLED: [&str; 16] = [
    "checkout.session.completed",
    "checkout.session.expired",
    "invoice.payment_succeeded",
    "invoice.paid",
    "invoice.payment_failed",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "charge.refunded",
    "charge.dispute.created",
    "charge.dispute.closed",
    "subscription_schedule.updated",
    "subscription_schedule.released",
    "subscription_schedule.canceled",
];

/// Why a delivery is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no signature, or what stands there is none.
    #[error("the Stripe-Signature header is missing or malformed")]
    Unsigned,
    /// None of the signatures is by one of our secrets.
    #[error("no signature matches")]
    Forged,
    /// It was signed too long ago, or in the future.
    #[error("the signature is not of these minutes")]
    Expired,
    /// It is signed, and no event.
    #[error("not an event: {0}")]
    Malformed(&'static str),
}

/// What an event says that is worth keeping: nothing of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The event's id.
    pub id: String,
    /// Its type, like `invoice.paid`.
    pub kind: String,
    /// The version of the API that it was made for.
    pub api_version: Option<String>,
    /// When it happened.
    pub created: Timestamp,
    /// The object that it is about.
    pub object: Option<String>,
    /// The customer, where the object names one.
    pub customer: Option<String>,
    /// The charge that a dispute is about: disputes name no customer.
    pub charge: Option<String>,
    /// The account in the object's metadata.
    pub account: Option<AccountId>,
}

impl Hint {
    /// Whether the account is to be looked at again.
    pub fn is_handled(&self) -> bool {
        HANDLED.contains(&self.kind.as_str())
    }
}

/// Reads a delivery that was signed with one of `secrets` about `now`.
pub fn verify(
    header: Option<&str>,
    body: &[u8],
    secrets: &[SecretString],
    now: Timestamp,
) -> Result<Hint, Refused> {
    let header = header.ok_or(Refused::Unsigned)?;
    let (time, signatures) = signatures(header)?;
    let mut signed = format!("{time}.").into_bytes();
    signed.extend_from_slice(body);
    // Every pair is tried, so that the time tells nothing of which secret it was.
    let mut genuine = false;
    for secret in secrets {
        let key = Key::new(HMAC_SHA256, secret.expose_secret().as_bytes());
        for signature in &signatures {
            genuine |= verify_mac(&key, &signed, signature).is_ok();
        }
    }
    if !genuine {
        return Err(Refused::Forged);
    }
    let at = Timestamp::from_second(time).map_err(|_| Refused::Expired)?;
    if now.duration_since(at).abs() > TOLERANCE {
        return Err(Refused::Expired);
    }
    hint(body)
}

/// `t=1,v1=aa,v1=bb`: the time, and the signatures of the one scheme that counts.
fn signatures(header: &str) -> Result<(i64, Vec<Vec<u8>>), Refused> {
    let mut time = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) => time = value.parse().ok(),
            Some(("v1", value)) if signatures.len() < MOST_SIGNATURES => {
                signatures.extend(hex::decode(value));
            }
            _ => {}
        }
    }
    match time {
        Some(time) if !signatures.is_empty() => Ok((time, signatures)),
        _ => Err(Refused::Unsigned),
    }
}

fn hint(body: &[u8]) -> Result<Hint, Refused> {
    let event: Value =
        serde_json::from_slice(body).map_err(|_| Refused::Malformed("it is not JSON"))?;
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let created = event.get("created").and_then(Value::as_i64);
    let created = created.and_then(|seconds| Timestamp::from_second(seconds).ok());
    // An object where there is an id of one, if somebody has it expanded.
    let reference = |pointer: &str| text(pointer).or_else(|| text(&format!("{pointer}/id")));
    let is_customer = text("/data/object/object").as_deref() == Some("customer");
    let customer = reference("/data/object/customer");
    Ok(Hint {
        id: text("/id").filter(|id| is_id(id)).ok_or(Refused::Malformed("it has no id"))?,
        kind: text("/type").ok_or(Refused::Malformed("it has no type"))?,
        api_version: text("/api_version"),
        created: created.ok_or(Refused::Malformed("it has no time"))?,
        object: text("/data/object/id"),
        customer: if is_customer { text("/data/object/id") } else { customer },
        charge: reference("/data/object/charge"),
        account: text(&format!("/data/object/metadata/{ACCOUNT}"))
            .and_then(|account| account.parse().ok()),
    })
}

fn is_id(id: &str) -> bool {
    (1..=255).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac::sign;

    use super::*;

    const BODY: &[u8] =
        br#"{"id":"evt_1","type":"invoice.paid","created":1,"api_version":"2026-09-30.endive",
        "data":{"object":{"object":"invoice","id":"in_1","customer":"cus_1","metadata":{}}}}"#;

    fn signature(secret: &str, time: i64, body: &[u8]) -> String {
        let key = Key::new(HMAC_SHA256, secret.as_bytes());
        let signed = [format!("{time}.").as_bytes(), body].concat();
        hex::encode(sign(&key, &signed))
    }

    fn check(header: Option<&str>, body: &[u8], secrets: &[&str]) -> Result<Hint, Refused> {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| (*secret).into()).collect();
        verify(header, body, &secrets, Timestamp::from_second(1000).unwrap())
    }

    #[test]
    fn a_signed_event_says_whom_it_concerns() {
        let header = format!("t=1000,v1={}", signature("a", 1000, BODY));
        let hint = check(Some(&header), BODY, &["a"]).unwrap();
        assert_eq!((hint.id.as_str(), hint.customer.as_deref()), ("evt_1", Some("cus_1")));
        assert!(hint.is_handled());
    }

    #[test]
    fn either_secret_will_do_while_they_change() {
        let header = format!("t=1000,v1={}", signature("new", 1000, BODY));
        assert!(check(Some(&header), BODY, &["old", "new"]).is_ok());
        let both =
            format!("t=1000,v1={},v1={}", signature("b", 1000, BODY), signature("a", 1000, BODY));
        assert!(check(Some(&both), BODY, &["a"]).is_ok());
    }

    #[test]
    fn what_is_not_stripes_is_refused() {
        let good = format!("t=1000,v1={}", signature("a", 1000, BODY));
        let other = [BODY, b" "].concat();
        assert_eq!(check(Some(&good), &other, &["a"]), Err(Refused::Forged));
        assert_eq!(check(Some(&good), BODY, &["b"]), Err(Refused::Forged));
        assert_eq!(check(None, BODY, &["a"]), Err(Refused::Unsigned));
        for header in ["", "t=1000", "v1=00", "t=x,v1=00", "t=1000,v0=00", "t=1000,v1=zz"] {
            assert_eq!(check(Some(header), BODY, &["a"]), Err(Refused::Unsigned), "{header}");
        }
        let moved = good.replace("t=1000", "t=1001");
        assert_eq!(check(Some(&moved), BODY, &["a"]), Err(Refused::Forged));
    }

    #[test]
    fn an_old_signature_is_refused_and_one_of_the_future_too() {
        for time in [699, 1301] {
            let header = format!("t={time},v1={}", signature("a", time, BODY));
            assert_eq!(check(Some(&header), BODY, &["a"]), Err(Refused::Expired));
        }
    }

    #[test]
    fn what_is_signed_and_no_event_is_malformed() {
        for body in [&b"{}"[..], b"[]", b"\xff", br#"{"id":"evt_1","type":"x"}"#, br#"{"id":""}"#] {
            let header = format!("t=1000,v1={}", signature("a", 1000, body));
            assert!(matches!(check(Some(&header), body, &["a"]), Err(Refused::Malformed(_))));
        }
    }
}
