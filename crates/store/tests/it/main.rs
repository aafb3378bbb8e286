//! The store against a real Postgres.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod command;
mod leader;
mod ledger;
mod migrating;
mod outage;
mod properties;
mod reading;
mod support;
mod throughput;
