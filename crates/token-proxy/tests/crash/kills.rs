//! Who is killed, when, and how it comes back.

use std::{
    fs::{self, File},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use oc_sandbox::stack::{Proxy, Stack};
use oc_testkit::{Postgres, wait_for};
use rand::{RngExt as _, seq::SliceRandom as _};
use redis::AsyncCommands as _;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{LEASE, Size, clients::Target};

/// What Redis may lose of what it has acknowledged.
const TAIL: Duration = Duration::from_secs(1);

/// One kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    Proxy,
    Postgres,
    /// With all that it wrote.
    Redis,
    /// Without its last second.
    RedisTail,
    /// Without its data.
    RedisData,
}

/// All that can be killed.
pub(crate) struct Kills {
    pub(crate) stack: Stack,
    pub(crate) postgres: Postgres,
    replica: Option<Proxy>,
    target: Arc<Target>,
    log: PathBuf,
    /// The last end of a proxy.
    lost: Instant,
}

impl Kills {
    pub(crate) async fn start(stack: Stack, postgres: Postgres, target: Arc<Target>) -> Self {
        let client = redis::Client::open(stack.redis.url()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let folder: Vec<String> =
            redis::cmd("CONFIG").arg("GET").arg("dir").query_async(&mut redis).await.unwrap();
        let replica = Some(stack.replica("proxy-1").await.unwrap());
        let log = PathBuf::from(&folder[1]).join("appendonlydir");
        let kills = Self { stack, postgres, replica, target, log, lost: Instant::now() };
        kills.aim();
        kills
    }

    /// Clients ask those that run.
    fn aim(&self) {
        let replica = self.replica.iter().map(|proxy| proxy.url.clone());
        *self.target.urls.lock() = replica.chain([self.stack.proxy.url.clone()]).collect();
    }

    /// In an order that nobody knows.
    pub(crate) async fn all(&mut self, size: Size) -> Vec<Kill> {
        let forms = [Kill::RedisTail, Kill::RedisData, Kill::Redis];
        let mut kills = vec![Kill::Proxy; size.proxy_kills];
        kills.extend(forms.iter().cycle().take(size.redis_kills));
        kills.extend(vec![Kill::Postgres; size.postgres_kills]);
        kills.shuffle(&mut rand::rng());
        for (number, kill) in kills.iter().enumerate() {
            sleep(between(200, 2_000)).await;
            say(&format!("{:>3}/{} {kill:?}", number + 1, kills.len()));
            match kill {
                Kill::Proxy if rand::random() => self.first().await,
                Kill::Proxy => self.second().await,
                Kill::Postgres => self.postgres().await,
                Kill::Redis | Kill::RedisTail | Kill::RedisData => self.redis(*kill).await,
            }
        }
        sleep(between(500, 1_000)).await;
        kills
    }

    /// It comes back at once, under its name.
    async fn first(&mut self) {
        self.stack.restart_proxy().await.unwrap();
        self.lost = Instant::now();
        self.aim();
    }

    /// It comes back after its lease, or before.
    async fn second(&mut self) {
        if let Some(mut replica) = self.replica.take() {
            replica.kill().unwrap();
        }
        self.lost = Instant::now();
        self.aim();
        sleep(between(0, 5_000)).await;
        self.replica = Some(self.stack.replica("proxy-1").await.unwrap());
        self.aim();
    }

    async fn postgres(&mut self) {
        self.postgres.kill().unwrap();
        sleep(between(0, 3_000)).await;
        self.postgres.restart().await.unwrap();
    }

    /// What is lost with a proxy and Redis killed together is lost: so not within a lease.
    async fn redis(&mut self, kill: Kill) {
        sleep_until(self.lost + LEASE + Duration::from_secs(2)).await;
        let file = self.log.join("appendonly.aof.1.incr.aof");
        let length = fs::metadata(&file).unwrap().len();
        sleep(between(0, 1_000).min(TAIL)).await;
        self.stack.redis.kill();
        match kill {
            Kill::RedisTail => {
                File::options().write(true).open(&file).unwrap().set_len(length).unwrap();
            }
            Kill::RedisData => fs::remove_dir_all(&self.log).unwrap(),
            _ => {}
        }
        sleep(between(0, 1_000)).await;
        self.stack.redis.restart().await.unwrap();
        // A sign of life finds out, and then all is brought back.
        sleep(Duration::from_millis(1_500)).await;
        self.ready().await;
    }

    pub(crate) async fn ready(&self) {
        let admins = [&self.stack.proxy].into_iter().chain(&self.replica);
        for admin in admins.map(|proxy| &proxy.admin) {
            let ready = async || {
                let answer = reqwest::get(format!("{admin}/readyz")).await;
                Ok(answer.is_ok_and(|answer| answer.status().is_success()).then_some(()))
            };
            wait_for(Duration::from_secs(30), "a proxy to be ready", ready).await.unwrap();
        }
    }

    pub(crate) async fn redis_connection(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.stack.redis.url()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let _: bool = redis.exists("oc:ready").await.unwrap();
        redis
    }
}

fn between(least_ms: u64, most_ms: u64) -> Duration {
    Duration::from_millis(rand::rng().random_range(least_ms..most_ms))
}

#[expect(clippy::print_stderr, reason = "progress")]
fn say(text: &str) {
    eprintln!("{text}");
}
