//! Options of the process.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use oc_service::{DatabaseConfig, Process, RedisConfig, duration};
use oc_streams::Limits;

/// The LLM gateway that meters to the token.
///
/// Speaks OpenAI's chat completions and Anthropic's messages, passes them through to the model
/// providers, and holds every tenant to its limits and quota.
#[derive(Clone, Debug, Parser)]
#[command(name = "oc-token-proxy", version)]
pub struct Config {
    /// Address that tenants' pods reach
    #[arg(long, env = "OPENCLAW_TOKEN_PROXY_LISTEN", value_name = "ADDRESS")]
    #[arg(default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// JSON file that names the model providers, their keys and their prices; read again when it
    /// changes
    #[arg(long, env = "OPENCLAW_TOKEN_PROXY_UPSTREAMS", value_name = "FILE")]
    pub(crate) upstreams: PathBuf,
    /// File with the public keys of platform tokens, one or two lines of base64url; read again when
    /// it changes
    #[arg(long, env = "OPENCLAW_TOKEN_PROXY_PUBLIC_KEYS", value_name = "FILE")]
    pub(crate) public_keys: PathBuf,
    /// Name of this replica, the same after a restart
    #[arg(long, env = "HOSTNAME", value_name = "NAME", default_value = "token-proxy")]
    pub(crate) name: String,
    /// Threads that serve requests; 0 is one for each core
    #[arg(long, env = "OPENCLAW_TOKEN_PROXY_THREADS", value_name = "N", default_value = "0")]
    pub(crate) threads: usize,
    /// Where billing's short links are; each is added to it
    #[arg(long, env = "OPENCLAW_TOKEN_PROXY_UPGRADE_URL", value_name = "URL")]
    #[arg(default_value = "https://openclaw.cloud/u/")]
    pub(crate) upgrade_url: String,
    /// File with the key that short links are signed with, the same as billing's
    #[arg(long, env = "OPENCLAW_LINK_KEY_FILE", value_name = "FILE")]
    pub(crate) link_key_file: PathBuf,
    /// Requests of a tenant in a second, on the average
    #[arg(long, env = "OPENCLAW_TOKEN_PROXY_RATE", value_name = "N", default_value = "10")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: u32,
    /// Requests of a tenant that may come at once after a pause
    #[arg(long, env = "OPENCLAW_TOKEN_PROXY_BURST", value_name = "N", default_value = "20")]
    pub(crate) burst: u32,
    /// Requests of a tenant that may be open at once
    #[arg(long, env = "OPENCLAW_TOKEN_PROXY_CONCURRENCY", value_name = "N", default_value = "8")]
    pub(crate) concurrency: u32,
    /// How long a reservation outlives its proxy
    #[arg(
        long,
        env = "OPENCLAW_TOKEN_PROXY_LEASE",
        value_name = "DURATION",
        default_value = "10s"
    )]
    #[arg(value_parser = duration)]
    pub(crate) lease: Duration,
    /// How long a provider's first byte may take
    #[arg(long, env = "OPENCLAW_TOKEN_PROXY_FIRST_BYTE", value_name = "DURATION")]
    #[arg(value_parser = duration, default_value = "5m")]
    pub(crate) first_byte: Duration,
    /// How long a provider may pause within an answer
    #[arg(long, env = "OPENCLAW_TOKEN_PROXY_IDLE", value_name = "DURATION", default_value = "2m")]
    #[arg(value_parser = duration)]
    pub(crate) idle: Duration,
    /// Months that the ledger keeps, besides the current one
    #[arg(long, env = "OPENCLAW_TOKEN_PROXY_RETENTION_MONTHS", value_name = "N")]
    #[arg(default_value = "24")]
    pub(crate) retention_months: u32,
    /// How often the ledger's months and the providers' balances are looked at
    #[arg(long, env = "OPENCLAW_TOKEN_PROXY_UPKEEP", value_name = "DURATION")]
    #[arg(value_parser = duration, default_value = "10m")]
    pub(crate) upkeep: Duration,
    #[command(flatten)]
    pub(crate) database: DatabaseConfig,
    #[command(flatten)]
    pub(crate) redis: RedisConfig,
    #[command(flatten)]
    pub(crate) process: Process,
}

impl AsRef<Process> for Config {
    fn as_ref(&self) -> &Process {
        &self.process
    }
}

impl Config {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            interval: Duration::from_secs(1) / self.rate,
            burst: self.burst,
            concurrency: self.concurrency,
            lease: self.lease,
        }
    }
}
