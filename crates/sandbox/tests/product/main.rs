//! The whole product on this machine: every service of ours as it ships, real Postgres, Redis, git and
//! Kubernetes, and the real OpenClaw on the local node; Stripe, Telegram and the provider of models
//! alone are stand-ins.
//!
//! Takes root, for the pods' namespaces, and `OPENCLAW_PACKAGES`, which `scripts/test` sets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and says what it measured"
)]

mod crash;
mod customer;
mod existing;
mod sealed;
mod story;
mod support;
