//! The store against a real Postgres.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod agents;
mod claims;
mod command;
mod inbox;
mod keys;
mod leader;
mod ledger;
mod metering;
mod migrating;
mod notices;
mod operating;
mod outage;
mod people;
mod plans;
mod properties;
mod reading;
mod relaying;
mod reviewing;
mod rollouts;
mod specs;
mod support;
mod throughput;
mod versions;
