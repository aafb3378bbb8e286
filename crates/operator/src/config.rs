//! Options of the process.

use std::path::PathBuf;

use clap::{Args, Parser};
use jiff::SignedDuration;
use oc_domain::TenantId;
use oc_gitops::FleetConfig;
use oc_service::{DatabaseConfig, Process, RedisConfig, duration};

use crate::rollout::Policy;

/// Makes every tenant spec of the fleet repository a healthy, sealed namespace
#[derive(Clone, Debug, Parser)]
#[command(name = "oc-operator", version)]
pub struct Config {
    /// File with the private key that platform tokens are signed with
    #[arg(long, env = "OPENCLAW_OPERATOR_SIGNING_KEY_FILE", value_name = "FILE")]
    pub(crate) signing_key_file: PathBuf,
    /// The namespace of the Lease that says which replica leads
    #[arg(long, env = "OPENCLAW_OPERATOR_NAMESPACE", value_name = "NAME")]
    #[arg(default_value = oc_manifests::PLATFORM)]
    pub(crate) namespace: String,
    /// How many tenants are looked at at once
    #[arg(long, env = "OPENCLAW_OPERATOR_WORKERS", value_name = "COUNT", default_value = "16")]
    pub(crate) workers: u16,
    #[command(flatten)]
    pub(crate) rollout: RolloutConfig,
    #[command(flatten)]
    pub(crate) fleet: FleetConfig,
    #[command(flatten)]
    pub(crate) database: DatabaseConfig,
    #[command(flatten)]
    pub(crate) redis: RedisConfig,
    #[command(flatten)]
    pub(crate) process: Process,
}

/// How careful a rollout is: a change that concerns the whole fleet, as of the gateway's image.
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_field_names, reason = "they are the names of the options")]
pub(crate) struct RolloutConfig {
    /// Tenants that go first, separated by commas; without them, or while none of them runs, 1 %
    #[arg(long, env = "OPENCLAW_ROLLOUT_CANARIES", value_name = "ID,...", value_delimiter = ',')]
    rollout_canaries: Vec<TenantId>,
    /// For how long a wave has to be healthy before the next one
    #[arg(long, env = "OPENCLAW_ROLLOUT_SOAK", value_name = "DURATION", default_value = "60s")]
    #[arg(value_parser = duration)]
    rollout_soak: std::time::Duration,
    /// After so long without being ready an updated tenant has failed
    #[arg(long, env = "OPENCLAW_ROLLOUT_PATIENCE", value_name = "DURATION", default_value = "10m")]
    #[arg(value_parser = duration)]
    rollout_patience: std::time::Duration,
    /// How many tenants may be unready by their update at once [default: 10, or 2 % where more]
    #[arg(long, env = "OPENCLAW_ROLLOUT_PARALLEL", value_name = "COUNT")]
    rollout_parallel: Option<u32>,
    /// How much of a wave has to be ready, in percent
    #[arg(long, env = "OPENCLAW_ROLLOUT_HEALTHY", value_name = "PERCENT", default_value = "95")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    rollout_healthy: u8,
}

impl RolloutConfig {
    pub(crate) fn policy(&self) -> Policy {
        let signed = |span| SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
        Policy {
            canaries: self.rollout_canaries.clone(),
            soak: signed(self.rollout_soak),
            patience: signed(self.rollout_patience),
            parallel: self.rollout_parallel,
            healthy_share: self.rollout_healthy,
            ..Policy::default()
        }
    }
}

impl AsRef<Process> for Config {
    fn as_ref(&self) -> &Process {
        &self.process
    }
}
