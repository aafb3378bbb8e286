//! A load generator: asks targets side by side and measures them alike.
//!
//! With one client and no rate the targets take turns request by request; otherwise blocks of all
//! clients rotate between them, so that whatever else the machine does hits each of them. A client
//! is one connection that is kept. Latency is the time to the last byte of an answer with status
//! 200; all else is counted by its status and in no latency.
//!
//! At a fixed rate latency counts from when a request was to start, not from when a client was
//! free for it, so a target that stalls is charged for everything that had to wait. A start is
//! waited for by yielding for its last two milliseconds, since timers are that coarse: the
//! generator then takes a whole core.

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri};
use parking_lot::Mutex;
use tokio::{task::JoinSet, time::Instant};

mod block;
mod body;
mod client;
mod process;
mod report;
mod scan;
mod tally;

use block::Block;
use client::Client;
pub use client::Failure;
pub use process::Process;
pub use report::{ProcessReport, Quantiles, Report, TargetReport};
use tally::Tally;

/// How often each target has its turn.
const ROUNDS: u32 = 5;

/// What to ask, whom and how much.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whom; the first one is what the others are compared with.
    pub targets: Vec<Target>,
    /// What is spoken.
    pub dialect: Dialect,
    /// The model that is named.
    pub model: String,
    /// The size of a request's body.
    pub body_bytes: usize,
    /// Whether streams are asked for.
    pub stream: bool,
    /// The gap between frames that streams are expected to keep.
    pub gap: Duration,
    /// Clients of each target.
    pub clients: NonZeroUsize,
    /// How long or how often each target is asked.
    pub bound: Bound,
    /// Requests a second for each target; as many as there can be without.
    pub rate: Option<f64>,
    /// Values of `token_header`, taken in turn; the requests carry none if there are none.
    pub tokens: Vec<String>,
    /// The header of the tokens.
    pub token_header: TokenHeader,
    /// Processes whose use of the machine is reported.
    pub processes: Vec<Process>,
}

/// A service under load.
#[derive(Clone, Debug)]
pub struct Target {
    /// What the report calls it.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// What stands before the path of the dialect.
    pub prefix: String,
    /// Headers that every request to it has.
    pub headers: HeaderMap,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Dialect {
    /// `/v1/chat/completions`.
    OpenAi,
    /// `/v1/messages`.
    Anthropic,
}

/// Where a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "kebab-case")]
pub enum TokenHeader {
    /// `authorization: Bearer`.
    Bearer,
    /// `x-proxy-key`.
    XProxyKey,
}

/// When it is enough, for each target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// After this time.
    Time(Duration),
    /// After so many requests.
    Count(u64),
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A target cannot be asked at all.
    #[error("no answer of {0}")]
    NoAnswer(String, #[source] Failure),
    /// A token or path with characters that HTTP does not allow.
    #[error("not fit for HTTP: {0:?}")]
    NotHttp(String),
    /// A rate that is no rate.
    #[error("a rate of {0}: expected more than 0")]
    Rate(f64),
    /// A process of the plan is not there.
    #[error("process {0}")]
    Process(u32, #[source] std::io::Error),
}

/// A target with its clients.
struct Lane {
    clients: Vec<Client>,
    tally: Arc<Mutex<Tally>>,
}

/// Asks each client's first question, which is not counted, then all others.
pub async fn run(plan: &Plan) -> Result<Report, Error> {
    if let Some(rate) = plan.rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
        return Err(Error::Rate(rate));
    }
    let body = body::chat(plan);
    let mut lanes = Vec::new();
    for target in &plan.targets {
        lanes.push(lane(plan, target, &body).await?);
    }
    let before = process::usage(&plan.processes)?;
    if plan.clients.get() == 1 && plan.rate.is_none() {
        take_turns(plan, &mut lanes).await;
    } else {
        for _ in 0..ROUNDS {
            for lane in &mut lanes {
                one_block(plan, lane).await;
            }
        }
    }
    let after = process::usage(&plan.processes)?;
    let tallies: Vec<_> = lanes.iter().map(|lane| lane.tally.lock()).collect();
    Ok(Report::new(plan, body.len(), &tallies, &before, &after))
}

async fn lane(plan: &Plan, target: &Target, body: &Bytes) -> Result<Lane, Error> {
    let tokens: Arc<[HeaderValue]> = tokens(plan)?.into();
    let path = format!("{}{}", target.prefix, plan.dialect.path());
    let uri: Uri = path.parse().map_err(|_| Error::NotHttp(path))?;
    let mut clients = JoinSet::new();
    for number in 0..plan.clients.get() {
        // Clients start at different tokens, so that not all of them ask as the same tenant.
        let first = number * tokens.len() / plan.clients;
        let mut client = Client::new(target, &uri, body, plan, Arc::clone(&tokens), first);
        clients.spawn(async move { client.ask(Instant::now()).await.map(|_| client) });
    }
    let clients = clients.join_all().await.into_iter().collect::<Result<_, _>>();
    let clients = clients.map_err(|failure| Error::NoAnswer(target.name.clone(), failure))?;
    Ok(Lane { clients, tally: Arc::new(Mutex::new(Tally::new())) })
}

fn tokens(plan: &Plan) -> Result<Vec<HeaderValue>, Error> {
    let value = |token: &String| {
        let text = match plan.token_header {
            TokenHeader::Bearer => format!("Bearer {token}"),
            TokenHeader::XProxyKey => token.clone(),
        };
        // The token may be a real one: it is not repeated.
        HeaderValue::try_from(text).map_err(|_| Error::NotHttp("a token".to_owned()))
    };
    plan.tokens.iter().map(value).collect()
}

/// Time is what the targets share here, so that each has its bound.
async fn take_turns(plan: &Plan, lanes: &mut [Lane]) {
    let targets = u32::try_from(lanes.len()).unwrap_or(u32::MAX);
    let begin = Instant::now();
    let mut turns = 0;
    let enough = |turns| match plan.bound {
        Bound::Time(time) => begin.elapsed() >= time * targets,
        Bound::Count(count) => turns >= count,
    };
    while !enough(turns) {
        turns += 1;
        for lane in &mut *lanes {
            for client in &mut lane.clients {
                let start = Instant::now();
                let outcome = client.ask(start).await;
                let mut tally = lane.tally.lock();
                tally.record(outcome);
                tally.busy += start.elapsed();
            }
        }
    }
}

/// Lets all clients of a target ask for its share of the bound.
async fn one_block(plan: &Plan, lane: &mut Lane) {
    let block = Arc::new(Block::new(plan.bound.share(ROUNDS), plan.rate));
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for mut client in lane.clients.drain(..) {
        let (block, tally) = (Arc::clone(&block), Arc::clone(&lane.tally));
        clients.spawn(async move {
            while let Some(start) = block.next().await {
                let outcome = client.ask(start).await;
                tally.lock().record(outcome);
            }
            client
        });
    }
    lane.clients = clients.join_all().await;
    lane.tally.lock().busy += start.elapsed();
}

impl Dialect {
    fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
        }
    }
}

impl Bound {
    /// The part of it that one of `rounds` has; they make up no less than all of it.
    fn share(self, rounds: u32) -> Self {
        match self {
            Self::Time(time) => Self::Time(time / rounds),
            Self::Count(count) => Self::Count(count.div_ceil(u64::from(rounds))),
        }
    }
}
