//! The relay as processes, between Telegram's stand-in, Postgres, Redis and pods.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod calls;
mod crash;
mod files;
mod journey;
mod load;
mod metering;
mod notices;
mod outages;
mod people;
mod polls;
mod support;
mod verbs;
mod webhook;
