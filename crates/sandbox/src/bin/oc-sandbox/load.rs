//! `oc-sandbox load`.

use std::{fs, net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use oc_sandbox::load::{self, Bound, Dialect, Plan, Process, Target, TokenHeader};
use tokio::net::lookup_host;

/// Asks targets side by side and measures them alike; the first is what the others are compared to
#[derive(Args)]
pub(crate) struct Arguments {
    /// A target; repeated for more
    #[arg(long = "target", value_name = "NAME=URL", required = true, value_parser = pair)]
    targets: Vec<(String, String)>,
    /// A header of every request to a target, as "direct=authorization: Bearer sk-1"
    #[arg(long = "header", value_name = "NAME=HEADER", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// `openai` or `anthropic`
    #[arg(long, default_value = "openai")]
    dialect: Dialect,
    /// The model that is asked
    #[arg(long, default_value = "kimi-k2.5")]
    model: String,
    /// Bytes of a request's body
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    body: usize,
    /// Asks for streams
    #[arg(long)]
    stream: bool,
    /// The gap between frames that a stream is expected to keep
    #[arg(long, default_value = "0ms", value_parser = oc_sandbox::duration)]
    gap: Duration,
    /// Clients of each target
    #[arg(long, short, default_value = "1")]
    clients: NonZeroUsize,
    #[command(flatten)]
    bound: Bounds,
    /// Requests a second for each target, instead of as many as there can be
    #[arg(long)]
    rate: Option<f64>,
    /// A file of tokens, one a line, that requests carry in turn
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Where the token stands: `bearer` or `x-proxy-key`
    #[arg(long, default_value = "bearer")]
    token_header: TokenHeader,
    /// A process to watch; with the name of a target it is charged to that one's requests
    #[arg(long = "pid", value_name = "NAME=PID", value_parser = process)]
    processes: Vec<Process>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Bounds {
    /// How long each target is asked
    #[arg(long, value_parser = oc_sandbox::duration)]
    duration: Option<Duration>,
    /// How often each target is asked
    #[arg(long)]
    count: Option<u64>,
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<()> {
        let json = self.json;
        let report = load::run(&self.plan().await?).await?;
        if json {
            anstream::println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            anstream::print!("{report}");
        }
        Ok(())
    }

    async fn plan(self) -> Result<Plan> {
        let tokens = match &self.tokens {
            Some(path) => {
                let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
                text.lines().map(str::to_owned).collect()
            }
            None => Vec::new(),
        };
        let bound = match (self.bound.duration, self.bound.count) {
            (Some(duration), _) => Bound::Time(duration),
            (None, count) => Bound::Count(count.unwrap_or_default()),
        };
        let targets = targets(&self.targets, &self.headers).await?;
        Ok(Plan {
            targets,
            dialect: self.dialect,
            model: self.model,
            body_bytes: self.body,
            stream: self.stream,
            gap: self.gap,
            clients: self.clients,
            bound,
            rate: self.rate,
            tokens,
            token_header: self.token_header,
            processes: self.processes,
        })
    }
}

async fn targets(named: &[(String, String)], headers: &[(String, String)]) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for (name, url) in named {
        let context = || format!("target {name}: {url}");
        let uri: Uri = url.parse().with_context(context)?;
        if uri.scheme_str() != Some("http") {
            bail!("{}: expected http://", context());
        }
        targets.push(Target {
            name: name.clone(),
            address: address(&uri).await.with_context(context)?,
            prefix: uri.path().trim_end_matches('/').to_owned(),
            headers: HeaderMap::new(),
        });
    }
    for (name, header) in headers {
        let Some(target) = targets.iter_mut().find(|target| target.name == *name) else {
            bail!("a header for {name}, which is no target");
        };
        let (header, value) = header.split_once(':').context("a header without a colon")?;
        target
            .headers
            .insert(HeaderName::try_from(header.trim())?, HeaderValue::try_from(value.trim())?);
    }
    Ok(targets)
}

async fn address(uri: &Uri) -> Result<SocketAddr> {
    let host = uri.host().context("no host")?.trim_matches(['[', ']']);
    let mut found = lookup_host((host, uri.port_u16().unwrap_or(80))).await?;
    found.next().context("the host has no address")
}

fn pair(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn process(text: &str) -> Result<Process> {
    let (name, pid) = pair(text)?;
    Ok(Process { name, pid: pid.parse()? })
}
