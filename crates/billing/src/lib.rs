//! Billing: a Stripe event becomes a committed tenant spec, whatever order, number or crash it arrives
//! with.
//!
//! ```text
//!  Stripe ──► webhook: verified, noted ──► account is due ──► review: read again, decide ──► periods
//!                                              ▲                   │                         notices
//!             internal API, links, deadlines ──┘                   └─► spec_changes ──► committer ──► git
//! ```
//!
//! An event says only that an account should be looked at again, so order, number and loss of events
//! do not matter. What was read is decided on by one pure function, [`decide::decide`], and written
//! down in one transaction, which is void if the account has changed since it was read.

pub mod decide;

mod committer;
mod config;
mod draw;
mod http;
mod metrics;
mod review;
mod run;
mod trace;
mod verbs;

pub use config::Config;
pub use run::run;
pub use verbs::Verb;
