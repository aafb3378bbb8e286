//! The renderer from outside: its bytes, its promises, and what Kubernetes' own schemas say.

mod fixtures;
mod properties;
mod rules;
mod schemas;
mod snapshots;
