//! The operator as a process on a real API server, controller-manager and scheduler, with simulated
//! nodes, a real Postgres, Redis and git remote.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod lifecycle;
mod support;
