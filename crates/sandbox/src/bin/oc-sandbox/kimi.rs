//! `oc-sandbox kimi`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use oc_sandbox::kimi::{Answer, Kimi, Options};

/// A provider of language models: `OpenAI` and Anthropic dialects, until it is interrupted
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where it listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9100")]
    listen: SocketAddr,
    /// A key that it knows; repeated for more, and without any all keys are good
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// How it answers, in the words of its documentation, such as "cached=40 usage=choice"
    #[arg(long, value_name = "WORDS", default_value = "")]
    answer: String,
    /// Frames of a stream
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=16_384))]
    frames: Option<u32>,
    /// Time between two frames
    #[arg(long, value_parser = oc_sandbox::duration)]
    gap: Option<Duration>,
    /// What its tokenizers are drawn from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Keeps the bodies that it sends, for the log
    #[arg(long)]
    capture: bool,
    /// Entries that the log remembers
    #[arg(long, value_name = "COUNT", default_value_t = 2_000_000)]
    log_limit: usize,
    /// Appends every entry of the log here, as a line of JSON
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
}

impl Arguments {
    /// Prints the address as soon as it is served.
    pub(crate) async fn run(self) -> Result<()> {
        let mut answer: Answer = self.answer.parse()?;
        answer.frames = self.frames.unwrap_or(answer.frames);
        answer.gap = self.gap.unwrap_or(answer.gap);
        let options = Options {
            listen: self.listen,
            keys: self.keys,
            answer,
            seed: self.seed,
            capture: self.capture,
            log_limit: self.log_limit,
            log_file: self.log_file,
            ..Options::default()
        };
        let kimi = Kimi::start(options).await.with_context(|| self.listen.to_string())?;
        anstream::println!("http://{}", kimi.addr());
        tokio::signal::ctrl_c().await.context("waiting for the interrupt")
    }
}
