//! The renderer from outside: its bytes, its promises, and what Kubernetes' own schemas say.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod fixtures;
mod isolation;
mod monitoring;
mod properties;
mod rules;
mod schemas;
mod snapshots;
