//! `oc-sandbox stack`.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use oc_sandbox::stack::{Setup, Stack};
use oc_testkit::Postgres;
use serde_json::json;

/// A token proxy with Postgres, Redis, a provider and tenants, as its benchmark wants it
///
/// Says where everything is, and runs until it is interrupted.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The proxy's program
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// Tenants; their tokens go into the file that the output names
    #[arg(long, default_value_t = 1)]
    tenants: u32,
    /// Quota tokens of each
    #[arg(long, default_value_t = 1_000_000)]
    limit: u64,
    /// A provider to ask instead of the stand-in of this process
    #[arg(long, value_name = "ADDRESS")]
    provider: Option<SocketAddr>,
    /// Says it as a line of JSON
    #[arg(long)]
    json: bool,
    /// More options of the proxy
    #[arg(last = true)]
    options: Vec<String>,
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<()> {
        let postgres = Postgres::start().await?;
        let setup =
            Setup { arguments: self.options, provider: self.provider, ..Setup::new(self.program) };
        let stack = Stack::start_on(&postgres, setup).await?;
        let tokens = stack.tenants(&postgres, self.tenants, self.limit).await?;
        let file = stack.folder().join("tokens");
        std::fs::write(&file, tokens.join("\n"))?;
        let first = tokens.first().context("no tenants")?;
        stack.usage(first).await?;
        if self.json {
            let pids = json!({"proxy": stack.proxy.pid(), "redis": stack.redis.pid(),
                "postgres": postgres.pid()});
            let all = json!({"proxy": stack.proxy.url, "tokens": file, "pids": pids,
                "redis": stack.redis.url()});
            anstream::println!("{all}");
        } else {
            anstream::print!("{}", story(&stack, &postgres, first));
        }
        if !self.json {
            anstream::println!("\nCtrl-C ends it all; nothing stays.");
        }
        tokio::signal::ctrl_c().await.context("waiting for the interrupt")
    }
}

/// Where everything is, and a first question.
fn story(stack: &Stack, postgres: &Postgres, token: &str) -> String {
    let (proxy, admin) = (&stack.proxy.url, &stack.proxy.admin);
    let (provider, redis, postgres) = (stack.kimi.addr(), stack.redis.url(), postgres.url());
    let log = stack.folder().join("proxy-0.log");
    format!(
        "token proxy  {proxy}  (health and metrics {admin}, log {})\n\
         provider     http://{provider}  (a stand-in, see `oc_sandbox::kimi`)\n\
         Redis        {redis}\nPostgres     {postgres}\ntenant       t-0, token {token}\n\n\
         Ask it something:\n  \
         curl {proxy}/v1/chat/completions -H 'x-proxy-key: {token}' \\\n    \
         -H 'content-type: application/json' \\\n    \
         -d '{{\"model\":\"k2p5\",\"messages\":[{{\"role\":\"user\",\"content\":\"olá\"}}]}}'\n  \
         curl {proxy}/v1/usage -H 'x-proxy-key: {token}'\n",
        log.display(),
    )
}
