//! The relay and what is around it, private to one test.

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use oc_domain::{AccountId, Locale, ModelId, TenantId, Thinking, TierId};
use oc_platform_token::{Claims, SigningKey};
use oc_sandbox::telegram::{Account, Options, Telegram};
use oc_service::Clock;
use oc_store::{
    Store, accounts, migrations,
    tenants::{self, State},
};
use oc_testkit::{Postgres, Redis, RedisOptions, wait_for};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The key of the internal API.
pub(crate) const INTERNAL: &str = "internal-key-of-a-test-0123456789";
const LINKS: &str = "link-key-of-a-test-0123456789abcdef";
pub(crate) const ENVELOPE: &str = "one AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// How Telegram's updates come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Webhook,
    Polling,
}

pub(crate) struct Stack {
    pub(crate) telegram: Telegram,
    pub(crate) store: Store,
    pub(crate) database: String,
    pub(crate) redis: Redis,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) client: Client,
    signing: SigningKey,
    folder: TempDir,
    by: By,
    more: Vec<String>,
}

/// A replica of the service; it is killed with this value.
pub(crate) struct Replica {
    child: Child,
    /// Bound and never listening, so that its ports are nobody else's.
    _ports: [TcpSocket; 2],
    pub(crate) url: String,
    pub(crate) admin: String,
    port: u16,
    admin_port: u16,
}

/// A tenant with a bot, and its pod.
pub(crate) struct Agent {
    pub(crate) id: TenantId,
    pub(crate) bot: Account,
    pub(crate) number: i64,
    pub(crate) token: String,
}

impl Stack {
    pub(crate) async fn start(replicas: usize, by: By) -> Self {
        Self::start_with(replicas, by, &[]).await
    }

    /// With more options of the service.
    pub(crate) async fn start_with(replicas: usize, by: By, more: &[&str]) -> Self {
        let database = Postgres::shared().await.unwrap().create_database().await.unwrap();
        Self::start_on(database, replicas, by, more).await
    }

    pub(crate) async fn start_on(database: String, replicas: usize, by: By, more: &[&str]) -> Self {
        let redis = Redis::start(RedisOptions::default()).await.unwrap();
        let telegram = Telegram::start(Options::default()).await.unwrap();
        telegram.control("limits=off retry=100ms").unwrap();
        let signing = SigningKey::parse(&SigningKey::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("public", &signing.public().to_string());
        write("internal", INTERNAL);
        write("links", LINKS);
        write("envelope", ENVELOPE);
        let store = Store::connect(&database.clone().into(), 4).unwrap();
        migrations::run(&store).await.unwrap();
        let mut stack = Self {
            telegram,
            store,
            database,
            redis,
            replicas: Vec::new(),
            client: Client::builder().no_proxy().build().unwrap(),
            signing,
            folder,
            by,
            more: more.iter().map(ToString::to_string).collect(),
        };
        for _ in 0..replicas {
            let ports = [reserve(), reserve()];
            let [port, admin] = [0, 1].map(|n| ports[n].local_addr().unwrap().port());
            let url = |port| format!("http://127.0.0.1:{port}");
            let child = stack.spawn(stack.replicas.len(), port, admin);
            stack.replicas.push(Replica {
                child,
                _ports: ports,
                url: url(port),
                admin: url(admin),
                port,
                admin_port: admin,
            });
        }
        for number in 0..replicas {
            stack.ready(number).await;
        }
        stack
    }

    fn spawn(&self, number: usize, port: u16, admin: u16) -> Child {
        let log = self.folder.path().join(format!("channels-{number}.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        // Telegram delivers to the first one.
        let first = self.replicas.first().map_or(port, |replica| replica.port);
        let mut command = Command::new(env!("CARGO_BIN_EXE_oc-channels"));
        command.arg("serve").args(["--listen", &format!("127.0.0.1:{port}")]);
        command.args(["--admin-listen", &format!("127.0.0.1:{admin}"), "--grace", "10s"]);
        if self.by == By::Webhook {
            command.args(["--public-url", &format!("http://127.0.0.1:{first}")]);
        }
        for (option, file) in [
            ("--public-keys", "public"),
            ("--internal-key-file", "internal"),
            ("--link-key-file", "links"),
        ] {
            command.arg(option).arg(self.folder.path().join(file));
        }
        command.args(self.office()).args(&self.more);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.spawn().unwrap()
    }

    /// The options that verbs have too.
    fn office(&self) -> Vec<String> {
        let envelope = self.folder.path().join("envelope").display().to_string();
        [
            ("--telegram-root", self.telegram.url()),
            ("--envelope-key-file", envelope),
            ("--database-url", self.database.clone()),
            ("--redis-url", self.redis.url()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    }

    /// Runs a verb; gives its code and what it prints.
    pub(crate) async fn verb(&self, words: &[&str]) -> (i32, String) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_oc-channels"));
        let output = command.args(words).args(self.office()).output().await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    pub(crate) async fn ready(&self, number: usize) {
        let admin = &self.replicas[number].admin;
        let ready = wait_for(PATIENCE, "the relay", async || {
            let answer = self.client.get(format!("{admin}/readyz")).send().await;
            Ok(answer.is_ok_and(|answer| answer.status().is_success()).then_some(()))
        });
        assert!(ready.await.is_ok(), "{}", self.log(number));
    }

    /// The replica of that number is killed.
    pub(crate) fn kill(&mut self, number: usize) {
        let child = &mut self.replicas[number].child;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The replica of that number starts again where it was.
    pub(crate) async fn restart(&mut self, number: usize) {
        let Replica { port, admin_port, .. } = self.replicas[number];
        self.replicas[number].child = self.spawn(number, port, admin_port);
        self.ready(number).await;
    }

    /// Asks the replica of that number to end; whether it was a good end.
    pub(crate) fn drain(&mut self, number: usize) -> bool {
        let child = &mut self.replicas[number].child;
        oc_sandbox::signal(child.id(), "TERM").unwrap();
        child.wait().unwrap().success()
    }

    pub(crate) fn pid(&self, number: usize) -> u32 {
        self.replicas[number].child.id()
    }

    pub(crate) fn log(&self, number: usize) -> String {
        let log = self.folder.path().join(format!("channels-{number}.log"));
        fs::read_to_string(log).unwrap_or_default()
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    /// The value of a metric, as it is exposed.
    pub(crate) async fn metric(&self, number: usize, name: &str) -> f64 {
        let url = format!("{}/metrics", self.replicas[number].admin);
        let text = self.client.get(url).send().await.unwrap().text().await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// A tenant of an account `a-<name>`, without a bot.
    pub(crate) async fn tenant(&self, name: &str, tier: TierId) -> TenantId {
        let account: AccountId = format!("a-{name}").parse().unwrap();
        accounts::insert(&self.store, &account).await.unwrap();
        let id: TenantId = name.parse().unwrap();
        let tenant = tenants::Tenant {
            account,
            tier,
            locale: Locale::PtBr,
            model: ModelId::KimiK2p5,
            thinking: Thinking::Medium,
            state: State::Active,
            generation: 1,
        };
        tenants::insert(&self.store, &id, &tenant).await.unwrap();
        id
    }

    /// A tenant with a bot of the name.
    pub(crate) async fn agent(&self, name: &str, tier: TierId) -> Agent {
        let id = self.tenant(name, tier).await;
        let bot = self.telegram.bot(&format!("{}_bot", name.replace('-', "_")), name);
        let set = self.internal("PUT", &id, "bot", Some(json!({"token": bot.token}))).await;
        assert_eq!(set.0, 200, "{}\n{}", set.1, self.log(0));
        let number = set.1["number"].as_i64().unwrap();
        let token = self.sign(&id, 1);
        Agent { id, bot, number, token }
    }

    /// A tenant with a bot and a person of this number who is bound.
    pub(crate) async fn bound(&self, name: &str, user: i64) -> Agent {
        let agent = self.agent(name, TierId::Team).await;
        self.bind(&agent, user).await;
        agent
    }

    /// Binds a person to an agent.
    pub(crate) async fn bind(&self, agent: &Agent, user: i64) {
        self.telegram.user(user, "Ana", "pt-br");
        let (status, link) = self.internal("POST", &agent.id, "links", None).await;
        assert_eq!(status, 200, "{link}");
        let before = self.telegram.sent(agent.bot.id, user).len();
        let start = format!("/start {}", link["code"].as_str().unwrap());
        self.telegram.say(user, agent.bot.id, &start).unwrap();
        let done = wait_for(PATIENCE, "a welcome", async || {
            Ok((self.telegram.sent(agent.bot.id, user).len() > before).then_some(()))
        });
        assert!(done.await.is_ok(), "{}", self.log(0));
    }

    pub(crate) fn sign(&self, tenant: &TenantId, generation: u32) -> String {
        self.signing.sign(&Claims { tenant: tenant.clone(), generation })
    }

    /// Asks the internal API.
    pub(crate) async fn internal(
        &self,
        method: &str,
        tenant: &TenantId,
        what: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let url = format!("{}/internal/tenants/{tenant}/{what}", self.replicas[0].url);
        let request = self.client.request(method.parse().unwrap(), url).bearer_auth(INTERNAL);
        let request = match body {
            Some(body) => request.body(body.to_string()),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    /// A call as a pod makes it, at the replica of that number.
    pub(crate) async fn call_at(
        &self,
        number: usize,
        agent: &Agent,
        method: &str,
        params: Value,
    ) -> (u16, Value) {
        let url =
            format!("{}/bot{}:{}/{method}", self.replicas[number].url, agent.number, agent.token);
        match self.client.post(url).json(&params).send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                (status, answer.json().await.unwrap_or_default())
            }
            Err(_) => (0, Value::Null),
        }
    }

    pub(crate) async fn call(&self, agent: &Agent, method: &str, params: Value) -> (u16, Value) {
        self.call_at(0, agent, method, params).await
    }

    /// The numbers and texts of what waits for the pod from an offset on; waits so many seconds for
    /// the first.
    pub(crate) async fn poll(&self, agent: &Agent, offset: i64, wait: u64) -> Vec<(i64, String)> {
        let params = json!({"offset": offset, "timeout": wait});
        let (mut status, mut answer) = self.call(agent, "getUpdates", params.clone()).await;
        if status == 0 {
            // A connection that the relay has closed in this moment.
            (status, answer) = self.call(agent, "getUpdates", params).await;
        }
        assert_eq!(status, 200, "{answer}\n{}", self.log(0));
        read(&answer)
    }

    /// What a statement gives.
    pub(crate) async fn sql(&self, statement: &str) -> String {
        Postgres::shared().await.unwrap().execute(&self.database, statement).await.unwrap()
    }

    /// Waits until a statement gives this.
    pub(crate) async fn until_sql(&self, statement: &str, expected: &str) {
        let mut last = String::new();
        let done = wait_for(PATIENCE, expected, async || {
            last = self.sql(statement).await;
            Ok((last == expected).then_some(()))
        });
        assert!(done.await.is_ok(), "{statement}: {last}\n{}", self.log(0));
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Numbers and texts of updates.
pub(crate) fn read(answer: &Value) -> Vec<(i64, String)> {
    let updates = answer["result"].as_array().unwrap();
    let one = |update: &Value| {
        let text = update["message"]["text"].as_str().unwrap_or_default().to_owned();
        (update["update_id"].as_i64().unwrap(), text)
    };
    updates.iter().map(one).collect()
}

/// A person that no other test has.
pub(crate) fn person() -> i64 {
    static NEXT: AtomicUsize = AtomicUsize::new(7000);
    i64::try_from(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap()
}

pub(crate) fn now() -> jiff::Timestamp {
    Clock::system().now()
}

/// A free port, beside which a server can bind its own socket, as that reuses addresses too.
fn reserve() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    socket
}
