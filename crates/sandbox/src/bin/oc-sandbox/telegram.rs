//! `oc-sandbox telegram`.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use oc_sandbox::telegram::{Options, Telegram};

/// Telegram: the Bot API, and a page to talk to bots on, until it is interrupted
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where it listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9200")]
    listen: SocketAddr,
    /// Where bots, people and chats are kept from one start to the next
    #[arg(long)]
    file: Option<PathBuf>,
    /// What tokens and odds are drawn from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How it misbehaves, in the words of its documentation, such as "limits=off fail=500:0.1"
    #[arg(long, value_name = "WORDS", default_value = "")]
    control: String,
}

impl Arguments {
    /// Prints the address as soon as it is served.
    pub(crate) async fn run(self) -> Result<()> {
        let Self { listen, file, seed, control } = self;
        let options = Options { listen, file, seed, ..Options::default() };
        let telegram = Telegram::start(options).await.with_context(|| listen.to_string())?;
        telegram.control(&control).map_err(anyhow::Error::msg)?;
        anstream::println!("{}", telegram.url());
        tokio::signal::ctrl_c().await.context("waiting for the interrupt")
    }
}
