//! The whole product on one machine: every service of ours as its own process, a real Kubernetes
//! control plane, a node that runs agents as processes, Postgres, Redis, a fleet repository, and
//! stand-ins for what lives on the internet.
//!
//! ```text
//!  stand-ins (Stripe, Telegram, Kimi)      Postgres, Redis, fleet repository
//!        ▲            ▲         ▲                    ▲
//!     billing     channels  token-proxy           operator ──► Kubernetes ──► node ──► pods
//!                     ▲         ▲                                                       │
//!                     └─────────┴──────────── forwarders into each pod's network ◄──────┘
//! ```
//!
//! All state lies in one folder, so that a stack that is started there again goes on.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use oc_store::{Store, secrets::KeyFile};
use oc_testkit::{Postgres, Redis};
use tokio::time::Instant;

use self::{
    keys::Keys,
    kubernetes::Kubernetes,
    programs::Programs,
    services::{Services, Setting},
};
use crate::{
    Remote, Service,
    kimi::Kimi,
    node::{Image, Node},
    stripe,
    telegram::Telegram,
};

mod book;
mod keys;
mod kubernetes;
mod outside;
mod programs;
mod services;

pub use book::Book;
pub use outside::Real;

/// How a local stack differs from the usual.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where all state lies.
    pub folder: PathBuf,
    /// Which services are real.
    pub real: Real,
    /// How far the clock of the stand-in for Stripe is behind the time of day, on a new stack.
    pub stripe_behind: Duration,
    /// A cluster that is there already.
    pub kubeconfig: Option<PathBuf>,
    /// OpenClaw's `node_modules`, as the image holds them.
    pub packages: PathBuf,
    /// Services listen where people expect them, if nobody else does.
    pub usual_ports: bool,
    /// How late the node notices that a ConfigMap or Secret has changed, as a kubelet does.
    pub refresh: Duration,
    /// Says on standard error what is being started, and how long it took.
    pub progress: bool,
}

/// A running stack. All its processes end with this value; the state stays in its folder.
#[derive(Debug)]
pub struct Local {
    // In this order: pods and services end before what they need.
    node: Option<Node>,
    services: Services,
    kubernetes: Kubernetes,
    outside: outside::Outside,
    redis: Redis,
    redis_url: String,
    postgres: Postgres,
    database: String,
    remote: Remote,
    keys: Keys,
    programs: Programs,
    options: Options,
}

impl Local {
    /// Starts everything, and waits until it is ready.
    pub async fn start(options: Options) -> Result<Self> {
        // It holds the state of everything that starts side by side.
        Box::pin(Self::begin(options)).await
    }

    async fn begin(options: Options) -> Result<Self> {
        let folder = &options.folder;
        fs::create_dir_all(folder)?;
        let programs = Programs::beside_this_one()?;
        let keys = Keys::in_folder(&folder.join("keys"))?;
        let remote = Remote::kept(folder)?;
        let existing = options.kubeconfig.as_deref();
        let say = options.progress;
        let [postgres, redis, kubernetes] =
            ["postgres", "redis", "kubernetes"].map(|name| folder.join(name));
        let (postgres, redis, kubernetes, outside) = tokio::try_join!(
            step(say, "Postgres", Postgres::start_in(&postgres)),
            step(say, "Redis", Redis::start_in(&redis)),
            step(say, "Kubernetes", Kubernetes::start(&kubernetes, existing)),
            step(say, "stand-ins", outside::Outside::start(&options, &keys)),
        )?;
        let database = postgres.named_database("openclaw").await?;
        oc_store::migrations::run(&Store::connect(&database.clone().into(), 2)?).await?;
        Kubernetes::publish(&remote)?;
        let mut local = Self {
            node: None,
            services: Services::new(),
            kubernetes,
            outside,
            redis_url: redis.url(),
            redis,
            postgres,
            database,
            remote,
            keys,
            programs,
            options,
        };
        local.synchronise_catalog().await?;
        local.services = step(say, "services", local.setting().start()).await?;
        local.outside.deliver_to(&local.service("billing")?.url, &local.keys)?;
        local.node = Some(step(say, "the node of agents", local.start_node()).await?);
        local.book()?.write(&local.options.folder)?;
        Ok(local)
    }

    fn setting(&self) -> Setting<'_> {
        Setting {
            programs: &self.programs,
            keys: &self.keys,
            folder: &self.options.folder,
            database: &self.database,
            redis: &self.redis_url,
            remote: self.remote.path(),
            kubeconfig: &self.kubernetes.operators,
            outside: &self.outside,
            usual_ports: self.options.usual_ports,
        }
    }

    async fn start_node(&self) -> Result<Node> {
        let mut services = Vec::new();
        for name in ["token-proxy", "channels"] {
            let url = &self.service(name)?.url;
            let address: SocketAddr = url.trim_start_matches("http://").parse()?;
            services.push((name, address));
        }
        let packages = self.options.packages.clone();
        let cache = packages.with_file_name("compile-cache");
        let mounts = [
            (self.programs.find("oc-agent")?, "/bin/oc-agent"),
            (packages, "/opt/openclaw/node_modules"),
            (cache, "/opt/openclaw/compile-cache"),
        ];
        let image = Image {
            name: "gateway".to_owned(),
            entry: vec!["/bin/oc-agent".to_owned()],
            mounts: mounts.map(|(from, to)| (from, to.to_owned())).into(),
            env: Vec::new(),
        };
        let folder = self.options.folder.join("node");
        self.kubernetes.start_node(&folder, vec![image], &services, self.options.refresh).await
    }

    /// Has Stripe know what is sold.
    async fn synchronise_catalog(&self) -> Result<()> {
        let mut command = tokio::process::Command::new(self.programs.find("oc-billing")?);
        command.arg("sync-catalog").arg("--stripe-key-file").arg(self.keys.path("stripe"));
        command.args(["--stripe-url", &self.outside.stripe_url()]).stdin(Stdio::null());
        let output = command.output().await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Where everything is.
    pub fn book(&self) -> Result<Book> {
        let of = |address: SocketAddr| format!("http://{address}");
        let outside = &self.outside;
        Ok(Book {
            pid: std::process::id(),
            services: self
                .services
                .iter()
                .map(|(name, it)| ((*name).to_owned(), it.into()))
                .collect(),
            stripe: outside.stripe.as_ref().map(|it| of(it.address)),
            telegram: outside.telegram.as_ref().map(|it| of(it.addr())),
            kimi: outside.kimi.as_ref().map(|it| of(it.addr())),
            database: self.database.clone(),
            redis: self.redis_url.clone(),
            remote: self.remote.path().to_owned(),
            kubeconfig: self.kubernetes.kubeconfig.clone(),
            internal_key: self.keys.read("internal")?,
        })
    }

    /// One of our services.
    pub fn service(&self, name: &str) -> Result<&Service> {
        self.services.get(name).with_context(|| format!("no service {name}"))
    }

    /// Starts a service again, at its address, after it was killed.
    pub async fn restart(&mut self, name: &'static str) -> Result<()> {
        let mut services = std::mem::take(&mut self.services);
        let started = self.setting().respawn(name, &mut services);
        self.services = services;
        started?;
        self.service(name)?.ready().await?;
        Ok(())
    }

    /// The stand-in for Stripe, if there is one.
    pub fn stripe(&self) -> Result<&stripe::Server> {
        self.outside.stripe.as_ref().context("Stripe is real here")
    }

    /// The stand-in for Telegram, if there is one.
    pub fn telegram(&self) -> Result<&Telegram> {
        self.outside.telegram.as_ref().context("Telegram is real here")
    }

    /// The stand-in for the provider of models, if there is one.
    pub fn kimi(&self) -> Result<&Kimi> {
        self.outside.kimi.as_ref().context("the provider of models is real here")
    }

    /// The node that runs the agents.
    pub fn node(&self) -> Result<&Node> {
        self.node.as_ref().context("no node")
    }

    /// A client of Kubernetes with every right.
    pub fn kubernetes(&self) -> kube::Client {
        self.kubernetes.client.clone()
    }

    /// Redis, to be killed.
    pub fn redis(&mut self) -> &mut Redis {
        &mut self.redis
    }

    /// Postgres, to be killed, and for statements on [`Self::database`].
    pub fn postgres(&mut self) -> &mut Postgres {
        &mut self.postgres
    }

    /// The services' database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// What the services' secrets are under.
    pub fn envelope_keys(&self) -> Result<KeyFile> {
        Ok(self.keys.read("envelope")?.parse()?)
    }

    /// Where all state lies.
    pub fn folder(&self) -> &Path {
        &self.options.folder
    }

    /// The fleet repository.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Ends pods and services in good order. What is left ends with this value.
    pub async fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            node.stop().await;
        }
        for service in self.services.values_mut() {
            // It has ended already, or is killed with this value.
            let _ = service.drain().await;
        }
    }
}

/// Does something that takes a while, and says so.
async fn step<T>(say: bool, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let began = Instant::now();
    let done = work.await.with_context(|| format!("starting {what}"))?;
    if say {
        anstream::eprintln!("{what}: {:.1} s", began.elapsed().as_secs_f64());
    }
    Ok(done)
}
