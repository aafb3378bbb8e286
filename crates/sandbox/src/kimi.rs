//! A stand-in for Kimi and for whatever else speaks the `OpenAI` or the Anthropic dialect.
//!
//! Routes of the provider, also below `/anthropic` and `/coding`: `POST /v1/chat/completions`,
//! `POST /v1/messages`, `POST /v1/messages/count_tokens`, `GET /v1/models`,
//! `GET /v1/users/me/balance`. With `tools` and a user who says `tool:NAME`, NAME is called.
//!
//! How a request is answered is said in words, separated by blanks, of which later ones win: by
//! [`Options::answer`], or the next line of the script, then by the header `x-kimi`, then by
//! `[[kimi WORDS]]` in what the user says after the last answer.
//!
//! | word | meaning |
//! |---|---|
//! | `status=429` `type=engine_overloaded_error` `limit=concurrency\|rpm\|tpm\|tpd` | refuses; either of the first two is enough; 503 is an HTML page |
//! | `retry_after=5` | seconds in a refusal's header and text |
//! | `delay=50ms` `gap=20ms` | before the head; between frames |
//! | `frames=64` `reasoning=8` | frames of text, and before them where thinking is on |
//! | `stall=3` | sends nothing after three frames |
//! | `cut=head` `cut=3` `cut=3:reset` | ends the connection before the head or after three frames, by RST |
//! | `usage=last\|finish\|choice\|twice\|none\|zero` | where a stream has its usage |
//! | `cached_as=both\|top\|details` `cached=40` `written=10` | spelling, and percent of the prompt |
//! | `concurrency=2` | requests of one key at a time, else 429 |
//! | `plain` | JSON for a stream request |
//! | `talk` | answers what was said, as `frames` do not, and calls tools when asked to |
//! | `split` `crlf` `comments` | every byte a chunk, line ends, comment lines |
//! | `huge` `huge=4096` | an extra frame with a MiB, or so many bytes, of padding |
//!
//! The stand-in's own routes: `GET /_log?since=N` (JSON lines), `GET /_stats`, `POST /_control`
//! (words that change the usual answer), `POST /_script` (a line of words for each of the next
//! requests). An answer that is no stream and stalls or is cut ends in its middle.

use std::{
    collections::HashSet,
    fs::OpenOptions,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{net::TcpListener, task::JoinSet};

mod answer;
mod anthropic;
mod body;
mod control;
mod failure;
mod log;
mod openai;
mod output;
mod reply;
mod request;
mod serve;
mod socket;
mod talk;

pub use answer::{Answer, Cached, Cut, UnknownWord, Usage, Wire};
pub use failure::{Failure, Limit};
use log::Ledger;
pub use log::{End, Entry, Stats};

/// What a stand-in is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The keys that it knows; with none, every key that is not empty.
    pub keys: Vec<String>,
    /// How it usually answers.
    pub answer: Answer,
    /// What its tokenizers are drawn from.
    pub seed: u64,
    /// Keeps the bodies that it sent.
    pub capture: bool,
    /// Entries that the log remembers.
    pub log_limit: usize,
    /// Every entry is appended here as a line of JSON before the last byte of its answer is sent.
    pub log_file: Option<PathBuf>,
    /// What is on the account, in billionths of a US dollar.
    pub balance_nano_usd: i64,
}

/// A running stand-in; it ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Kimi {
    address: SocketAddr,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

/// What connections share.
struct Shared {
    ledger: Mutex<Ledger>,
    keys: HashSet<String>,
    seed: u64,
    capture: bool,
    numbers: AtomicU64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            keys: Vec::new(),
            answer: Answer::default(),
            seed: 0,
            capture: false,
            log_limit: 2_000_000,
            log_file: None,
            balance_nano_usd: 100_000_000_000,
        }
    }
}

impl Kimi {
    /// Listens, and serves on the runtime of the caller.
    pub async fn start(options: Options) -> io::Result<Self> {
        let Options { keys, seed, capture, .. } = options;
        let file = match options.log_file {
            Some(path) => Some(OpenOptions::new().create(true).append(true).open(path)?),
            None => None,
        };
        let listener = TcpListener::bind(options.listen).await?;
        let ledger = Ledger::new(options.answer, options.log_limit, options.balance_nano_usd, file);
        let shared = Arc::new(Shared {
            ledger: Mutex::new(ledger),
            keys: keys.into_iter().collect(),
            seed,
            capture,
            numbers: AtomicU64::new(0),
        });
        let address = listener.local_addr()?;
        let mut server = JoinSet::new();
        server.spawn(serve::serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, _server: server })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers the next requests so, one each, before it answers as usual.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.ledger.lock().script.extend(answers);
    }

    /// Changes how it usually answers.
    pub fn set(&self, answer: Answer) {
        self.shared.ledger.lock().answer = answer;
    }

    /// Every request that is over and not forgotten, in the order in which they ended.
    pub fn log(&self) -> Vec<Entry> {
        self.shared.ledger.lock().entries(0, usize::MAX)
    }

    /// The sums.
    pub fn stats(&self) -> Stats {
        self.shared.ledger.lock().stats
    }
}

impl Shared {
    fn authenticate(&self, key: &str) -> Result<(), Failure> {
        match key {
            "" => Err(Failure::IncorrectApiKeyError),
            _ if self.keys.is_empty() || self.keys.contains(key) => Ok(()),
            _ => Err(Failure::InvalidAuthenticationError),
        }
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn change(&self, words: &str) -> Result<(), UnknownWord> {
        let mut ledger = self.ledger.lock();
        ledger.answer = ledger.answer.with(words)?;
        Ok(())
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("stats", &self.ledger.lock().stats).finish_non_exhaustive()
    }
}
