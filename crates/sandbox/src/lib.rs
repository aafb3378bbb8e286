//! The local stack: stand-ins for what lives on the internet, a node that runs agents, and the load that
//! tests what stands before them.
//!
//! [`kimi`] answers as the provider of language models does, well or badly, and logs what it
//! served; `load` asks it, directly or through a proxy, and measures.

use std::time::Duration;

pub mod billing;
pub mod desk;
pub mod journey;
pub mod kimi;
pub mod load;
pub mod local;
pub mod node;
pub mod operator;
pub mod stack;
pub mod stripe;
pub mod telegram;

mod remote;
mod service;

pub use remote::{Remote, git};
pub use service::{Service, signal};

/// A length of time such as `20ms`.
pub fn duration(text: &str) -> Result<Duration, jiff::Error> {
    text.parse::<jiff::SignedDuration>()?.try_into()
}
