//! A Kubernetes control plane on loopback.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, anyhow};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{
    Api, Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use crate::{
    Request,
    audit::Log,
    pki::Authority,
    port::ReservedPort,
    process::{Group, Usage},
    provisioner::Provisioner,
    tools::{self, ControlPlane},
    wait_for,
};

pub use self::options::Options;

mod arguments;
mod faults;
mod options;

const ETCD: &str = "etcd";
const API_SERVER: &str = "kube-apiserver";
const CONTROLLERS: &str = "kube-controller-manager";
const SCHEDULER: &str = "kube-scheduler";
const KWOK: &str = "kwok";

/// A running cluster. Dropping it kills its processes and removes its files, unless they are kept;
/// so does the end of this process.
#[derive(Debug)]
pub struct Cluster {
    // In this order: the provisioner would meet an API server that is gone.
    provisioner: Option<Provisioner>,
    group: Group,
    port: ReservedPort,
    programs: ControlPlane,
    options: Options,
    config: Config,
    kubeconfig: PathBuf,
    log: Log,
}

impl Cluster {
    /// Starts what `options` name and waits until it answers; builds the programs first if they are
    /// nowhere.
    pub async fn start(options: Options) -> Result<Self> {
        // The only failure is "already installed", which is what we want.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let simulated = options.simulated_nodes;
        let (programs, kwok) = tokio::task::spawn_blocking(move || {
            anyhow::Ok((tools::control_plane()?, simulated.then(tools::kwok).transpose()?))
        })
        .await??;
        let port = ReservedPort::new()?;
        let group = match &options.folder {
            Some(folder) => Group::kept(folder)?,
            None if options.durable => Group::on_disk()?,
            None => Group::new()?,
        };
        let authority = Authority::new(group.directory(), port.address)?;
        let kubeconfig = authority.kubeconfig("admin", Some("system:masters"))?;
        let config = config(&kubeconfig).await?;
        let log = Log::new(group.directory().join("audit.log"));
        let mut cluster =
            Self { provisioner: None, group, port, programs, options, config, kubeconfig, log };
        cluster.start_etcd()?;
        cluster.start_api_server()?;
        cluster.ready().await?;
        cluster.start_controllers(&authority)?;
        if let Some(kwok) = kwok {
            cluster.start_kwok(&kwok, &authority)?;
        }
        if let Some(class) = &cluster.options.storage_class {
            let (config, client) = (cluster.config.clone(), cluster.client()?);
            cluster.provisioner = Some(Provisioner::start(config, &client, class).await?);
        }
        if cluster.options.controllers {
            cluster.controlled().await?;
        }
        Ok(cluster)
    }

    /// A client with every right and no limit of its own on its rate.
    ///
    /// Each call makes a new one, since a client lives on the runtime that it was made on, and each
    /// `#[tokio::test]` has its own.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config.clone())?)
    }

    /// A client that the API treats, and audits, as `user` of `groups`; for a service account
    /// `system:serviceaccount:<namespace>:<name>` of `system:serviceaccounts` and
    /// `system:authenticated`.
    pub fn client_as(&self, user: &str, groups: &[&str]) -> Result<Client> {
        Ok(Client::try_from(self.config_as(user, groups))?)
    }

    /// What [`Self::client_as`] is made of, for code that makes its own client.
    pub fn config_as(&self, user: &str, groups: &[&str]) -> Config {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups =
            Some(groups.iter().map(|&group| group.to_owned()).collect());
        config
    }

    /// A new kubeconfig, for other programs, whose holder is `user` of `groups` as in
    /// [`Self::client_as`].
    ///
    /// By impersonation, which kube and kubectl read from the file: a certificate of rcgen's has
    /// room for one group.
    pub fn kubeconfig_as(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let mut file: Value = serde_json::from_slice(&fs::read(&self.kubeconfig)?)?;
        let holder = file.pointer_mut("/users/0/user").and_then(Value::as_object_mut);
        let holder = holder.context("a kubeconfig without a user")?;
        holder.insert("as".to_owned(), json!(user));
        holder.insert("as-groups".to_owned(), json!(groups));
        let (_, path) = tempfile::Builder::new()
            .prefix(&user.replace([':', '/'], "-"))
            .suffix(".kubeconfig")
            .tempfile_in(self.directory())?
            .keep()?;
        fs::write(&path, serde_json::to_vec_pretty(&file)?)?;
        Ok(path)
    }

    /// A kubeconfig with every right, for other programs.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The directory of everything the cluster writes.
    pub fn directory(&self) -> &Path {
        self.group.directory()
    }

    /// All that the audit log holds until now, in order: writes, and with [`Options::audit_reads`]
    /// also reads and leases. Each call reads only what is new.
    pub fn requests(&self) -> Result<Vec<Arc<Request>>> {
        self.log.requests(|_| true)
    }

    /// Those of the requests that [`Request::is_write`].
    pub fn writes(&self) -> Result<Vec<Arc<Request>>> {
        self.log.requests(Request::is_write)
    }

    /// The processes and what they use.
    pub fn usage(&self) -> Result<Vec<Usage>> {
        self.group.usage()
    }

    pub(crate) fn has_controllers(&self) -> bool {
        self.options.controllers
    }

    fn start_etcd(&mut self) -> Result<()> {
        let arguments = arguments::etcd(self.directory(), &self.options);
        self.group.spawn(ETCD, &self.programs.etcd, &arguments)
    }

    fn start_api_server(&mut self) -> Result<()> {
        let policy = if self.options.audit_reads {
            include_str!("files/audit-policy-reads.yaml")
        } else {
            include_str!("files/audit-policy.yaml")
        };
        fs::write(self.directory().join("audit-policy.yaml"), policy)?;
        let arguments = arguments::api_server(self.directory(), self.port.address, &self.options);
        self.group.spawn(API_SERVER, &self.programs.api_server, &arguments)
    }

    fn start_controllers(&mut self, authority: &Authority) -> Result<()> {
        if self.options.controllers {
            let kubeconfig = authority.kubeconfig("system:kube-controller-manager", None)?;
            let arguments = arguments::controller_manager(self.directory(), &kubeconfig);
            let program = &self.programs.controller_manager;
            self.group.spawn(CONTROLLERS, program, &arguments)?;
        }
        if self.options.scheduler {
            let kubeconfig = authority.kubeconfig("system:kube-scheduler", None)?;
            let file = self.directory().join("scheduler.json");
            fs::write(&file, arguments::scheduler_configuration(&kubeconfig).to_string())?;
            let arguments = arguments::scheduler(&file);
            self.group.spawn(SCHEDULER, &self.programs.scheduler, &arguments)?;
        }
        Ok(())
    }

    fn start_kwok(&mut self, program: &Path, authority: &Authority) -> Result<()> {
        let kubeconfig = authority.kubeconfig("kwok", Some("system:masters"))?;
        let stages = self.directory().join("stages.yaml");
        fs::write(&stages, include_str!("files/stages.yaml"))?;
        self.group.spawn(KWOK, program, &arguments::kwok(&kubeconfig, &stages, &self.options))
    }

    /// Waits until the API server says that it is ready.
    async fn ready(&mut self) -> Result<()> {
        let (client, group, mut last) = (self.client()?, &mut self.group, String::new());
        let waited = wait_for(self.options.patience, "kube-apiserver to be ready", async || {
            group.check()?;
            let request = http::Request::get("/readyz").body(Body::empty())?;
            match client.send(request).await {
                Ok(answer) if answer.status().is_success() => return Ok(Some(())),
                Ok(answer) => last = answer.status().to_string(),
                Err(error) => last = format!("{:#}", anyhow!(error)),
            }
            Ok(None)
        });
        let waited = waited.await;
        waited.map_err(|error| explain(&error, group, &last))
    }

    /// Waits until the controller-manager works: pods are refused before it has made their service
    /// account.
    async fn controlled(&mut self) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client()?, "default");
        let what = "kube-controller-manager to make a service account";
        let group = &mut self.group;
        let waited = wait_for(self.options.patience, what, async || {
            group.check()?;
            Ok(accounts.get_opt("default").await?)
        });
        let waited = waited.await;
        waited.map(drop).map_err(|error| explain(&error, group, ""))
    }
}

async fn config(kubeconfig: &Path) -> Result<Config> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.proxy_url = None; // kube takes HTTPS_PROXY for loopback too.
    Ok(config)
}

/// What went wrong, with what the API server said last and what all programs wrote last.
fn explain(error: &anyhow::Error, group: &Group, last: &str) -> anyhow::Error {
    let last = if last.is_empty() { String::new() } else { format!("; its last answer: {last}") };
    anyhow!("{error:#}{last}\n{}", group.tails())
}
