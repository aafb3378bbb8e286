//! AES-256-GCM.

use aws_lc_rs::{
    aead::{Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
};

/// What is encrypted, with its tag at its end.
pub(super) struct Sealed {
    pub(super) nonce: [u8; NONCE_LEN],
    pub(super) ciphertext: Vec<u8>,
}

/// Encrypts `plain`, so that it opens with that `context` alone.
pub(super) fn seal(
    key: &RandomizedNonceKey,
    context: &str,
    plain: &[u8],
) -> Result<Sealed, Unspecified> {
    let mut ciphertext = plain.to_vec();
    let nonce = key.seal_in_place_append_tag(Aad::from(context), &mut ciphertext)?;
    Ok(Sealed { nonce: *nonce.as_ref(), ciphertext })
}

/// What was encrypted in that `context`.
pub(super) fn open(
    key: &RandomizedNonceKey,
    context: &str,
    nonce: &[u8],
    mut ciphertext: Vec<u8>,
) -> Result<Vec<u8>, Unspecified> {
    let nonce = Nonce::try_assume_unique_for_key(nonce)?;
    let length = key.open_in_place(nonce, Aad::from(context), &mut ciphertext)?.len();
    ciphertext.truncate(length);
    Ok(ciphertext)
}
