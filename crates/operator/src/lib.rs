//! Operator: every tenant spec is a healthy, sealed, drift-free namespace within seconds.
//!
//! ```text
//!  git ───────► Reader ──┐                        ┌─► Tenant, row in Postgres
//!  API server ► Watches ─┼─► World ─► Queue ─► Operator: one look at one tenant
//!  Redis ─────► listen ──┘             ▲          └─► objects in order, pod, status
//!                       Conductor ─────┘ waves of what concerns the whole fleet
//! ```
//!
//! One replica leads, by a Lease. All that it holds in memory may be lost at any instruction: what
//! must last stands in git, in Postgres, or in the objects and their status.

pub mod health;
pub mod rollout;

mod api;
mod conductor;
mod config;
mod digest;
mod failure;
mod fleetwide;
mod git;
mod kind;
mod lease;
mod metrics;
mod orders;
mod piece;
mod queue;
mod reconcile;
mod run;
mod source;
mod verbs;
mod watch;
mod world;

pub use config::Config;
pub use run::run;
pub use verbs::{RolloutVerb, Verb};
