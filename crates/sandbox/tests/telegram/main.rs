//! The stand-in for Telegram, as bots and people find it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
mod messages;
mod pages;
mod polling;
mod support;
mod webhooks;
