//! A Redis of its own for each test, and what most tests ask of it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use oc_domain::{
    AccountId, Locale, ModelId, RequestId, TenantId, Thinking, TierId,
    usage::{Outcome, Settlement, Tokens},
};
use oc_streams::{
    Admitted, Connection, Ledger, Limits, Period, Policy, Reserve, Tenant, Verdict,
    recovery::{Session, Stage},
};
use oc_testkit::{Redis, RedisOptions};
use redis::{AsyncConnectionConfig, FromRedisValue};

pub(crate) const HOUR: i64 = 3_600_000;
pub(crate) const POLICY: Policy =
    Policy { tier: TierId::Starter, locale: Locale::PtBr, thinking: Thinking::Medium };

/// Limits that no test meets by accident.
pub(crate) const WIDE: Limits = Limits {
    interval: Duration::from_micros(1),
    burst: 1_000_000,
    concurrency: 1_000_000,
    lease: Duration::from_mins(1),
};

pub(crate) struct Bench {
    pub(crate) redis: Redis,
    pub(crate) ledger: Ledger,
    pub(crate) proxy: Connection,
    raw: redis::aio::MultiplexedConnection,
}

impl Bench {
    pub(crate) async fn start(limits: Limits) -> Self {
        Self::on(Redis::start(RedisOptions::default()).await.unwrap(), limits).await
    }

    /// It keeps what it wrote when it is killed.
    pub(crate) async fn durable(limits: Limits) -> Self {
        Self::on(Redis::start(RedisOptions { durable: true }).await.unwrap(), limits).await
    }

    async fn on(redis: Redis, limits: Limits) -> Self {
        let ledger = ledger(&redis, limits);
        let proxy = ledger.connection().unwrap();
        let raw = raw(&redis).await;
        let bench = Self { redis, ledger, proxy, raw };
        bench.meet("p-0").await;
        bench
    }

    /// The whole protocol for a proxy that has nothing to bring back.
    pub(crate) async fn meet(&self, proxy: &str) {
        let session = Session::open(self.proxy.clone()).await.unwrap();
        for stage in [Stage::Met, Stage::Resting, Stage::Settled, Stage::Reopened] {
            assert!(session.join(proxy, stage, 0).await.unwrap().reached(stage), "{stage:?}");
        }
        self.ledger.publish(Some(session.into_epoch()));
    }

    /// After Redis was restarted.
    pub(crate) async fn reconnect(&mut self) {
        self.raw = raw(&self.redis).await;
    }

    /// A command as it is typed.
    pub(crate) async fn redis<T: FromRedisValue>(&mut self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        command.query_async(&mut self.raw).await.unwrap()
    }

    /// Used and reserved tokens of a period.
    pub(crate) async fn quota(&mut self, period: i64) -> (u64, u64) {
        let quota: (Option<u64>, Option<u64>) =
            self.redis(&format!("HMGET oc:u:{period} used reserved")).await;
        (quota.0.unwrap_or(0), quota.1.unwrap_or(0))
    }

    /// A tenant `c-NAME` of the account `a-NAME` with a period around now.
    pub(crate) async fn customer(&self, name: &str, period: i64, limit: u64) -> TenantId {
        let account = account(name);
        self.put_periods(&account, &[around_now(period, limit)]).await;
        self.tenant(name, &account).await
    }

    pub(crate) async fn tenant(&self, name: &str, account: &AccountId) -> TenantId {
        let id: TenantId = format!("c-{name}").parse().unwrap();
        self.put_tenant(&tenant(&id, account)).await;
        id
    }

    pub(crate) async fn put_tenant(&self, tenant: &Tenant<'_>) {
        self.proxy.mirror().unwrap().put_tenant(tenant).await.unwrap();
    }

    pub(crate) async fn put_periods(&self, account: &AccountId, periods: &[Period]) {
        self.proxy.mirror().unwrap().put_periods(account, periods).await.unwrap();
    }

    /// Books what has no lease any more; says which.
    pub(crate) async fn reap(&self, limit: u32) -> Vec<RequestId> {
        let reaped = self.proxy.reap(limit).await.unwrap();
        reaped.into_iter().map(|one| one.reservation.request).collect()
    }

    pub(crate) async fn ask(&self, tenant: &TenantId, input: u64, output: u64) -> Verdict {
        self.proxy.reserve(wanted(tenant, request(), input, output)).await.unwrap()
    }

    pub(crate) async fn admit(&self, tenant: &TenantId, input: u64, output: u64) -> RequestId {
        let id = request();
        let verdict = self.proxy.reserve(wanted(tenant, id, input, output)).await.unwrap();
        assert!(matches!(verdict, Verdict::Admitted(_)), "{verdict:?}");
        id
    }
}

pub(crate) fn ledger(redis: &Redis, limits: Limits) -> Ledger {
    Ledger::new(&redis.url().into(), limits).unwrap()
}

pub(crate) async fn raw(redis: &Redis) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(redis.url()).unwrap();
    let patient = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(10)));
    client.get_multiplexed_async_connection_with_config(&patient).await.unwrap()
}

pub(crate) fn account(name: &str) -> AccountId {
    format!("a-{name}").parse().unwrap()
}

pub(crate) fn tenant<'a>(id: &'a TenantId, account: &'a AccountId) -> Tenant<'a> {
    Tenant {
        id,
        version: 1,
        generation: 1,
        active: true,
        account,
        policy: POLICY,
        models: &[ModelId::KimiK2p5],
    }
}

pub(crate) fn wanted(
    tenant: &TenantId,
    request: RequestId,
    input: u64,
    output: u64,
) -> Reserve<'_> {
    Reserve {
        request,
        tenant,
        generation: 1,
        model: ModelId::KimiK2p5,
        input,
        output,
        least_output: output.min(1),
    }
}

pub(crate) fn now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "Redis' clock is the machine's")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// A request of now, different with every call.
pub(crate) fn request() -> RequestId {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut random = [0; 10];
    random[2..].copy_from_slice(&NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    RequestId::new(now_ms().cast_unsigned(), random)
}

pub(crate) fn around_now(id: i64, limit: u64) -> Period {
    let now = now_ms();
    Period { id, starts_ms: now - HOUR, ends_ms: now + HOUR, limit, used: 0 }
}

/// What a provider counted.
pub(crate) fn measured(charged: u64) -> Settlement {
    Settlement {
        upstream: "moonshot".to_owned(),
        tokens: Tokens { input: charged, ..Tokens::default() },
        charged,
        excess: 0,
        cost_nano_usd: 7,
        outcome: Outcome::Complete,
        measured: true,
        attempts: 1,
        first_byte_ms: None,
        finished_ms: now_ms().cast_unsigned(),
    }
}

pub(crate) fn admitted(verdict: Verdict) -> Admitted {
    match verdict {
        Verdict::Admitted(admitted) => admitted,
        other => panic!("{other:?}"),
    }
}
