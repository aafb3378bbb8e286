//! Clients of all manners.

use std::{
    iter::Sum,
    ops::AddAssign,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use oc_sandbox::stack::Stack;
use parking_lot::Mutex;
use rand::{RngExt as _, seq::IndexedRandom as _};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// A tenant with an account of its own.
#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) limit: u64,
    pub(crate) period: i64,
}

/// What clients aim at.
pub(crate) struct Target {
    pub(crate) customers: Vec<Customer>,
    /// Where the proxies are that run.
    pub(crate) urls: Mutex<Vec<String>>,
    client: reqwest::Client,
}

/// How requests ended for their clients.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) whole: u64,
    pub(crate) left: u64,
    pub(crate) broken: u64,
    pub(crate) refused: u64,
    pub(crate) notices: u64,
}

impl AddAssign for Answers {
    fn add_assign(&mut self, other: Self) {
        self.whole += other.whole;
        self.left += other.left;
        self.broken += other.broken;
        self.refused += other.refused;
        self.notices += other.notices;
    }
}

impl Sum for Answers {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

impl Target {
    pub(crate) fn new(stack: &Stack, customers: Vec<Customer>) -> Self {
        let urls = Mutex::new(vec![stack.url("")]);
        Self { customers, urls, client: stack.client.clone() }
    }

    fn customer(&self) -> &Customer {
        self.customers.choose(&mut rand::rng()).unwrap()
    }

    fn url(&self) -> Option<String> {
        self.urls.lock().choose(&mut rand::rng()).cloned()
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until it is told to stop.
pub(crate) async fn run(target: Arc<Target>, stop: Arc<AtomicBool>) -> Answers {
    let mut answers = Answers::default();
    while !stop.load(Ordering::Relaxed) {
        let (path, body) = request();
        // Some of the requests are left, at any moment of them.
        let patience = if rand::random_bool(0.3) { pause(1, 700) } else { PATIENCE };
        match timeout(patience, ask(&target, path, &body)).await {
            Ok(Ok(answer)) => answers += answer,
            Ok(Err(_)) => {
                answers.broken += 1;
                sleep(pause(10, 100)).await;
            }
            Err(_) => answers.left += 1,
        }
    }
    answers
}

async fn ask(target: &Target, path: &str, body: &Value) -> reqwest::Result<Answers> {
    let customer = target.customer();
    let Some(url) = target.url() else {
        sleep(Duration::from_millis(20)).await;
        return Ok(Answers::default());
    };
    let request = target.client.post(format!("{url}{path}")).header("x-proxy-key", &customer.token);
    let request = request.header("content-type", "application/json").body(body.to_string());
    let response = request.send().await?;
    let (status, notice) =
        (response.status(), response.headers().contains_key("x-openclaw-notice"));
    response.bytes().await?;
    if !status.is_success() {
        sleep(Duration::from_millis(20)).await;
    }
    Ok(match (status.is_success(), notice) {
        (true, false) => Answers { whole: 1, ..Answers::default() },
        (true, true) => Answers { notices: 1, ..Answers::default() },
        (false, _) => Answers { refused: 1, ..Answers::default() },
    })
}

fn pause(least_ms: u64, most_ms: u64) -> Duration {
    Duration::from_millis(rand::rng().random_range(least_ms..most_ms))
}

/// Both dialects, streams and whole answers, and a provider in every mood.
fn request() -> (&'static str, Value) {
    let mut random = rand::rng();
    let (frames, gap) = (random.random_range(1..40), random.random_range(0..40));
    let mut words = format!("frames={frames} gap={gap}ms delay={}ms", random.random_range(0..200));
    words += match random.random_range(0..100) {
        0 => " status=500",
        1 => " status=400",
        2 => " cut=head",
        3..6 => " cut=2",
        6 => " cut=3:reset",
        7..9 => " stall=2",
        9..12 => " usage=none",
        12..16 => " usage=finish",
        16..20 => " split",
        20..40 => " cached=50",
        _ => "",
    };
    let padding = "word ".repeat(random.random_range(1..200));
    let (stream, most) = (random.random_bool(0.7), random.random_range(50..1500));
    let body = json!({
        "model": "k2p5",
        "stream": stream,
        "max_tokens": most,
        "messages": [{"role": "user", "content": format!("{padding}[[kimi {words}]]")}],
    });
    (if random.random_bool(0.5) { "/v1/messages" } else { "/v1/chat/completions" }, body)
}
