//! What lives on the internet: a stand-in of this process, or the real one whose key is given.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;

use super::{Keys, Options};
use crate::{
    kimi::{self, Kimi},
    stripe::{self, Endpoint},
    telegram::{self, Telegram},
};

/// Keys of real services; what is missing is played by a stand-in.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Real {
    /// A key of Moonshot's platform: models are asked there, and cost money
    #[arg(long, env = "KIMI_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub kimi: Option<String>,
    /// A key of Stripe's test mode
    #[arg(long, env = "STRIPE_SECRET_KEY", hide_env_values = true, value_name = "KEY")]
    #[arg(requires = "stripe_webhook_secret")]
    pub stripe: Option<String>,
    /// What `stripe listen --forward-to` the address of billing's webhooks prints
    #[arg(long, env = "STRIPE_WEBHOOK_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub stripe_webhook_secret: Option<String>,
    /// The token of a real bot: the next agent that is bought answers as this bot
    #[arg(long, env = "TELEGRAM_BOT_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub telegram: Option<String>,
}

/// The stand-ins that run.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) kimi: Option<Kimi>,
    pub(super) stripe: Option<stripe::Server>,
    pub(super) telegram: Option<Telegram>,
}

impl Outside {
    /// Starts what is not real, with the state of before; the keys of all of them lie in `keys`.
    pub(super) async fn start(options: &Options, keys: &Keys) -> Result<Self> {
        let Options { real, folder, usual_ports, stripe_behind, .. } = options;
        keys.write("kimi", real.kimi.as_deref().unwrap_or("sk-sandbox"))?;
        keys.write("stripe", real.stripe.as_deref().unwrap_or("sk_test_sandbox"))?;
        if let Some(secret) = &real.stripe_webhook_secret {
            keys.write("webhook", secret)?;
        }
        let listen = |port: u16| (Ipv4Addr::LOCALHOST, if *usual_ports { port } else { 0 }).into();
        let kimi = match real.kimi {
            Some(_) => None,
            None => Some(
                start_at(listen(9100), async |listen| {
                    let answer = "talk".parse()?;
                    Ok(Kimi::start(kimi::Options { listen, answer, ..kimi::Options::default() })
                        .await?)
                })
                .await?,
            ),
        };
        let stripe = match real.stripe {
            Some(_) => None,
            None => Some(
                start_at(listen(9300), async |listen| {
                    let journal = Some(folder.join("stripe.jsonl"));
                    let behind = i64::try_from(stripe_behind.as_secs())?;
                    let now = Some(oc_service::Clock::system().now().as_second() - behind);
                    let options =
                        stripe::Options { listen, now, journal, ..stripe::Options::default() };
                    Ok(stripe::start(options).await?)
                })
                .await?,
            ),
        };
        let telegram = match real.telegram {
            Some(_) => None,
            None => Some(
                start_at(listen(9200), async |listen| {
                    let file = Some(folder.join("telegram.json"));
                    let options =
                        telegram::Options { listen, file, ..telegram::Options::default() };
                    Ok(Telegram::start(options).await?)
                })
                .await?,
            ),
        };
        Ok(Self { kimi, stripe, telegram })
    }

    /// What stands before `/v1` at the provider of models.
    pub(super) fn kimi_root(&self) -> String {
        let stand_in = self.kimi.as_ref().map(|kimi| format!("http://{}", kimi.addr()));
        stand_in.unwrap_or_else(|| "https://api.moonshot.ai".to_owned())
    }

    /// Stripe's API.
    pub(super) fn stripe_url(&self) -> String {
        let stand_in = self.stripe.as_ref().map(|stripe| format!("{}/", stripe.url()));
        stand_in.unwrap_or_else(|| "https://api.stripe.com/".to_owned())
    }

    /// What stands before `/bot` at Telegram.
    pub(super) fn telegram_root(&self) -> String {
        let stand_in = self.telegram.as_ref().map(|it| format!("http://{}", it.addr()));
        stand_in.unwrap_or_else(|| "https://api.telegram.org".to_owned())
    }

    /// Has Stripe's events sent to billing.
    pub(super) fn deliver_to(&self, billing: &str, keys: &Keys) -> Result<()> {
        let Some(stripe) = &self.stripe else { return Ok(()) };
        let secrets = vec![keys.read("webhook")?];
        stripe.set_endpoint(Some(Endpoint { url: format!("{billing}/webhooks/stripe"), secrets }));
        Ok(())
    }
}

/// Starts a server at its usual port, or at a free one where that is taken.
async fn start_at<T>(usual: SocketAddr, start: impl AsyncFn(SocketAddr) -> Result<T>) -> Result<T> {
    match start(usual).await {
        Err(_) if usual.port() != 0 => start((usual.ip(), 0).into()).await,
        started => started,
    }
}
