//! Calls of a pod, checked and sent to a Telegram that talks back.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod client;
mod encodings;
mod forward;
mod ways_out;
