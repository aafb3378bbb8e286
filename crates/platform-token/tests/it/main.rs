//! Tokens from signature to verdict.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use oc_domain::TenantId;
use oc_platform_token::{Claims, KeyRing, Refused, SigningKey, Verifier};
use proptest::prelude::*;

fn key() -> SigningKey {
    SigningKey::parse(&SigningKey::generate().unwrap()).unwrap()
}

fn ring(keys: &[&SigningKey]) -> KeyRing {
    let lines: Vec<String> = keys.iter().map(|key| key.public().to_string()).collect();
    lines.join("\n").parse().unwrap()
}

fn claims(tenant: &str, generation: u32) -> Claims {
    Claims { tenant: tenant.parse().unwrap(), generation }
}

#[test]
fn a_token_says_what_was_signed_and_is_the_same_every_time() {
    let key = key();
    let verifier = Verifier::new(ring(&[&key]), 100);
    let claims = claims("c-7f3k2m9q", 3);
    let token = key.sign(&claims);
    assert_eq!(token, key.sign(&claims));
    assert!(token.starts_with("oc_c-7f3k2m9q_3_"), "{token}");
    for _ in 0..2 {
        assert_eq!(*verifier.verify(&token).unwrap(), claims);
    }
}

#[test]
fn a_known_token_has_one_form_for_ever() {
    let key = SigningKey::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    let token = key.sign(&claims("c-7f3k2m9q", 1));
    assert_eq!(
        token,
        "oc_c-7f3k2m9q_1_kFqGn0O6XOS7ROscciPUAgb8051CxynSlVGtZ_okgSC_sQSUTvcnTqn0Be9KbabGvnTSaSSJu8Mp2TeOF-jMBw"
    );
}

#[test]
fn a_signature_may_hold_underscores() {
    let key = key();
    let verifier = Verifier::new(ring(&[&key]), 1000);
    let tokens: Vec<String> = (1..200).map(|n| key.sign(&claims("c-7f3k2m9q", n))).collect();
    assert!(tokens.iter().any(|token| token.matches('_').count() > 3));
    assert!(tokens.iter().all(|token| verifier.verify(token).is_ok()));
}

#[test]
fn a_key_that_is_taken_out_takes_its_tokens_along() {
    let (old, new) = (key(), key());
    let verifier = Verifier::new(ring(&[&old]), 100);
    let claims = claims("c-7f3k2m9q", 1);
    let (by_old, by_new) = (old.sign(&claims), new.sign(&claims));
    assert!(verifier.verify(&by_old).is_ok());
    assert!(verifier.verify(&by_new).is_err());
    verifier.replace(ring(&[&old, &new]));
    assert!(verifier.verify(&by_old).is_ok() && verifier.verify(&by_new).is_ok());
    verifier.replace(ring(&[&new]));
    assert!(verifier.verify(&by_new).is_ok());
    assert!(verifier.verify(&by_old).is_err(), "remembered beyond its key");
}

#[test]
fn a_small_memory_forgets_but_never_refuses() {
    let key = key();
    let verifier = Verifier::new(ring(&[&key]), 8);
    let tokens: Vec<String> = (1..50).map(|n| key.sign(&claims("c-7f3k2m9q", n))).collect();
    for token in tokens.iter().chain(&tokens) {
        assert!(verifier.verify(token).is_ok());
    }
}

#[test]
fn a_flood_of_bad_tokens_is_cut_short_and_leaves_known_ones_alone() {
    let key = key();
    let verifier = Verifier::new(ring(&[&key]), 100);
    let good = key.sign(&claims("c-7f3k2m9q", 1));
    assert!(verifier.verify(&good).is_ok());
    let bad = self::key().sign(&claims("c-7f3k2m9q", 1));
    let verdicts: Vec<Refused> = (0..600).map(|_| verifier.verify(&bad).unwrap_err()).collect();
    assert!(verdicts.contains(&Refused::Busy));
    assert!(verifier.verify(&good).is_ok());
}

#[test]
fn a_ring_holds_one_or_two_keys() {
    let key = key().public().to_string();
    assert!("".parse::<KeyRing>().is_err());
    assert!(format!("# comment\n\n{key}\n").parse::<KeyRing>().is_ok());
    assert!([key.as_str(); 3].join("\n").parse::<KeyRing>().is_err());
    assert!("short".parse::<KeyRing>().is_err());
}

proptest! {
    #[test]
    fn nothing_but_the_exact_token_is_accepted(
        tenant in "[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?",
        generation in 1_u32..,
        at in any::<prop::sample::Index>(),
        byte in any::<char>(),
    ) {
        let key = key();
        let verifier = Verifier::new(ring(&[&key]), 100);
        let tenant: TenantId = tenant.parse().unwrap();
        let token = key.sign(&Claims { tenant, generation });
        let mut characters: Vec<char> = token.chars().collect();
        let at = at.index(characters.len());
        if let Some(place) = characters.get_mut(at) {
            *place = byte;
        }
        let changed: String = characters.into_iter().collect();
        prop_assert_eq!(verifier.verify(&changed).is_ok(), changed == token);
        prop_assert!(verifier.verify(&[&token, "="].concat()).is_err());
        prop_assert!(verifier.verify(&token).is_ok());
    }

    #[test]
    fn garbage_is_refused(text in ".{0,200}") {
        prop_assert!(Verifier::new(ring(&[&key()]), 100).verify(&text).is_err());
    }
}
