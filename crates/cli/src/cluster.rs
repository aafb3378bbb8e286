//! What runs: reads of the cluster that the kubeconfig names. Nothing here writes to it.

use std::{io, time::Duration};

use kube::{
    Client, Config, Error,
    api::{DynamicObject, ListParams, ObjectList},
    config::{KubeConfigOptions, KubeconfigError},
    core::{ApiResource, Status, TypeMeta},
};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;

mod kinds;
mod list;
mod show;
mod story;
mod times;

pub(crate) use kinds::kinds;
pub(crate) use list::{list, tenants};
pub(crate) use show::show;

/// How long it may take until the API server is reached at all.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// Objects in one answer.
const PAGE: u32 = 500;

/// The way to a cluster.
pub(crate) struct Cluster {
    runtime: Runtime,
    client: Client,
    address: String,
}

impl Cluster {
    /// The cluster that kubectl would talk to: by `KUBECONFIG`, else `~/.kube/config`, else the one
    /// that this pod runs in. Nothing is asked yet.
    pub(crate) fn new() -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Outside(format!("a thread: {error}")))?;
        let mut config = runtime.block_on(config())?;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(ANSWER);
        let host = config.cluster_url.host().unwrap_or_default();
        if ["127.0.0.1", "localhost", "[::1]"].contains(&host) {
            // kube takes HTTPS_PROXY for loopback too.
            config.proxy_url = None;
        }
        let address = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let entered = runtime.enter();
        let client = Client::try_from(config).map_err(|error| explain("", &address, &error))?;
        drop(entered);
        Ok(Self { runtime, client, address })
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Waits for what `reading` asks of the cluster; `what` is an infinitive: `list pods`.
    pub(crate) fn wait<T>(
        &self,
        what: &str,
        reading: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Failure> {
        let read = self.runtime.block_on(reading);
        read.map_err(|error| explain(what, &self.address, &error))
    }
}

/// All objects that `parameters` select, by the pages that `list` gives.
pub(crate) async fn all<K: Clone>(
    mut parameters: ListParams,
    list: impl AsyncFn(&ListParams) -> kube::Result<ObjectList<K>>,
) -> kube::Result<Vec<K>> {
    let mut objects = Vec::new();
    parameters.limit = Some(PAGE);
    loop {
        let page = list(&parameters).await?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

/// An object as the API writes it, with its kind, which lists leave out, and without the record of
/// who wrote which field.
pub(crate) fn plain(mut object: DynamicObject, kind: &ApiResource) -> Value {
    object.metadata.managed_fields = None;
    let (api_version, kind) = (kind.api_version.clone(), kind.kind.clone());
    object.types = Some(TypeMeta { api_version, kind });
    serde_json::to_value(object).unwrap_or_default()
}

/// The text at `pointer`, or nothing.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

async fn config() -> Result<Config, Failure> {
    let found = match Config::from_kubeconfig(&KubeConfigOptions::default()).await {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    match found {
        KubeconfigError::ReadConfig(error, path) if error.kind() == io::ErrorKind::NotFound => {
            Config::incluster().map_err(|_| {
                let path = path.display();
                let help = "set KUBECONFIG to the file that kubectl uses";
                Failure::Outside(format!("no cluster is known: there is no {path}; {help}"))
            })
        }
        error => {
            // The lines after the first one would show a part of the file.
            let error = error.to_string();
            let why = error.lines().next().unwrap_or_default();
            Err(Failure::Outside(format!("the kubeconfig is not usable: {why}")))
        }
    }
}

/// What went wrong, for people.
fn explain(what: &str, address: &str, error: &Error) -> Failure {
    Failure::Outside(match error {
        Error::Api(status) => refused(what, address, status),
        Error::SerdeError(error) => format!("{address} answers in words we do not know: {error}"),
        Error::Auth(error) => format!("the login of the kubeconfig fails: {}", root(error)),
        error => format!("{address} does not answer: {}", root(error)),
    })
}

fn refused(what: &str, address: &str, status: &Status) -> String {
    let message = &status.message;
    match status.code {
        401 => format!(
            "{address} does not know this login: the kubeconfig's has ended, or is another cluster's"
        ),
        403 => format!("{address} does not let this login {what}: {message}"),
        // Of an object that is not there nothing comes here: this is a kind.
        404 => format!(
            "{address} cannot {what}: it does not know the kind; `openclaw-cloud crd` prints ours"
        ),
        code => format!("{address} cannot {what}: {message} ({code})"),
    }
}

/// The innermost cause, which is the one that says something.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
