//! The scripts against a real Redis.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod admission;
mod bulletin;
mod events;
mod mirror;
mod model;
mod presence;
mod rate;
mod recovery;
mod settling;
mod support;
