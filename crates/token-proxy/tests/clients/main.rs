//! Real clients, unmodified, through the proxy: the SDKs of OpenAI and Anthropic for Python and
//! Node, and the OpenClaw gateway. `scripts/test` installs them and says where.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use oc_sandbox::stack::{Setup, Stack};

mod gateway;
mod installed;
mod openclaw;
mod sdks;
mod telegram;

async fn start() -> Stack {
    Stack::start(Setup::new(env!("CARGO_BIN_EXE_oc-token-proxy"))).await.unwrap()
}
