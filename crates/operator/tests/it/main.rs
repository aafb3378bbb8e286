//! The operator as a process on a real API server, controller-manager and scheduler, with simulated
//! nodes, a real Postgres, Redis and git remote.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod crash;
mod drift;
mod fleet;
mod leader;
mod lifecycle;
mod living;
mod load;
mod resize;
mod rights;
mod sick;
mod support;
mod waves;
