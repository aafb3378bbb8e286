//! Everything that the operator needs, private to one test or one developer: a Kubernetes control
//! plane with simulated nodes, Postgres, Redis, a fleet repository, keys, and the operator itself as
//! processes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use oc_domain::{Inventory, TenantId, inventory};
use oc_manifests::Object;
use oc_platform_token::{KeyRing, SigningKey};
use oc_store::Store;
use oc_testkit::{Cluster, Options, Postgres, Redis, RedisOptions, SimulatedNode, apply_strict};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Remote, Service};

/// Whom the API server takes the operator for.
pub const USER: &str = "system:serviceaccount:platform:operator";
pub(crate) const GROUPS: [&str; 3] =
    ["system:serviceaccounts", "system:serviceaccounts:platform", "system:authenticated"];
/// The inventory of the example fleet.
const INVENTORY: &str = include_str!("../../../nodes/inventory.json");

/// The operator and what is around it; all of it ends with this value.
#[derive(Debug)]
pub struct Stack {
    /// Kubernetes, with the operator's own objects on it.
    pub cluster: Cluster,
    /// Tenants, renderings, rollouts.
    pub store: Store,
    /// Whom the proxies ask.
    pub redis_url: String,
    /// The fleet repository.
    pub remote: Remote,
    /// The replicas.
    pub services: Vec<Service>,
    /// The database, for statements by [`Postgres::execute`].
    pub database: String,
    /// What the tenants' tokens are verified with.
    pub keys: KeyRing,
    /// What the fleet repository has.
    pub inventory: Inventory,
    redis: Option<Redis>,
    folder: TempDir,
    setup: Setup,
}

/// How a stack differs from the usual.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The operator's program.
    pub program: PathBuf,
    /// How many of it run.
    pub replicas: usize,
    /// Nodes of pool `shared`, each with room for 2,000 pods.
    pub nodes: u32,
    /// Nodes of pool `dedicated`: each takes one tenant.
    pub dedicated: u32,
    /// More options of the operator.
    pub options: Vec<String>,
    /// What of the cluster runs.
    pub cluster: Options,
}

/// What others have already, as billing's stack.
#[derive(Clone, Debug)]
pub struct Around {
    /// The database.
    pub database: String,
    /// Redis.
    pub redis_url: String,
    /// The fleet repository.
    pub remote: PathBuf,
}

impl Setup {
    /// The usual stack around this program.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let cluster =
            Options { storage_class: Some("local-path".to_owned()), ..Options::default() };
        Self {
            program: program.into(),
            replicas: 1,
            nodes: 1,
            dedicated: 1,
            options: Vec::new(),
            cluster,
        }
    }
}

impl Stack {
    /// Starts everything, with a database of the test process' own Postgres, and the example's
    /// inventory in the fleet repository.
    pub async fn start(setup: Setup) -> Result<Self> {
        let redis = Redis::start(RedisOptions::default()).await?;
        let folder = tempfile::tempdir()?;
        let remote = Remote::new(folder.path())?;
        let database = Postgres::shared().await?.create_database().await?;
        let around = Around { database, redis_url: redis.url(), remote: remote.path().to_owned() };
        let mut stack = Self::around(setup, around, folder).await?;
        stack.redis = Some(redis);
        Ok(stack)
    }

    /// Starts the operator beside what is there; `folder` is for what it writes.
    pub async fn around(setup: Setup, around: Around, folder: TempDir) -> Result<Self> {
        let key = SigningKey::generate()?;
        fs::write(folder.path().join("signing-key"), &key)?;
        let remote = Remote::at(&around.remote);
        remote.import(&[(inventory::PATH.to_owned(), INVENTORY.to_owned())])?;
        let cluster = Cluster::start(setup.cluster.clone()).await?;
        let inventory = Inventory::parse(inventory::PATH, INVENTORY.as_bytes());
        let inventory = inventory.ok().context("the example's inventory")?;
        let store = Store::connect(&around.database.clone().into(), 4)?;
        oc_store::migrations::run(&store).await?;
        let mut stack = Self {
            cluster,
            store,
            redis_url: around.redis_url,
            remote,
            services: Vec::new(),
            database: around.database,
            keys: SigningKey::parse(&key)?.public().to_string().parse()?,
            inventory,
            redis: None,
            folder,
            setup,
        };
        stack.prepare().await?;
        for number in 0..stack.setup.replicas {
            let service = stack.spawn(number)?;
            stack.services.push(service);
        }
        for (number, service) in stack.services.iter().enumerate() {
            service.ready().await.with_context(|| stack.log(number).unwrap_or_default())?;
        }
        Ok(stack)
    }

    /// Nodes, and what of the platform the operator and its tenants need.
    async fn prepare(&self) -> Result<()> {
        let client = self.cluster.client()?;
        let mut nodes: Vec<SimulatedNode> =
            (1..=self.setup.nodes).map(|it| node("shared", it)).collect();
        nodes.extend((1..=self.setup.dedicated).map(|it| node("dedicated", it)));
        self.cluster.add_nodes(&nodes).await?;
        install(&client, &self.inventory).await
    }

    /// A client of the API with every right.
    pub fn client(&self) -> Result<Client> {
        self.cluster.client()
    }

    fn spawn(&self, number: usize) -> Result<Service> {
        let kubeconfig = self.cluster.kubeconfig_as(USER, &GROUPS)?;
        let log = self.folder.path().join(format!("operator-{number}.log"));
        let arguments = |_| self.arguments(number);
        Service::spawn(&self.setup.program, arguments, &[("KUBECONFIG", &kubeconfig)], &log)
    }

    fn arguments(&self, number: usize) -> Vec<String> {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        [
            ("--signing-key-file", file("signing-key")),
            ("--fleet-remote", self.remote.path().display().to_string()),
            ("--fleet-directory", file(&format!("operator-fleet-{number}"))),
            ("--database-url", self.database.clone()),
            ("--redis-url", self.redis_url.clone()),
            ("--grace", "10s".to_owned()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .chain(self.setup.options.clone())
        .collect()
    }

    /// The replica of that number starts in the place of one that ended.
    pub async fn restart(&mut self, number: usize) -> Result<()> {
        let service = self.spawn(number)?;
        service.ready().await.with_context(|| self.log(number).unwrap_or_default())?;
        *self.services.get_mut(number).context("no such replica")? = service;
        Ok(())
    }

    /// From the next start on, replicas are this program, with these options.
    pub fn exchange(&mut self, options: &[&str]) {
        self.setup.options = options.iter().map(|&option| option.to_owned()).collect();
    }

    /// What a replica has logged.
    pub fn log(&self, number: usize) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join(format!("operator-{number}.log")))?)
    }

    /// Pushes tenant files, and has the operator told, as billing does.
    pub async fn push(&self, files: &[(&TenantId, Value)]) -> Result<()> {
        let file = |(id, spec): &(&TenantId, Value)| {
            let file = json!({
                "apiVersion": "openclaw.cloud/v1alpha1", "kind": "Tenant",
                "metadata": { "name": id }, "spec": spec,
            });
            (id.path(), file.to_string())
        };
        self.push_files(&files.iter().map(file).collect::<Vec<_>>()).await
    }

    /// Pushes files of any kind, and has the operator told.
    pub async fn push_files(&self, files: &[(String, String)]) -> Result<()> {
        self.remote.import(files)?;
        self.tell().await
    }

    /// Has the operator told that the fleet repository moved.
    pub async fn tell(&self) -> Result<()> {
        let bulletin = oc_streams::Bulletin::new(&self.redis_url.clone().into())?;
        let tip = self.remote.git(&["rev-parse", "main"])?;
        Ok(bulletin.fleet_moved(&tip).await?)
    }

    /// Runs a verb of the program with the options that it knows.
    pub async fn verb(&self, words: &[&str]) -> Result<Output> {
        let mut command = tokio::process::Command::new(&self.setup.program);
        command.args(words).args(["--database-url", &self.database]);
        if words.first() == Some(&"revoke") {
            command.args(["--redis-url", &self.redis_url]);
        }
        command.stdin(Stdio::null());
        command.output().await.with_context(|| self.setup.program.display().to_string())
    }

    /// As [`Stack::verb`], which must succeed; gives what it prints.
    pub async fn succeed(&self, words: &[&str]) -> Result<String> {
        let output = self.verb(words).await?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{words:?}: {} {stderr}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Where the stack's files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Gives a cluster what of the platform the operator and its tenants need; nothing that runs.
pub(crate) async fn install(client: &Client, inventory: &Inventory) -> Result<()> {
    apply_strict(client, &oc_manifests::crds(), "sandbox").await?.clean()?;
    let needed = |object: &Object| {
        let kinds = ["Namespace", "PriorityClass", "RuntimeClass"];
        let access = ["ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];
        kinds.contains(&object.kind()) || access.contains(&object.kind())
    };
    let mut platform = oc_manifests::platform(inventory);
    platform.retain(needed);
    apply_strict(client, &platform, "sandbox").await?.clean()?;
    Ok(())
}

/// A large node of a pool.
fn node(pool: &str, number: u32) -> SimulatedNode {
    let labels = [(inventory::POOL_LABEL.to_owned(), pool.to_owned())];
    SimulatedNode {
        labels: labels.into(),
        cpu: "2000".to_owned(),
        memory: "8000Gi".to_owned(),
        pods: 2000,
        ..SimulatedNode::new(format!("{pool}-{number}"))
    }
}
