//! Every request is metered exactly once, whatever is killed: proxies, Redis, Postgres.
//!
//! The size is the small one unless `OPENCLAW_CRASH` is `large`, see `scripts/crash-token-proxy`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use oc_sandbox::{
    kimi::Options,
    stack::{Setup, Stack},
};
use oc_testkit::Postgres;
use tokio::{task::JoinSet, time::Instant};

mod check;
mod clients;
mod kills;
mod leaving;
mod sampler;

use clients::{Customer, Target};
use kills::Kills;

/// How long a reservation outlives its proxy.
const LEASE: Duration = Duration::from_secs(3);

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Size {
    clients: usize,
    tenants: usize,
    proxy_kills: usize,
    redis_kills: usize,
    postgres_kills: usize,
}

const SMALL: Size =
    Size { clients: 16, tenants: 4, proxy_kills: 6, redis_kills: 3, postgres_kills: 2 };
const LARGE: Size =
    Size { clients: 64, tenants: 10, proxy_kills: 50, redis_kills: 10, postgres_kills: 10 };

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_exactly_one_row_whatever_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "a test has no options")]
    let large = std::env::var("OPENCLAW_CRASH").is_ok_and(|size| size == "large");
    let size = if large { LARGE } else { SMALL };
    let postgres = Postgres::start().await.unwrap();
    let stack = Stack::start_on(&postgres, setup()).await.unwrap();
    let began = Instant::now();
    let customers = customers(&stack, size.tenants).await;
    let target = Arc::new(Target::new(&stack, customers.clone()));
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    let mut sampling = JoinSet::new();
    sampling.spawn(sampler::run(stack.redis.url(), customers.clone(), Arc::clone(&stop)));
    for _ in 0..size.clients {
        clients.spawn(clients::run(Arc::clone(&target), Arc::clone(&stop)));
    }
    let mut kills = Kills::start(stack, postgres, Arc::clone(&target)).await;
    let killed = kills.all(size).await;
    stop.store(true, Ordering::Relaxed);
    let answers = clients.join_all().await.into_iter().sum();
    let samples = sampling.join_next().await.unwrap().unwrap();
    let report = check::check(&kills, &customers, killed, answers, samples).await;
    report.print(began.elapsed(), size);
    report.assert();
}

fn setup() -> Setup {
    let arguments =
        "--lease 3s --idle 2s --first-byte 5s --rate 1000 --burst 1000 --concurrency 16";
    Setup {
        arguments: arguments.split(' ').map(str::to_owned).collect(),
        kimi: Options::default(),
        ..Setup::new(env!("CARGO_BIN_EXE_oc-token-proxy"))
    }
}

/// Every other one has a quota that ends while it is asked.
async fn customers(stack: &Stack, count: usize) -> Vec<Customer> {
    let mut customers = Vec::new();
    for number in 0..count {
        let name = format!("c-crash-{number}");
        let limit = if number % 2 == 0 { 1_000_000_000 } else { 60_000 };
        let token = stack.tenant(&name, limit).await.unwrap();
        // The keys of the first periods in a new database.
        let period = i64::try_from(number).unwrap() + 1;
        customers.push(Customer { name, token, limit, period });
    }
    customers
}
