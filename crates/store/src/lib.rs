//! Postgres: accounts and what billing knows of them, tenants, periods, the ledger. The only crate that knows Postgres; one module
//! of free functions for each aggregate.
//!
//! Every call ends within three seconds, whatever becomes of Postgres; what could not be done says
//! by [`Error::is_transient`] whether it is worth trying again.
//!
//! Queries are checked when they are compiled, against `.sqlx/`, which `cargo xtask codegen` writes.

pub mod accounts;
pub mod audit;
pub mod bots;
pub mod chats;
pub mod events;
pub mod lock;
pub mod migrations;
pub mod outbox;
pub mod periods;
pub mod personal;
pub mod renderings;
pub mod reviews;
pub mod rollouts;
pub mod secrets;
pub mod spec_changes;
pub mod tenants;
pub mod updates;
pub mod usage;

mod connection;
mod error;

pub use connection::Store;
pub use error::Error;
