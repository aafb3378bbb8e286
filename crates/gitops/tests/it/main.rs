//! The fleet repository on real git, with real bare remotes in temporary folders.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod committing;
mod crash;
mod disk;
mod files;
mod healing;
mod http;
mod racing;
mod reading;
mod refusing;
mod speed;
mod support;
