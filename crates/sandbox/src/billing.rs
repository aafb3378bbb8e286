//! Everything that billing needs, private to one test or one developer: Postgres, Redis, a fleet
//! repository, a stand-in for Stripe, keys, and the service itself as processes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use oc_domain::{AccountId, TenantId, TierId};
use oc_platform_token::{Link, LinkKey, Purpose};
use oc_store::Store;
use oc_testkit::{Postgres, Redis, RedisOptions};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    remote::Remote,
    service::Service,
    stripe::{self, Endpoint, Options, Server},
};

/// What deliveries are signed with; the service knows both.
pub const SECRETS: [&str; 2] = ["whsec_sandbox_new", "whsec_sandbox_old"];
/// The key of the internal API.
pub const INTERNAL: &str = "internal-key-of-the-sandbox-0123456789";
/// The key of admins.
pub const ADMIN: &str = "admin-key-of-the-sandbox-0123456789";
const LINKS: &str = "link-key-of-the-sandbox-0123456789abcdef";

/// Billing and what is around it; all of it ends with this value.
#[derive(Debug)]
pub struct Stack {
    /// Stripe.
    pub stripe: Server,
    /// Accounts, events, changes.
    pub store: Store,
    /// Whom the committer tells.
    pub redis: Redis,
    /// The fleet repository.
    pub remote: Remote,
    /// The replicas. Stripe delivers to the first one unless it is told otherwise.
    pub services: Vec<Service>,
    /// The database, for statements by [`Postgres::execute`].
    pub database: String,
    client: reqwest::Client,
    folder: TempDir,
    setup: Setup,
}

/// How a stack differs from the usual.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The service's program.
    pub program: PathBuf,
    /// How many of it run.
    pub replicas: usize,
    /// How long before the time of day Stripe's clock is, in seconds: the service knows no time but
    /// that of day, so what is to be old now has to have happened then.
    pub ago: i64,
    /// What ids and probabilities are drawn from.
    pub seed: u64,
}

/// A page of Stripe, and for whom.
#[derive(Clone, Debug)]
pub struct Page {
    /// Who buys.
    pub account: AccountId,
    /// The checkout session.
    pub session: String,
}

impl Setup {
    /// The usual stack around this program.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), replicas: 1, ago: 0, seed: 1 }
    }
}

impl Stack {
    /// Starts everything, with a database of the test process' own Postgres.
    pub async fn start(setup: Setup) -> Result<Self> {
        Self::start_on(Postgres::shared().await?, setup).await
    }

    /// Starts everything else. The catalog is at Stripe then.
    pub async fn start_on(postgres: &Postgres, setup: Setup) -> Result<Self> {
        let database = postgres.create_database().await?;
        let redis = Redis::start(RedisOptions::default()).await?;
        let folder = tempfile::tempdir()?;
        let keys = [
            ("webhook", SECRETS.join("\n")),
            ("internal", INTERNAL.to_owned()),
            ("admin", ADMIN.to_owned()),
            ("links", LINKS.to_owned()),
            ("stripe", "sk_test_sandbox".to_owned()),
        ];
        for (name, text) in keys {
            fs::write(folder.path().join(name), text)?;
        }
        let now = oc_service::Clock::system().now().as_second() - setup.ago;
        let options = Options { seed: setup.seed, now: Some(now), ..Options::default() };
        let mut stack = Self {
            stripe: stripe::start(options).await?,
            store: Store::connect(&database.clone().into(), 4)?,
            redis,
            remote: Remote::new(folder.path())?,
            services: Vec::new(),
            database,
            client: reqwest::Client::builder().no_proxy().build()?,
            folder,
            setup,
        };
        stack.succeed(&["sync-catalog"]).await?;
        // All at once, on an empty database.
        for number in 0..stack.setup.replicas {
            stack.services.push(stack.spawn(number)?);
        }
        for (number, service) in stack.services.iter().enumerate() {
            service.ready().await.with_context(|| stack.log(number).unwrap_or_default())?;
        }
        stack.deliver_to(0)?;
        Ok(stack)
    }

    fn spawn(&self, number: usize) -> Result<Service> {
        let log = self.folder().join(format!("billing-{number}.log"));
        let arguments = |port| {
            let url = format!("http://127.0.0.1:{port}");
            let listen = format!("127.0.0.1:{port}");
            let own = [("--listen", listen), ("--public-url", url)];
            let own = own.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
            own.chain(self.arguments(number)).collect()
        };
        Service::spawn(&self.setup.program, arguments, &[], &log)
    }

    /// Stripe's events go to this replica from now on.
    pub fn deliver_to(&self, number: usize) -> Result<()> {
        let url = &self.at(number)?.url;
        let secrets = SECRETS.iter().take(1).map(ToString::to_string).collect();
        self.stripe.set_endpoint(Some(Endpoint { url: format!("{url}/webhooks/stripe"), secrets }));
        Ok(())
    }

    /// The replica of that number starts in the place of one that ended, at another address.
    pub async fn restart(&mut self, number: usize) -> Result<()> {
        let service = self.spawn(number)?;
        service.ready().await.with_context(|| self.log(number).unwrap_or_default())?;
        *self.services.get_mut(number).context("no such replica")? = service;
        self.deliver_to(number)
    }

    fn at(&self, number: usize) -> Result<&Service> {
        self.services.get(number).context("no such replica")
    }

    fn arguments(&self, number: usize) -> Vec<String> {
        let file = |name: &str| self.folder().join(name).display().to_string();
        [
            ("--webhook-secrets", file("webhook")),
            ("--internal-key-file", file("internal")),
            ("--admin-key-file", file("admin")),
            ("--link-key-file", file("links")),
            ("--stripe-key-file", file("stripe")),
            ("--stripe-url", format!("{}/", self.stripe.url())),
            ("--fleet-remote", self.remote.path().display().to_string()),
            ("--fleet-directory", file(&format!("fleet-{number}"))),
            ("--database-url", self.database.clone()),
            ("--redis-url", self.redis.url()),
            ("--grace", "10s".to_owned()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    }

    /// Runs a verb of the program with the options that it knows.
    pub async fn verb(&self, words: &[&str]) -> Result<Output> {
        let wanted: &[&str] = match words.first() {
            Some(&"sync-catalog") => &["--stripe-key-file", "--stripe-url"],
            Some(&"trace") => &["--database-url", "--fleet-remote", "--fleet-directory"],
            _ => &["--database-url"],
        };
        // A clone of its own: the services' are locked.
        let arguments = self.arguments(self.setup.replicas);
        let pairs = arguments
            .chunks(2)
            .filter(|pair| pair.first().is_some_and(|name| wanted.contains(&name.as_str())));
        let mut command = tokio::process::Command::new(&self.setup.program);
        command.args(words).args(pairs.flatten()).stdin(Stdio::null());
        command.output().await.with_context(|| self.setup.program.display().to_string())
    }

    /// As [`Stack::verb`], which must succeed; gives what it prints.
    pub async fn succeed(&self, words: &[&str]) -> Result<String> {
        let output = self.verb(words).await?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{words:?}: {} {stderr}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Asks a replica's API; gives the status and what it says.
    pub async fn ask(
        &self,
        number: usize,
        path: &str,
        key: &str,
        body: &Value,
    ) -> Result<(u16, Value)> {
        self.send(self.post(number, path, key, body)?).await
    }

    /// As [`Stack::ask`] with the internal key, and the same thing however often it is asked for.
    pub async fn ask_once(
        &self,
        number: usize,
        path: &str,
        once: &str,
        body: &Value,
    ) -> Result<(u16, Value)> {
        self.send(self.post(number, path, INTERNAL, body)?.header("idempotency-key", once)).await
    }

    fn post(&self, number: usize, path: &str, key: &str, body: &Value) -> Result<RequestBuilder> {
        let url = format!("{}{path}", self.at(number)?.url);
        let request = self.client.post(url).bearer_auth(key);
        Ok(request.header("content-type", "application/json").body(body.to_string()))
    }

    async fn send(&self, request: RequestBuilder) -> Result<(u16, Value)> {
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// As [`Stack::ask`] of the first replica with the internal key, which must succeed.
    pub async fn tell(&self, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.ask(0, path, INTERNAL, body).await?;
        ensure!(status == 200, "{path}: {status} {answer}");
        Ok(answer)
    }

    /// A page for a new customer, asked of a replica; for the same one if the name is.
    pub async fn checkout(&self, number: usize, name: &str, tier: TierId) -> Result<Page> {
        let body = json!({"email": format!("{name}@example.com"), "tier": tier,
            "niche": "pharmacy", "locale": "pt-BR", "success_url": "http://127.0.0.1/thanks",
            "cancel_url": "http://127.0.0.1/pity"});
        let once = format!("checkout-{name}");
        let (status, answer) = self.ask_once(number, "/internal/checkout", &once, &body).await?;
        ensure!(status == 200, "checkout of {name}: {status} {answer}");
        let text = |field: &str| answer.get(field).and_then(Value::as_str);
        let (Some(account), Some(url)) = (text("account"), text("url")) else { bail!("{answer}") };
        let session = url.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Page { account: account.parse()?, session })
    }

    /// Stripe, its customers and their banks do something, in the words of [`stripe`].
    pub fn at_stripe(&self, words: &str) -> Result<String> {
        self.stripe.control(words).map_err(anyhow::Error::msg)
    }

    /// A new customer buys a tier with a card that works.
    pub async fn buy(&self, name: &str, tier: TierId) -> Result<Page> {
        let page = self.checkout(0, name, tier).await?;
        self.at_stripe(&format!("checkout={}:works", page.session))?;
        Ok(page)
    }

    /// The customer of an account.
    pub fn customer(&self, account: &AccountId) -> Result<String> {
        let found = self.stripe.with(|engine| {
            let mut customers = engine.customers();
            let mine = |id: Option<&String>| id.is_some_and(|id| id == account.as_str());
            let found =
                customers.find(|one| mine(one.profile.metadata.get("openclaw_customer_id")));
            found.map(|one| one.id.to_string())
        });
        found.with_context(|| format!("{account} is no customer"))
    }

    /// The address of a short link, valid for an hour.
    pub fn link(&self, purpose: Purpose, tenant: &TenantId) -> Result<String> {
        let now = oc_service::Clock::system().now().as_second();
        let link = Link { purpose, tenant: tenant.clone(), expires: u32::try_from(now + 3600)? };
        let link = LinkKey::new(LINKS.as_bytes())?.sign(&link);
        Ok(format!("{}/u/{link}", self.at(0)?.url))
    }

    /// Where keys, clones and logs lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a replica has logged since the first start.
    pub fn log(&self, number: usize) -> Result<String> {
        Ok(fs::read_to_string(self.folder().join(format!("billing-{number}.log")))?)
    }
}
