//! Platform tokens: the only credential that a tenant's pod holds.
//!
//! ```text
//!  oc_<tenant>_<generation>_<Ed25519 signature of all before the last underscore, base64url>
//! ```
//!
//! The operator signs them, alone and deterministically: the same tenant and generation give the
//! same bytes for ever. Every proxy verifies them with public keys only. Whether the generation is
//! still the tenant's is not asked here: the proxies read that in the script that they call anyway.
//!
//! Beside them stand [`Link`]s, which lead a customer from a message to its own pages.

mod cache;
mod link;
mod ring;
mod token;

pub use cache::{Refused, Verifier};
pub use link::{InvalidLink, InvalidLinkKey, Link, LinkKey, Purpose};
pub use ring::{InvalidKey, KeyRing, PublicKey};
pub use token::{Claims, Invalid, SigningKey};
