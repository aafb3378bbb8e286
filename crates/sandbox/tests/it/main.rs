//! The stand-in and the load over real connections.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod anthropic;
mod behaviour;
mod command;
mod load;
mod log;
mod openai;
mod stripe;
mod support;
mod talk;
