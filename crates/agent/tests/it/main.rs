//! The agent as a pod has it: its binary, volumes as a kubelet keeps them, and the real, pinned
//! gateway between stand-ins of Telegram and of a model. `scripts/test` installs the gateway.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod changes;
mod chat;
mod failing;
mod model;
mod pod;
mod process;
mod puppet;
mod schema;
mod sealed;
mod warm;
