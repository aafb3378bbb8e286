//! `oc-sandbox stripe`.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use clap::Args;
use oc_sandbox::stripe::{self, Endpoint, Exhausted, Options, Settings};

/// Stripe: its API, its pages and its webhooks, until it is interrupted
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where it listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9200")]
    listen: SocketAddr,
    /// Where events go
    #[arg(long, value_name = "URL", requires = "secrets")]
    webhook: Option<String>,
    /// What events are signed with; twice while it is replaced
    #[arg(long = "secret", value_name = "SECRET")]
    secrets: Vec<String>,
    /// What ids and probabilities are drawn from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What becomes of a subscription after the last retry: `canceled`, `unpaid` or `past_due`
    #[arg(long, default_value = "canceled")]
    exhausted: Exhausted,
    /// How it misbehaves, in the words of its documentation, such as "duplicate=0.1 lose=2"
    #[arg(long, value_name = "WORDS", default_value = "")]
    control: String,
}

impl Arguments {
    /// Prints the address as soon as it is served.
    pub(crate) async fn run(self) -> Result<()> {
        let secrets = self.secrets;
        let options = Options {
            listen: self.listen,
            endpoint: self.webhook.map(|url| Endpoint { url, secrets }),
            seed: self.seed,
            settings: Settings { exhausted: self.exhausted, ..Settings::default() },
            ..Options::default()
        };
        let server = stripe::start(options).await.with_context(|| self.listen.to_string())?;
        server.control(&self.control).map_err(anyhow::Error::msg)?;
        anstream::println!("{}", server.url());
        tokio::signal::ctrl_c().await.context("waiting for the interrupt")
    }
}
