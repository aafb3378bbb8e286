//! Everything that a token proxy needs, private to one test or one developer: Postgres, Redis, a
//! stand-in provider, keys, tenants, and the proxy itself as a process.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp, ToSpan as _, tz::TimeZone};
use oc_domain::{AccountId, Locale, ModelId, TenantId, Thinking, TierId};
use oc_platform_token::{Claims, SigningKey};
use oc_service::Clock;
use oc_store::{Store, accounts, migrations, periods, tenants, usage};
use oc_testkit::{Postgres, Redis, RedisOptions, wait_for};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kimi::{Kimi, Options};

/// The provider's keys.
pub const KEYS: [&str; 2] = ["sk-sandbox-key-a", "sk-sandbox-key-b"];
/// The key of short links.
pub const LINK_KEY: &str = "a key of short links, for tests alone";
const START: Duration = Duration::from_secs(20);

/// A proxy and what is around it; all of it ends with this value.
#[derive(Debug)]
pub struct Stack {
    /// The provider.
    pub kimi: Kimi,
    /// The ledger.
    pub store: Store,
    /// Limits, reservations and events.
    pub redis: Redis,
    /// The first replica.
    pub proxy: Proxy,
    /// A client for requests that need nothing special.
    pub client: reqwest::Client,
    signing: SigningKey,
    folder: TempDir,
    database: String,
    setup: Setup,
}

/// How a stack differs from the usual.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The proxy's program.
    pub program: PathBuf,
    /// More options of the proxy.
    pub arguments: Vec<String>,
    /// How the provider answers.
    pub kimi: Options,
    /// The provider that the proxy asks, if not the stand-in of this process.
    pub provider: Option<SocketAddr>,
    /// Changes to the file of providers.
    pub upstreams: Option<fn(&mut Value)>,
}

impl Setup {
    /// The usual stack around this program.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), ..Self::default() }
    }
}

impl Stack {
    /// Starts everything, with a database of the test process' own Postgres.
    pub async fn start(setup: Setup) -> Result<Self> {
        Self::start_on(Postgres::shared().await?, setup).await
    }

    /// Starts everything else.
    pub async fn start_on(postgres: &Postgres, mut setup: Setup) -> Result<Self> {
        let database = postgres.create_database().await?;
        let redis = Redis::start(RedisOptions { durable: true }).await?;
        setup.kimi.keys = KEYS.map(str::to_owned).to_vec();
        let kimi = Kimi::start(setup.kimi.clone()).await?;
        let signing = SigningKey::parse(&SigningKey::generate()?)?;
        let folder = tempfile::tempdir()?;
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text);
        write("keys.pub", &signing.public().to_string())?;
        write("link.key", LINK_KEY)?;
        for (name, key) in ["a.key", "b.key"].iter().zip(KEYS) {
            write(name, key)?;
        }
        let mut upstreams = upstreams(setup.provider.unwrap_or(kimi.addr()));
        if let Some(change) = setup.upstreams {
            change(&mut upstreams);
        }
        write("upstreams.json", &upstreams.to_string())?;
        let store = Store::connect(&database.clone().into(), 4)?;
        migrations::run(&store).await?;
        let proxy = Proxy::start(&setup, folder.path(), &database, &redis.url(), "proxy-0").await?;
        let client = reqwest::Client::new();
        Ok(Self { kimi, store, redis, proxy, client, signing, folder, database, setup })
    }

    /// A tenant with an account of its own (`a-` and the name) and so many tokens; gives its token.
    pub async fn tenant(&self, name: &str, limit: u64) -> Result<String> {
        self.tenant_with(name, limit, |_| ()).await
    }

    /// As [`Stack::tenant`], changed.
    pub async fn tenant_with(
        &self,
        name: &str,
        limit: u64,
        change: impl FnOnce(&mut tenants::Tenant),
    ) -> Result<String> {
        let account: AccountId = format!("a-{name}").parse()?;
        accounts::insert(&self.store, &account).await?;
        let now = Clock::system().now().to_zoned(TimeZone::UTC);
        let (starts, ends) = (now.checked_sub(1.day())?, now.checked_add(29.days())?);
        let (starts, ends) = (starts.timestamp(), ends.timestamp());
        periods::insert(&self.store, &account, starts, ends, limit).await?;
        self.tenant_of(name, account, change).await
    }

    /// A tenant of an account that is there.
    pub async fn tenant_of(
        &self,
        name: &str,
        account: AccountId,
        change: impl FnOnce(&mut tenants::Tenant),
    ) -> Result<String> {
        let id: TenantId = name.parse()?;
        let mut tenant = tenants::Tenant {
            account,
            tier: TierId::Starter,
            locale: Locale::PtBr,
            model: ModelId::KimiK2p5,
            thinking: Thinking::Medium,
            state: tenants::State::Active,
            generation: 1,
        };
        change(&mut tenant);
        tenants::insert(&self.store, &id, &tenant).await?;
        Ok(self.sign(&id, 1))
    }

    /// So many tenants `t-0`, `t-1`, ..., each with an account and tokens of its own, made at once;
    /// gives their tokens.
    pub async fn tenants(
        &self,
        postgres: &Postgres,
        count: u32,
        limit: u64,
    ) -> Result<Vec<String>> {
        let last = count.saturating_sub(1);
        let statements = format!(
            "insert into accounts (id) select 'a-t-' || n from generate_series(0, {last}) n;
            insert into tenants (id, account_id, tier, locale, model, thinking, state, generation)
            select 't-' || n, 'a-t-' || n, 'starter', 'pt-BR', 'kimi-coding/k2p5', 'medium', 'active', 1
            from generate_series(0, {last}) n;
            insert into periods (account_id, starts_at, ends_at, token_limit)
            select 'a-t-' || n, now() - interval '1 day', now() + interval '29 days', {limit}
            from generate_series(0, {last}) n"
        );
        postgres.execute(&self.database, &statements).await?;
        (0..count).map(|n| Ok(self.sign(&format!("t-{n}").parse()?, 1))).collect()
    }

    /// The platform token of a tenant.
    pub fn sign(&self, tenant: &TenantId, generation: u32) -> String {
        self.signing.sign(&Claims { tenant: tenant.clone(), generation })
    }

    /// The address of a route.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.proxy.url)
    }

    /// A request as a pod makes it.
    pub fn post(&self, path: &str, token: &str, body: &Value) -> reqwest::RequestBuilder {
        let request = self.client.post(self.url(path)).header("x-proxy-key", token);
        request.header("content-type", "application/json").body(body.to_string())
    }

    /// Asks the model in `OpenAI`'s dialect.
    pub async fn chat(&self, token: &str, body: &Value) -> Result<reqwest::Response> {
        Ok(self.post("/v1/chat/completions", token, body).send().await?)
    }

    /// What a tenant sees of its quota.
    pub async fn usage(&self, token: &str) -> Result<Value> {
        let request = self.client.get(self.url("/v1/usage")).bearer_auth(token);
        let text = request.send().await?.text().await?;
        serde_json::from_str(&text).context(text)
    }

    /// What the ledger says of a tenant.
    pub async fn totals(&self, tenant: &str) -> Result<usage::Totals> {
        let far = Clock::system().now() + SignedDuration::from_hours(48);
        Ok(usage::by_tenant(&self.store, &tenant.parse()?, Timestamp::UNIX_EPOCH, far).await?)
    }

    /// Waits until the ledger has so many rows for the tenant.
    pub async fn rows(&self, tenant: &str, count: u64) -> Result<usage::Totals> {
        wait_for(START, &format!("{count} rows of {tenant}"), async || {
            let totals = self.totals(tenant).await?;
            ensure!(totals.requests <= count, "{} rows of {tenant}", totals.requests);
            Ok((totals.requests == count).then_some(totals))
        })
        .await
    }

    /// The proxy is killed, and starts again under its name.
    pub async fn restart_proxy(&mut self) -> Result<()> {
        self.proxy.kill()?;
        let redis = self.redis.url();
        self.proxy =
            Proxy::start(&self.setup, self.folder(), &self.database, &redis, "proxy-0").await?;
        Ok(())
    }

    /// Another replica.
    pub async fn replica(&self, name: &str) -> Result<Proxy> {
        Proxy::start(&self.setup, self.folder(), &self.database, &self.redis.url(), name).await
    }

    /// Where keys, providers and logs lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A question, as short as can be.
pub fn ask(text: &str) -> Value {
    json!({"model": "k2p5", "messages": [{"role": "user", "content": text}]})
}

fn upstreams(address: SocketAddr) -> Value {
    json!({"upstreams": [{
        "name": "moonshot",
        "openai": format!("http://{address}/v1"),
        "anthropic": format!("http://{address}/anthropic"),
        "balance": format!("http://{address}/v1/users/me/balance"),
        "keys": [{"name": "a", "file": "a.key"}, {"name": "b", "file": "b.key"}],
        "models": {"kimi-coding/k2p5": {"name": "kimi-k2.6", "prices": [
            {"from": "2026-01-01", "input": 600, "cachedInput": 100, "output": 3000}]}},
    }]})
}

/// One replica, as a process.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    /// Where tenants reach it.
    pub url: String,
    /// Where its health and metrics are.
    pub admin: String,
}

impl Proxy {
    /// Starts it and waits until it is ready.
    async fn start(
        setup: &Setup,
        folder: &Path,
        database: &str,
        redis: &str,
        name: &str,
    ) -> Result<Self> {
        let [port, admin] = free_ports()?;
        let path = folder.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(&path)?;
        let child = Command::new(&setup.program)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--admin-listen", &format!("127.0.0.1:{admin}")])
            .args(["--name", name, "--grace", "10s", "--threads", "2"])
            .arg("--upstreams")
            .arg(folder.join("upstreams.json"))
            .arg("--public-keys")
            .arg(folder.join("keys.pub"))
            .arg("--link-key-file")
            .arg(folder.join("link.key"))
            .args(["--database-url", database, "--redis-url", redis])
            .args(&setup.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| setup.program.display().to_string())?;
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let proxy = Self { child, url: url(port), admin: url(admin) };
        let ready = async || {
            let answer = reqwest::get(format!("{}/readyz", proxy.admin)).await;
            Ok(answer.is_ok_and(|answer| answer.status().is_success()).then_some(()))
        };
        if let Err(error) = wait_for(START, "the proxy to be ready", ready).await {
            bail!("{error:#}\n{}", fs::read_to_string(path)?);
        }
        Ok(proxy)
    }

    /// Its metrics, as text.
    pub async fn metrics(&self) -> Result<String> {
        Ok(reqwest::get(format!("{}/metrics", self.admin)).await?.text().await?)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to drain, and waits for its end; says whether it was a good one.
    pub fn drain(&mut self) -> Result<bool> {
        Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        Ok(self.child.wait()?.success())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn free_ports() -> Result<[u16; 2]> {
    // Both are held until both are known, so they differ.
    let first = TcpListener::bind("127.0.0.1:0")?;
    let second = TcpListener::bind("127.0.0.1:0")?;
    Ok([first.local_addr()?.port(), second.local_addr()?.port()])
}
