//! Options of the process.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Parser};
use oc_gitops::{Author, Options};
use oc_service::{DatabaseConfig, Process, RedisConfig, secret};
use oc_stripe::Stripe;
use secrecy::SecretString;

/// Turns what Stripe says into tenant specs, billing periods and notices
#[derive(Clone, Debug, Parser)]
#[command(name = "oc-billing", version)]
pub struct Config {
    /// Address of the webhook, the short links and the internal API
    #[arg(long, env = "OPENCLAW_BILLING_LISTEN", value_name = "ADDRESS")]
    #[arg(default_value = "127.0.0.1:8093")]
    pub(crate) listen: SocketAddr,
    /// Where customers reach this service, for the links that lead here and back
    #[arg(long, env = "OPENCLAW_BILLING_PUBLIC_URL", value_name = "URL")]
    #[arg(default_value = "http://127.0.0.1:8093")]
    pub(crate) public_url: String,
    /// File with the signing secrets of the webhook, one a line: two while they are changed
    #[arg(long, env = "OPENCLAW_BILLING_WEBHOOK_SECRETS", value_name = "FILE")]
    pub(crate) webhook_secrets: PathBuf,
    /// File with the key that callers of the internal API send as bearer token
    #[arg(long, env = "OPENCLAW_BILLING_INTERNAL_KEY_FILE", value_name = "FILE")]
    pub(crate) internal_key_file: PathBuf,
    /// File with the key for what admins alone may do
    #[arg(long, env = "OPENCLAW_BILLING_ADMIN_KEY_FILE", value_name = "FILE")]
    pub(crate) admin_key_file: PathBuf,
    /// File with the key that short links are signed with, the same as the token proxy's
    #[arg(long, env = "OPENCLAW_LINK_KEY_FILE", value_name = "FILE")]
    pub(crate) link_key_file: PathBuf,
    #[command(flatten)]
    pub(crate) fleet: FleetConfig,
    #[command(flatten)]
    pub(crate) stripe: StripeConfig,
    #[command(flatten)]
    pub(crate) database: DatabaseConfig,
    #[command(flatten)]
    pub(crate) redis: RedisConfig,
    #[command(flatten)]
    pub(crate) process: Process,
}

/// The fleet repository, as billing writes to it.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub(crate) struct FleetConfig {
    #[command(flatten)]
    fleet: oc_gitops::FleetConfig,
}

/// How to reach Stripe.
#[derive(Clone, Debug, Args)]
pub(crate) struct StripeConfig {
    /// File with Stripe's secret key
    #[arg(long, env = "STRIPE_KEY_FILE", value_name = "FILE")]
    stripe_key_file: PathBuf,
    /// What stands in for Stripe
    #[arg(long, env = "STRIPE_URL", value_name = "URL")]
    stripe_url: Option<String>,
}

impl AsRef<Process> for Config {
    fn as_ref(&self) -> &Process {
        &self.process
    }
}

impl Config {
    pub(crate) fn webhook_secrets(&self) -> Result<Vec<SecretString>> {
        let path = &self.webhook_secrets;
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let secrets: Vec<SecretString> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect();
        anyhow::ensure!(!secrets.is_empty(), "{}: no secret", path.display());
        Ok(secrets)
    }
}

impl FleetConfig {
    pub(crate) fn options(&self) -> Options {
        self.fleet.options(Author {
            name: "OpenClaw billing".to_owned(),
            email: "billing@openclaw.cloud".to_owned(),
        })
    }
}

impl StripeConfig {
    pub(crate) fn client(&self) -> Result<Stripe> {
        let key = secret(None, Some(&self.stripe_key_file), "STRIPE_KEY")?;
        Ok(Stripe::new(&key, self.stripe_url.as_deref())?)
    }
}
