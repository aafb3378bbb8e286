//! Options of the process.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Parser};
use oc_platform_token::KeyRing;
use oc_service::{Clock, DatabaseConfig, Process, RedisConfig, secret};
use oc_store::{
    Store,
    secrets::{KeyFile, Vault},
};
use oc_streams::Bulletin;
use oc_telegram::Client;
use secrecy::{ExposeSecret as _, SecretString};

use crate::office::Office;

/// Relays between Telegram and tenants' pods
#[derive(Clone, Debug, Parser)]
#[command(name = "oc-channels", version)]
pub struct Config {
    /// Address of the Bot API for pods, the webhook, heartbeats and the internal API
    #[arg(long, env = "OPENCLAW_CHANNELS_LISTEN", value_name = "ADDRESS")]
    #[arg(default_value = "127.0.0.1:8092")]
    pub(crate) listen: SocketAddr,
    /// File with the public keys of platform tokens, one or two lines of base64url; read again when
    /// it changes
    #[arg(long, env = "OPENCLAW_CHANNELS_PUBLIC_KEYS", value_name = "FILE")]
    pub(crate) public_keys: PathBuf,
    /// File with the key that callers of the internal API send as bearer token
    #[arg(long, env = "OPENCLAW_CHANNELS_INTERNAL_KEY_FILE", value_name = "FILE")]
    pub(crate) internal_key_file: PathBuf,
    /// File with the key that short links are signed with, the same as billing's
    #[arg(long, env = "OPENCLAW_LINK_KEY_FILE", value_name = "FILE")]
    pub(crate) link_key_file: PathBuf,
    /// Where billing's short links are; each is added to it
    #[arg(long, env = "OPENCLAW_CHANNELS_UPGRADE_URL", value_name = "URL")]
    #[arg(default_value = "https://openclaw.cloud/u/")]
    pub(crate) upgrade_url: String,
    #[command(flatten)]
    pub(crate) ops: OpsConfig,
    #[command(flatten)]
    pub(crate) office: OfficeConfig,
    #[command(flatten)]
    pub(crate) process: Process,
}

/// Where the platform's own people are told; without it what is for them is only logged.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub(crate) struct OpsConfig {
    /// The chat that what is for the platform's own people goes to
    #[arg(long, env = "OPENCLAW_CHANNELS_OPS_CHAT", value_name = "ID")]
    #[arg(requires = "ops_bot_token_file", allow_negative_numbers = true)]
    pub(crate) ops_chat: Option<i64>,
    /// File with the token of the bot that tells them
    #[arg(long, env = "OPENCLAW_CHANNELS_OPS_BOT_TOKEN_FILE", value_name = "FILE")]
    #[arg(requires = "ops_chat")]
    pub(crate) ops_bot_token_file: Option<PathBuf>,
}

/// What bots are kept and reached with.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub(crate) struct OfficeConfig {
    /// Where Telegram reaches this service; without it Telegram is polled
    #[arg(long, env = "OPENCLAW_CHANNELS_PUBLIC_URL", value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// The Bot API, or what stands in for it
    #[arg(long, env = "OPENCLAW_CHANNELS_TELEGRAM_ROOT", value_name = "URL")]
    #[arg(default_value = "https://api.telegram.org")]
    pub(crate) telegram_root: String,
    /// File with the keys that tenants' secrets are encrypted by, the first one for new ones: a line
    /// each of an id and 32 bytes in base64
    #[arg(long, env = "OPENCLAW_ENVELOPE_KEY_FILE", value_name = "FILE")]
    pub(crate) envelope_key_file: PathBuf,
    #[command(flatten)]
    pub(crate) database: DatabaseConfig,
    #[command(flatten)]
    pub(crate) redis: RedisConfig,
}

impl AsRef<Process> for Config {
    fn as_ref(&self) -> &Process {
        &self.process
    }
}

impl Config {
    pub(crate) fn keys(&self) -> Result<KeyRing> {
        let path = &self.public_keys;
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        text.parse().with_context(|| path.display().to_string())
    }
}

impl OpsConfig {
    pub(crate) fn read(&self) -> Result<Option<(i64, SecretString)>> {
        let (Some(chat), Some(file)) = (self.ops_chat, &self.ops_bot_token_file) else {
            return Ok(None);
        };
        let token = secret(None, Some(file), "OPENCLAW_CHANNELS_OPS_BOT_TOKEN")?;
        Ok(Some((chat, token)))
    }
}

impl OfficeConfig {
    /// Call it within a Tokio runtime.
    pub(crate) fn open(&self, connections: u32) -> Result<Office> {
        let path = &self.envelope_key_file;
        let keys = secret(None, Some(path), "OPENCLAW_ENVELOPE_KEY")?;
        let keys: KeyFile =
            keys.expose_secret().parse().with_context(|| path.display().to_string())?;
        Ok(Office {
            store: Store::connect(&self.database.url()?, connections)?,
            vault: Vault::new(keys).into(),
            telegram: Client::new(&self.telegram_root)?,
            bulletin: Bulletin::new(&self.redis.url()?)?,
            clock: Clock::system(),
            public_url: self.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
        })
    }
}
