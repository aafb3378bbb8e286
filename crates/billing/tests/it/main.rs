//! The service as processes, between Stripe's stand-in, Postgres, Redis and a fleet repository.
//!
//! The service knows the time of day alone, so each test begins with Stripe's clock as far in the past
//! as its story is long, and ends with that clock at the time of day.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod agents;
mod boundaries;
mod changes;
mod check;
mod crash;
mod human;
mod journey;
mod keys;
mod load;
mod money;
mod outages;
mod poison;
mod renewals;
mod starting;
mod support;
mod webhook;
