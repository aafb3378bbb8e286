//! The stand-in for Telegram, as bots and people find it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::similar_names,
    reason = "a test fails by panicking"
)]

mod faults;
mod messages;
mod pages;
mod polling;
mod support;
mod webhooks;
