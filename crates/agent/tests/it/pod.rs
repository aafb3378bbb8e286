//! A tenant's pod on this machine: what we render for it, and the agent in it.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    net::TcpListener,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use oc_domain::{
    Inventory, Locale, NicheId, TenantSpec, TierId,
    heartbeat::GatewayPhase,
    tenant::{Channels, State, Telegram},
};
use oc_testkit::wait_for;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{chat::Chat, model::Model, process};

pub(crate) const TENANT: &str = "c-7f3k2m9q";
/// Half a minute is usual, more than one on a busy machine.
pub(crate) const START: Duration = Duration::from_secs(150);
/// The first turn loads half of the gateway.
pub(crate) const REPLY: Duration = Duration::from_secs(90);
/// Where the pod has its volume.
const VOLUME: &str = "/var/lib/openclaw";

/// A pod, made and perhaps started; all of it ends with this value.
pub(crate) struct Pod {
    pub(crate) folder: TempDir,
    /// The address of its probes.
    probes: String,
    /// What the ConfigMap holds.
    files: BTreeMap<String, String>,
    environment: Vec<(String, String)>,
    versions: u32,
    agent: Option<Child>,
}

/// What a tenant of the tests has bought.
pub(crate) fn spec(tier: TierId, niche: NicheId, locale: Locale) -> TenantSpec {
    TenantSpec {
        tier,
        niche,
        locale,
        model: None,
        thinking: None,
        channels: Channels { telegram: Telegram { enabled: true } },
        connections: Vec::new(),
        state: State::Active,
        hold: None,
    }
}

/// The objects of a tenant by kind.
pub(crate) fn rendered(spec: &TenantSpec) -> impl Fn(&str) -> Value {
    let inventory = include_bytes!("../../../../nodes/inventory.json");
    let inventory = Inventory::parse("nodes/inventory.json", inventory).unwrap();
    let overlay = oc_manifests::Overlay::default();
    let objects = oc_manifests::tenant(&TENANT.parse().unwrap(), spec, &inventory, &overlay);
    let objects: Vec<Value> =
        objects.iter().map(|object| serde_json::to_value(object).unwrap()).collect();
    move |kind| objects.iter().find(|object| object["kind"] == kind).unwrap().clone()
}

/// The folder that the image has at `/opt/openclaw/node_modules`.
pub(crate) fn packages() -> PathBuf {
    let Some(path) = env::var_os("OPENCLAW_PACKAGES") else {
        panic!("OPENCLAW_PACKAGES is not set: run scripts/test, which installs OpenClaw");
    };
    path.into()
}

/// OpenClaw's Node.
pub(crate) fn node() -> PathBuf {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    packages().join(format!("node-linux-{architecture}/bin/node"))
}

impl Pod {
    /// The volumes and the environment of a pod whose neighbours are these, before its start.
    pub(crate) fn new(chat: &Chat, model: &Model, token: &str) -> Self {
        // Not below /tmp, which a pod has for itself.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let spec = spec(TierId::Starter, NicheId::Pharmacy, Locale::PtBr);
        let objects = rendered(&spec);
        let [gateway, probes] = free_ports();
        let data = objects("ConfigMap")["data"].clone();
        let mut files: BTreeMap<String, String> = serde_json::from_value(data).unwrap();
        let mut config: Value = serde_json::from_str(&files["openclaw.json"]).unwrap();
        config["gateway"]["port"] = json!(gateway);
        config["channels"]["telegram"]["apiRoot"] = json!(chat.url);
        config["models"]["providers"]["platform"]["baseUrl"] = json!(model.url);
        files.insert("openclaw.json".to_owned(), config.to_string());
        let place = folder.path().to_str().unwrap();
        let workload = objects("Deployment");
        let container = &workload["spec"]["template"]["spec"]["containers"][0];
        let environment = container["env"].as_array().unwrap().iter().map(|variable| {
            let value = variable["value"].as_str().unwrap().replace(VOLUME, place);
            (variable["name"].as_str().unwrap().to_owned(), value)
        });
        let mut pod = Self {
            environment: environment.collect(),
            probes: format!("127.0.0.1:{probes}"),
            folder,
            files,
            versions: 0,
            agent: None,
        };
        for (name, value) in [
            ("TMPDIR", pod.path("tmp").to_str().unwrap()),
            ("OPENCLAW_CHANNELS_URL", &chat.url),
            ("OPENCLAW_VOLUMES", pod.path("volumes").to_str().unwrap()),
            ("OPENCLAW_PACKAGES", packages().to_str().unwrap()),
            ("OPENCLAW_PROBES_LISTEN", &pod.probes.clone()),
        ] {
            pod.set(name, value);
        }
        fs::create_dir(pod.path("tmp")).unwrap();
        pod.publish("workspace", &pod.files.clone());
        pod.give_secret(token, "1");
        pod
    }

    /// A variable of the pod's environment.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts the agent.
    pub(crate) fn start(&mut self) {
        let agent = Command::new(env!("CARGO_BIN_EXE_oc-agent"));
        self.start_as(agent);
    }

    /// Starts the agent by a command that ends with its path.
    pub(crate) fn start_as(&mut self, mut command: Command) {
        let log = File::options().create(true).append(true).open(self.path("agent.log")).unwrap();
        let agent = command
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.agent = Some(agent);
    }

    /// Waits until the gateway is ready and `chat` has heard of it.
    pub(crate) async fn ready(&self, chat: &Chat) {
        let ready = |heartbeat: &oc_domain::Heartbeat| heartbeat.gateway == GatewayPhase::Ready;
        let heard = chat.heartbeat(START, "the gateway to be ready", ready).await;
        heard.unwrap_or_else(|error| panic!("{error:#}\n{}", self.log()));
        assert_eq!(self.probe("/readyz").await, 200);
    }

    /// What a probe answers; 0 if nobody does.
    pub(crate) async fn probe(&self, path: &str) -> u16 {
        let answer = reqwest::get(format!("http://{}{path}", self.probes)).await;
        answer.map_or(0, |answer| answer.status().as_u16())
    }

    /// What the person is answered, and what the model was asked for that. What a gateway says of its
    /// own end, or says again after it, comes before.
    pub(crate) async fn turn(&self, chat: &Chat, model: &Model, text: &str) -> (String, String) {
        let before = model.asked().len();
        chat.say(text);
        loop {
            let reply = self.reply(chat).await;
            if let Some(asked) = model.asked().get(before) {
                return (reply, asked.text());
            }
        }
    }

    /// What the person is answered.
    pub(crate) async fn reply(&self, chat: &Chat) -> String {
        let reply = chat.reply(REPLY).await;
        reply.unwrap_or_else(|error| panic!("{error:#}\n{}", self.log()))
    }

    /// Changes a file of the ConfigMap, as the kubelet would show it.
    pub(crate) fn change(&mut self, name: &str, change: impl FnOnce(&str) -> String) {
        let text = change(&self.files[name]);
        self.files.insert(name.to_owned(), text);
        self.publish("workspace", &self.files.clone());
    }

    /// Changes the gateway's configuration.
    pub(crate) fn configure(&mut self, change: impl FnOnce(&mut Value)) {
        self.change("openclaw.json", |text| {
            let mut config = serde_json::from_str(text).unwrap();
            change(&mut config);
            config.to_string()
        });
    }

    /// Changes the Secret.
    pub(crate) fn give_secret(&mut self, token: &str, number: &str) {
        let files = [("platform-token", token), ("telegram-number", number)];
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
        self.publish("secret", &files.into());
    }

    /// As a kubelet exchanges a volume's content: a new folder, and one rename.
    fn publish(&mut self, volume: &str, files: &BTreeMap<String, String>) {
        self.versions += 1;
        let version = format!("..{}", self.versions);
        let volume = self.path("volumes").join(volume);
        fs::create_dir_all(volume.join(&version)).unwrap();
        for (name, text) in files {
            fs::write(volume.join(&version).join(name), text).unwrap();
            let link = volume.join(name);
            if fs::symlink_metadata(&link).is_err() {
                symlink(Path::new("..data").join(name), link).unwrap();
            }
        }
        symlink(&version, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    }

    /// A file of the pod.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the pod has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("agent.log")).unwrap()
    }

    /// The process of the agent.
    pub(crate) fn agent(&self) -> u32 {
        self.agent.as_ref().unwrap().id()
    }

    /// The process of the gateway.
    pub(crate) fn gateway(&self) -> Option<u32> {
        let pids = process::family(self.agent()).into_iter();
        pids.skip(1)
            .find(|pid| process::lives(*pid) && process::arguments(*pid).contains("openclaw"))
    }

    /// Kills the gateway as soon as a turn is done but for its answer, which is in no queue yet.
    pub(crate) fn kill_before_sending(&self, gateway: u32) -> Child {
        const SCRIPT: &str = r#"
            const { DatabaseSync } = require("node:sqlite");
            const [path, pid] = process.argv.slice(-2);
            const database = new DatabaseSync(path, { readOnly: true });
            const session = database.prepare(`
                select 1
                from session_nodes
                where status = 'done'
                    and entry_json ->> '$.restartRecoveryDeliveryRunId' is not null
            `);
            for (const end = Date.now() + 90000; Date.now() < end;) {
                if (session.get()) {
                    process.kill(Number(pid), "SIGKILL");
                    process.exit(0);
                }
            }
            process.exit(1);
        "#;
        let path = self.path("state/agents/main/agent/openclaw-agent.sqlite");
        let mut script = Command::new(node());
        script.args(["--no-warnings", "--eval", SCRIPT, "--"]).arg(path).arg(gateway.to_string());
        script.spawn().unwrap()
    }

    /// Waits for the agent's end.
    pub(crate) async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let agent = self.agent.as_mut().unwrap();
        let ended = wait_for(limit, "the agent's end", async || Ok(agent.try_wait()?)).await;
        ended.unwrap_or_else(|error| panic!("{error:#}\n{}", self.log()))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            process::signal("KILL", &process::family(agent.id()));
            let _ = agent.wait();
        }
    }
}

fn free_ports() -> [u16; 2] {
    // Both are held until both are known, so they differ.
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
