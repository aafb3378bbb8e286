//! The OpenClaw gateway as a tenant's pod runs it: with the configuration, the prompts and the
//! environment that we render, in a folder of its own.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use oc_domain::{
    Inventory, Locale, NicheId, TenantSpec, TierId,
    tenant::{Channels, State, Telegram as Channel},
};
use oc_sandbox::stack::Stack;
use oc_testkit::wait_for;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    installed::{node, openclaw},
    telegram::Telegram,
};

/// Half a minute is usual, more than one on a busy machine.
const START: Duration = Duration::from_secs(150);
/// Two seconds are usual.
const RELOAD: Duration = Duration::from_secs(30);
/// Where the pod has its volume.
const VOLUME: &str = "/var/lib/openclaw";

/// A running gateway; it ends with this value, and so does its folder.
pub(crate) struct Gateway {
    child: Child,
    folder: TempDir,
    config: Value,
}

impl Gateway {
    /// Starts the gateway of a tenant and waits until it is ready.
    pub(crate) async fn start(stack: &Stack, tenant: &str, token: &str, chat: &Telegram) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let objects = rendered(tenant);
        let mut config = prepare(folder.path(), &objects, token);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        config["gateway"]["port"] = json!(port);
        config["channels"]["telegram"]["apiRoot"] = json!(chat.url);
        provider(&mut config)["baseUrl"] = json!(stack.url("/v1"));
        write(folder.path(), &config);
        let child = spawn(folder.path(), &objects);
        let gateway = Self { child, folder, config };
        let url = format!("http://127.0.0.1:{port}/readyz");
        let ready = async || {
            let answer = stack.client.get(&url).send().await;
            Ok(answer.is_ok_and(|answer| answer.status().is_success()).then_some(()))
        };
        if let Err(error) = wait_for(START, "the gateway to be ready", ready).await {
            panic!("{error:#}\n{}", gateway.log());
        }
        gateway
    }

    /// From the next turn on it speaks Anthropic's dialect: it has read its configuration again.
    pub(crate) async fn speak_anthropic(&mut self, stack: &Stack) {
        provider(&mut self.config)["api"] = json!("anthropic-messages");
        provider(&mut self.config)["baseUrl"] = json!(stack.url(""));
        write(self.folder.path(), &self.config);
        let applied = async || Ok(self.log().contains("hot reload applied").then_some(()));
        wait_for(RELOAD, "the new configuration", applied).await.unwrap();
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("gateway.log")).unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It has processes of its own, which are in its group.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

/// The objects of a tenant without connections, by kind.
fn rendered(tenant: &str) -> impl Fn(&str) -> Value {
    let inventory = include_bytes!("../../../../nodes/inventory.json");
    let inventory = Inventory::parse("nodes/inventory.json", inventory).unwrap();
    let spec = TenantSpec {
        tier: TierId::Starter,
        niche: NicheId::Pharmacy,
        locale: Locale::PtBr,
        model: None,
        thinking: None,
        channels: Channels { telegram: Channel { enabled: true } },
        connections: Vec::new(),
        state: State::Active,
        hold: None,
    };
    let objects = oc_manifests::tenant(
        &tenant.parse().unwrap(),
        &spec,
        &inventory,
        &oc_manifests::Overlay::default(),
    );
    let objects: Vec<Value> =
        objects.iter().map(|object| serde_json::to_value(object).unwrap()).collect();
    move |kind| objects.iter().find(|object| object["kind"] == kind).unwrap().clone()
}

/// Does what the agent does before it starts the gateway: copies the files of the ConfigMap, and
/// fills in what no ConfigMap may hold. Gives the configuration.
fn prepare(folder: &Path, objects: &impl Fn(&str) -> Value, token: &str) -> Value {
    let workspace = folder.join("workspace");
    for path in [&workspace, &folder.join("state"), &folder.join("home"), &folder.join("tmp")] {
        fs::create_dir(path).unwrap();
    }
    let files = objects("ConfigMap")["data"].clone();
    for (name, text) in files.as_object().unwrap() {
        if name != "openclaw.json" {
            fs::write(workspace.join(name), text.as_str().unwrap()).unwrap();
        }
    }
    let mut config = files["openclaw.json"].as_str().unwrap().to_owned();
    for (name, value) in [
        ("OPENCLAW_PLATFORM_TOKEN", token),
        ("OPENCLAW_TELEGRAM_TOKEN", &format!("1:{token}")),
        ("OPENCLAW_GATEWAY_TOKEN", "sandbox"),
        ("OPENCLAW_WORKSPACE_DIR", workspace.to_str().unwrap()),
    ] {
        config = config.replace(&format!("${{{name}}}"), value);
    }
    serde_json::from_str(&config).unwrap()
}

fn provider(config: &mut Value) -> &mut Value {
    &mut config["models"]["providers"]["platform"]
}

/// By rename: half a file is never read.
fn write(folder: &Path, config: &Value) {
    let path = folder.join("state/openclaw.json");
    fs::write(path.with_extension("new"), config.to_string()).unwrap();
    fs::rename(path.with_extension("new"), path).unwrap();
}

/// With the pod's environment and nothing of ours but a path.
fn spawn(folder: &Path, objects: &impl Fn(&str) -> Value) -> Child {
    let log = File::create(folder.join("gateway.log")).unwrap();
    let mut command = Command::new(node());
    command.arg(openclaw()).args(["gateway", "run"]);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    let container = &objects("Deployment")["spec"]["template"]["spec"]["containers"][0];
    for variable in container["env"].as_array().unwrap() {
        let value = variable["value"].as_str().unwrap();
        let value = value.replace(VOLUME, folder.to_str().unwrap());
        command.env(variable["name"].as_str().unwrap(), value);
    }
    command
        .env("TMPDIR", folder.join("tmp"))
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}
