//! A Kubernetes control plane on loopback.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, anyhow};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{
    Api, Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::{
    Write, audit,
    pki::Authority,
    port::ReservedPort,
    process::{Group, Usage},
    provisioner::Provisioner,
    tools::{self, ControlPlane},
    wait_for,
};

mod arguments;

/// What of a cluster shall run, and the addresses it gives out. The default is all of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// kube-controller-manager.
    pub controllers: bool,
    /// kube-scheduler.
    pub scheduler: bool,
    /// kwok, which makes nodes ready and their pods running.
    pub simulated_nodes: bool,
    /// A `StorageClass` of this name whose claims get volumes; binding takes `controllers`.
    pub storage_class: Option<String>,
    /// The range of the services' cluster addresses.
    pub service_range: String,
    /// The range of the addresses that kwok gives to pods.
    pub pod_range: String,
    /// How long the control plane may take until it answers.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            controllers: true,
            scheduler: true,
            simulated_nodes: true,
            storage_class: Some("standard".to_owned()),
            service_range: "10.43.0.0/16".to_owned(), // K3s' defaults, as in our inventory.
            pod_range: "10.42.0.0/16".to_owned(),
            patience: Duration::from_mins(1),
        }
    }
}

impl Options {
    /// etcd and the API server alone: enough to see what the API accepts, and quicker.
    pub fn api_only() -> Self {
        Self {
            controllers: false,
            scheduler: false,
            simulated_nodes: false,
            storage_class: None,
            ..Self::default()
        }
    }
}

/// A running cluster. Dropping it kills its processes and removes its files; so does the end of
/// this process.
#[derive(Debug)]
pub struct Cluster {
    // In this order: the provisioner would meet an API server that is gone.
    _provisioner: Option<Provisioner>,
    group: Group,
    _port: ReservedPort,
    config: Config,
    kubeconfig: PathBuf,
    controllers: bool,
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
        let mut group = Group::new()?;
        let authority = Authority::new(group.directory(), port.address)?;
        let kubeconfig = authority.kubeconfig("admin", Some("system:masters"))?;
        start_api(&mut group, &programs, &options, port.address)?;
        let config = config(&kubeconfig).await?;
        let client = Client::try_from(config.clone())?;
        ready(&mut group, &client, options.patience).await?;
        start_controllers(&mut group, &programs, &options, &authority)?;
        if let Some(kwok) = kwok {
            let kubeconfig = authority.kubeconfig("kwok", Some("system:masters"))?;
            let stages = group.directory().join("stages.yaml");
            fs::write(&stages, include_str!("files/stages.yaml"))?;
            group.spawn("kwok", &kwok, &arguments::kwok(&kubeconfig, &stages, &options))?;
        }
        let mut provisioner = None;
        if let Some(class) = &options.storage_class {
            provisioner = Some(Provisioner::start(config.clone(), &client, class).await?);
        }
        if options.controllers {
            controlled(&mut group, &client, options.patience).await?;
        }
        let controllers = options.controllers;
        Ok(Self { _provisioner: provisioner, group, _port: port, config, kubeconfig, controllers })
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
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups =
            Some(groups.iter().map(|&group| group.to_owned()).collect());
        Ok(Client::try_from(config)?)
    }

    /// A kubeconfig with every right, for other programs.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The directory of everything the cluster writes.
    pub fn directory(&self) -> &Path {
        self.group.directory()
    }

    /// The API server's audit log: each write, as a line of JSON at level `Metadata`.
    pub fn audit_log(&self) -> PathBuf {
        self.directory().join("audit.log")
    }

    /// What wrote to the API until now, in order, whether the API accepted it or not.
    pub fn writes(&self) -> Result<Vec<Write>> {
        audit::writes(&self.audit_log())
    }

    /// The processes and what they use.
    pub fn usage(&self) -> Result<Vec<Usage>> {
        self.group.usage()
    }

    pub(crate) fn has_controllers(&self) -> bool {
        self.controllers
    }
}

fn start_api(
    group: &mut Group,
    programs: &ControlPlane,
    options: &Options,
    address: SocketAddr,
) -> Result<()> {
    let directory = group.directory().to_owned();
    fs::write(directory.join("audit-policy.yaml"), include_str!("files/audit-policy.yaml"))?;
    group.spawn("etcd", &programs.etcd, &arguments::etcd(&directory))?;
    group.spawn(
        "kube-apiserver",
        &programs.api_server,
        &arguments::api_server(&directory, address, options),
    )
}

fn start_controllers(
    group: &mut Group,
    programs: &ControlPlane,
    options: &Options,
    authority: &Authority,
) -> Result<()> {
    let directory = group.directory().to_owned();
    if options.controllers {
        let kubeconfig = authority.kubeconfig("system:kube-controller-manager", None)?;
        let arguments = arguments::controller_manager(&directory, &kubeconfig);
        group.spawn("kube-controller-manager", &programs.controller_manager, &arguments)?;
    }
    if options.scheduler {
        let kubeconfig = authority.kubeconfig("system:kube-scheduler", None)?;
        let file = directory.join("scheduler.json");
        fs::write(&file, arguments::scheduler_configuration(&kubeconfig).to_string())?;
        group.spawn("kube-scheduler", &programs.scheduler, &arguments::scheduler(&file))?;
    }
    Ok(())
}

async fn config(kubeconfig: &Path) -> Result<Config> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.proxy_url = None; // kube takes HTTPS_PROXY for loopback too.
    Ok(config)
}

/// Waits until the API server says that it is ready.
async fn ready(group: &mut Group, client: &Client, patience: Duration) -> Result<()> {
    let mut last = String::new();
    let waited = wait_for(patience, "kube-apiserver to be ready", async || {
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
async fn controlled(group: &mut Group, client: &Client, patience: Duration) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    let waited =
        wait_for(patience, "kube-controller-manager to make a service account", async || {
            group.check()?;
            Ok(accounts.get_opt("default").await?)
        });
    let waited = waited.await;
    waited.map(drop).map_err(|error| explain(&error, group, ""))
}

/// What went wrong, with what the API server said last and what all programs wrote last.
fn explain(error: &anyhow::Error, group: &Group, last: &str) -> anyhow::Error {
    let last = if last.is_empty() { String::new() } else { format!("; its last answer: {last}") };
    anyhow!("{error:#}{last}\n{}", group.tails())
}
