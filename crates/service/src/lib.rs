//! The process kit: what every service does besides its business, and no word of that business.
//!
//! A service is a library with a `Config` and an async `run(Config, Lifecycle)`; its `main.rs` is
//! one call:
//!
//! ```no_run
//! # #[derive(Debug, clap::Parser)]
//! # struct Config {
//! #     #[command(flatten)]
//! #     process: oc_service::Process,
//! # }
//! # impl AsRef<oc_service::Process> for Config {
//! #     fn as_ref(&self) -> &oc_service::Process { &self.process }
//! # }
//! # async fn run(_: Config, _: oc_service::Lifecycle) -> anyhow::Result<()> { Ok(()) }
//! fn main() -> std::process::ExitCode {
//!     oc_service::main::<Config>(run)
//! }
//! ```
//!
//! ```text
//! TLS provider → parse (exit 2) → telemetry → admin listener → run ─┬─ returns ──┐
//!                                                                   ├─ SIGTERM ──┼→ drain, at most the
//!                                      a task fails or panics ──────┴────────────┘  grace → flush
//! ```
//!
//! Exit 0: everything ended by itself. Exit 1: an error or a panic, which the log tells, or work
//! that was cut off at the grace or by a second signal. Exit 2: wrong use.

mod admin;
mod chain;
mod clock;
mod config;
mod impatient;
mod lifecycle;
mod metrics;
mod readiness;
mod run;
mod secret;
mod telemetry;

pub use chain::chain;
pub use clock::Clock;
pub use config::{DatabaseConfig, Process, RedisConfig, duration};
pub use impatient::Impatient;
pub use lifecycle::Lifecycle;
pub use readiness::Readiness;
pub use run::{main, serve};
pub use secret::secret;
pub use telemetry::{CALL, join_trace};
