//! The LLM gateway that meters to the token.
//!
//! ```text
//!  pod ──► route, token ──► inspect ──► admit ───────► upstream ──► relay ──► pod
//!                             (body)   (one script)  (key, provider)  │ usage, read on the side
//!                                                                     └──► settle (one script)
//!                                             Redis stream ──► consumer ──► ledger (Postgres)
//! ```
//!
//! The provider's bytes reach the client as they are. Every admitted request becomes exactly one row
//! of the ledger, whatever happens to the client, the provider, this process, Redis or Postgres; see
//! `meter` and `oc_streams`.

mod admit;
mod answer;
mod bare;
mod config;
#[cfg(fuzzing)]
pub mod fuzz;
mod handle;
mod inspect;
mod json;
mod meter;
mod metrics;
mod reconcile;
mod relay;
mod request;
mod route;
mod run;
mod server;
mod shape;
mod upstream;
mod upstreams;
mod usage;

pub use config::Config;
pub use run::run;
