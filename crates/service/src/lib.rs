//! The process kit: configuration groups, telemetry, lifecycle, health and metrics.
