//! The model providers: which one gets a request, and what to make of its answer.
//!
//! ```text
//!  request ──► first provider with the model and the dialect, and a key that is not broken
//!                 └─ gate: so many requests a key at once, in turn between tenants
//!                       └─ attempt ──► answer │ refusal, for the client │ failure ──► next key, or provider
//! ```
//!
//! Tried again is only what has not answered a byte, within a budget.

mod attempt;
mod body;
mod breaker;
mod budget;
mod call;
mod file;
mod gate;
mod verdict;

pub(crate) use body::Pieces;
pub(crate) use call::{Answer, Call, Client, Failure, Reply, client, kept};
pub(crate) use file::{Lane, Pool, Upstream};
pub(crate) use gate::Permit;
