//! Short links: a customer's way from a message to what it can pay.

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    hmac::{HMAC_SHA256, Key, sign},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oc_domain::TenantId;

/// What a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To a larger plan, or the first one.
    Upgrade,
    /// To cards and invoices.
    Portal,
}

/// A link: what it leads to, for whom, until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it leads.
    pub purpose: Purpose,
    /// Whose it is.
    pub tenant: TenantId,
    /// The first second after 1970 at which it leads nowhere any more.
    pub expires: u32,
}

/// The key that links are signed with, the same one where they are made and where they are followed.
/// Whoever has it can open any customer's page.
#[derive(Clone)]
pub struct LinkKey(Key);

/// The text that is no link of ours, or one no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the link is not valid, or not any more")]
pub struct InvalidLink;

/// The text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link key is at least 32 bytes")]
pub struct InvalidLinkKey;

/// Bytes of the signature: as many as cannot be guessed over a network.
const MAC: usize = 12;

impl LinkKey {
    /// The key of a secret.
    pub fn new(secret: &[u8]) -> Result<Self, InvalidLinkKey> {
        let long_enough = secret.len() >= 32;
        long_enough.then(|| Self(Key::new(HMAC_SHA256, secret))).ok_or(InvalidLinkKey)
    }

    /// The last part of the address, some 36 characters.
    pub fn sign(&self, link: &Link) -> String {
        let purpose = match link.purpose {
            Purpose::Upgrade => b'u',
            Purpose::Portal => b'p',
        };
        let mut bytes = vec![purpose];
        bytes.extend_from_slice(&link.expires.to_be_bytes());
        bytes.extend_from_slice(link.tenant.as_str().as_bytes());
        let mac = sign(&self.0, &bytes);
        bytes.extend_from_slice(mac.as_ref().get(..MAC).unwrap_or_default());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a link at `now`, in seconds after 1970.
    pub fn verify(&self, text: &str, now: u32) -> Result<Link, InvalidLink> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidLink)?;
        let length = bytes.len().checked_sub(MAC).ok_or(InvalidLink)?;
        let (said, mac) = bytes.split_at_checked(length).ok_or(InvalidLink)?;
        let genuine = sign(&self.0, said);
        verify_slices_are_equal(genuine.as_ref().get(..MAC).unwrap_or_default(), mac)
            .map_err(|_| InvalidLink)?;
        let (head, tenant) = said.split_at_checked(5).ok_or(InvalidLink)?;
        let (purpose, expires) = head.split_first().ok_or(InvalidLink)?;
        let purpose = match purpose {
            b'u' => Purpose::Upgrade,
            b'p' => Purpose::Portal,
            _ => return Err(InvalidLink),
        };
        let expires = u32::from_be_bytes(expires.try_into().map_err(|_| InvalidLink)?);
        let tenant = str::from_utf8(tenant).ok().and_then(|tenant| tenant.parse().ok());
        let link = Link { purpose, tenant: tenant.ok_or(InvalidLink)?, expires };
        if now < expires { Ok(link) } else { Err(InvalidLink) }
    }
}

impl std::fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link { purpose: Purpose::Upgrade, tenant: "c-7f3k2m9q".parse().unwrap(), expires: 1000 }
    }

    #[test]
    fn a_link_is_what_was_signed_until_it_expires() {
        let key = LinkKey::new(&[7; 32]).unwrap();
        let text = key.sign(&link());
        assert!(text.len() <= 40, "{text}");
        assert_eq!(key.verify(&text, 999), Ok(link()));
        assert_eq!(key.verify(&text, 1000), Err(InvalidLink));
        assert_eq!(LinkKey::new(&[8; 32]).unwrap().verify(&text, 1), Err(InvalidLink));
    }

    #[test]
    fn no_changed_link_is_one() {
        let key = LinkKey::new(&[7; 32]).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(key.sign(&link())).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_eq!(key.verify(&URL_SAFE_NO_PAD.encode(changed), 1), Err(InvalidLink));
        }
        for text in ["", "AAAA", "!", "u"] {
            assert_eq!(key.verify(text, 1), Err(InvalidLink));
        }
    }
}
