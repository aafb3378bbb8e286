//! Operator: every tenant spec is a healthy, sealed, drift-free namespace within seconds.

pub mod health;
pub mod rollout;
