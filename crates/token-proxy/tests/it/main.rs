//! The proxy as a process, between real clients, Redis, Postgres, and a stand-in provider.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tasks of a test end with it")]

use oc_sandbox::{
    kimi::Options,
    stack::{Setup, Stack},
};

mod admission;
mod answers;
mod flood;
mod hostile;
mod operations;
mod reconcile;
mod retention;
mod settling;
mod shares;
mod traces;

fn setup() -> Setup {
    let kimi = Options { capture: true, ..Options::default() };
    Setup { kimi, ..Setup::new(env!("CARGO_BIN_EXE_oc-token-proxy")) }
}

async fn start() -> Stack {
    Stack::start(setup()).await.unwrap()
}
