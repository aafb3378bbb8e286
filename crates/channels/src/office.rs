//! Bots and who may talk to them: what is changed rarely, by our own services and people.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use oc_domain::TenantId;
use oc_service::{Clock, chain};
use oc_store::{
    Store,
    bots::{self, Bot, NewBot},
    chats,
    secrets::Vault,
};
use oc_streams::Bulletin;
use oc_telegram::{Client, SetWebhook};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use crate::digest::sha256;

/// How long a link can be followed.
const LINK: SignedDuration = SignedDuration::from_hours(24);
/// Deliveries of a bot that Telegram makes at a time: those of one chat are one after the other anyway.
const DELIVERIES: u8 = 4;
/// The updates that concern the people of a private chat.
pub(crate) const KINDS: [&str; 5] =
    ["message", "edited_message", "callback_query", "message_reaction", "my_chat_member"];

/// What bots are kept and reached with.
#[derive(Clone)]
pub(crate) struct Office {
    pub(crate) store: Store,
    pub(crate) vault: Arc<Vault>,
    pub(crate) telegram: Client,
    pub(crate) bulletin: Bulletin,
    pub(crate) clock: Clock,
    /// Where Telegram delivers; without it is polled.
    pub(crate) public_url: Option<String>,
}

/// A way into the chat with an agent.
#[derive(Debug, Serialize)]
pub(crate) struct Link {
    code: String,
    pub(crate) url: String,
    pub(crate) expires_at: Timestamp,
}

/// Why something is not as it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// The tenant has no bot.
    #[error("{0} has no bot")]
    NoBot(TenantId),
    /// Telegram does not know the token.
    #[error("Telegram does not know this token")]
    UnknownToken,
    #[error("the database")]
    Store(#[from] oc_store::Error),
    #[error("Telegram")]
    Telegram(#[from] oc_telegram::Error),
}

impl Office {
    /// Makes the token's bot the tenant's, and has Telegram deliver to us. Repeating it is good for
    /// what broke off.
    pub(crate) async fn set_bot(
        &self,
        tenant: &TenantId,
        token: &SecretString,
    ) -> Result<Bot, Problem> {
        if !is_token(token.expose_secret()) {
            return Err(Problem::UnknownToken);
        }
        let me = self.telegram.get_me(token).await.map_err(|error| match error {
            oc_telegram::Error::Refused { code: 401 | 404, .. } => Problem::UnknownToken,
            error => error.into(),
        })?;
        let path = random();
        let new = NewBot { telegram_id: me.id, username: &me.username, token, webhook_path: &path };
        let now = self.clock.now();
        let bot = bots::set(&self.store, self.vault.keys(), tenant, &new, now).await?;
        self.hook(tenant, &bot, token).await?;
        self.changed(tenant).await;
        Ok(bot)
    }

    /// Has Telegram deliver to us from now on, proving itself by a new secret. What comes in between
    /// with the old one is refused, and comes again.
    async fn hook(
        &self,
        tenant: &TenantId,
        bot: &Bot,
        token: &SecretString,
    ) -> Result<(), Problem> {
        let Some(public_url) = &self.public_url else { return Ok(()) };
        let secret = SecretString::from(random());
        let hash = sha256(secret.expose_secret().as_bytes());
        bots::set_webhook_hash(&self.store, tenant, &hash).await?;
        let webhook = SetWebhook {
            url: &format!("{public_url}/telegram/{}", bot.webhook_path),
            secret_token: &secret,
            max_connections: DELIVERIES,
            allowed_updates: &KINDS,
        };
        Ok(self.telegram.set_webhook(token, &webhook).await?)
    }

    /// The tenant's bot.
    pub(crate) async fn bot(&self, tenant: &TenantId) -> Result<Bot, Problem> {
        let found = bots::find(&self.store, tenant).await?;
        found.ok_or_else(|| Problem::NoBot(tenant.clone()))
    }

    /// Takes the bot from the tenant, and forgets its token.
    pub(crate) async fn remove_bot(&self, tenant: &TenantId) -> Result<(), Problem> {
        let desk = bots::desk(&self.store, self.vault.keys(), tenant).await?;
        let no_bot = || Problem::NoBot(tenant.clone());
        let (_, token) = desk.and_then(|desk| desk.bot).ok_or_else(no_bot)?;
        // Somebody may have revoked the token already: then nothing is delivered either.
        if let Err(error) = self.telegram.delete_webhook(&token).await {
            tracing::warn!(%tenant, error = %chain(&error), "the webhook stays at Telegram");
        }
        bots::remove(&self.store, tenant).await?;
        self.changed(tenant).await;
        Ok(())
    }

    /// A link that binds whoever follows it first.
    pub(crate) async fn link(&self, tenant: &TenantId) -> Result<Link, Problem> {
        let bot = self.bot(tenant).await?;
        let code = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 18]>());
        let hash = sha256(code.as_bytes());
        let now = self.clock.now();
        let expires_at = chats::add_code(&self.store, tenant, &hash, LINK, now).await?;
        let url = format!("https://t.me/{}?start={code}", bot.username);
        Ok(Link { code, url, expires_at })
    }

    /// Has everybody look at the tenant again: they do so by themselves in a while.
    pub(crate) async fn changed(&self, tenant: &TenantId) {
        if let Err(error) = self.bulletin.tenant_changed(tenant).await {
            tracing::warn!(%tenant, error = %chain(&error), "the others find out by themselves");
        }
    }
}

/// Whether a text has the form of a bot's token, so that it can be a part of an address.
fn is_token(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() <= 128
        && text.split_once(':').is_some_and(|(id, secret)| {
            !id.is_empty()
                && id.bytes().all(|byte| byte.is_ascii_digit())
                && !secret.is_empty()
                && secret.bytes().all(plain)
        })
}

/// What nobody can guess.
fn random() -> String {
    hex::encode(rand::random::<[u8; 24]>())
}
