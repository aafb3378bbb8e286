use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oc_domain::TenantId;

use crate::{
    KeyRing, PublicKey,
    ring::{InvalidKey, key_bytes},
};

const SIGNATURE_BYTES: usize = 64;
/// The longest token: a name of 40 characters and a generation of ten digits.
const MAX_TOKEN_BYTES: usize = 3 + 40 + 1 + 10 + 1 + 86;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Whose it is.
    pub tenant: TenantId,
    /// How often the tenant's tokens had been revoked when it was signed, counted from 1.
    pub generation: u32,
}

/// The token is none of ours: badly formed, or signed by none of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the platform token is not valid")]
pub struct Invalid;

/// The operator's half of a key.
pub struct SigningKey {
    pair: Ed25519KeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new key, as text to be kept in a file: base64url of its 32 bytes.
    pub fn generate() -> Result<String, InvalidKey> {
        let mut seed = [0_u8; 32];
        aws_lc_rs::rand::SecureRandom::fill(&SystemRandom::new(), &mut seed)
            .map_err(|_| InvalidKey)?;
        Ok(URL_SAFE_NO_PAD.encode(seed))
    }

    /// Reads what [`SigningKey::generate`] gave.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let seed = key_bytes(text)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| InvalidKey)?;
        Ok(Self { pair })
    }

    /// The half that the proxies get.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey::new(bytes)
    }

    /// The one token of this tenant and generation.
    pub fn sign(&self, claims: &Claims) -> String {
        let mut token = format!("oc_{}_{}", claims.tenant, claims.generation);
        let signature = self.pair.sign(token.as_bytes());
        token.push('_');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        token
    }
}

impl KeyRing {
    /// What the token says, and which key of the ring signed it.
    pub(crate) fn verify(&self, token: &str) -> Result<(Claims, PublicKey), Invalid> {
        let Parts { claims, signed, signature } = Parts::split(token).ok_or(Invalid)?;
        let signed_by = |key: &&PublicKey| {
            ParsedPublicKey::new(&ED25519, key.as_bytes())
                .is_ok_and(|key| key.verify_sig(signed.as_bytes(), &signature).is_ok())
        };
        let key = self.keys().iter().find(signed_by).ok_or(Invalid)?;
        Ok((claims, *key))
    }
}

struct Parts<'a> {
    claims: Claims,
    signed: &'a str,
    signature: [u8; SIGNATURE_BYTES],
}

impl<'a> Parts<'a> {
    /// Splits at the first three underscores: the signature may have more of them.
    fn split(token: &'a str) -> Option<Self> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let mut parts = token.splitn(4, '_');
        let (prefix, tenant, generation) = (parts.next()?, parts.next()?, parts.next()?);
        let encoded = parts.next()?;
        // One spelling only: no sign, no leading zero, so that a token has no second form.
        let canonical = !generation.starts_with(['0', '+']);
        if prefix != "oc" || !canonical {
            return None;
        }
        let claims = Claims { tenant: tenant.parse().ok()?, generation: generation.parse().ok()? };
        let mut signature = [0; SIGNATURE_BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(encoded, &mut signature).ok()?;
        let signed = token.get(..token.len() - encoded.len() - 1)?;
        (length == SIGNATURE_BYTES).then_some(Self { claims, signed, signature })
    }
}
