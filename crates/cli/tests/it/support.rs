//! A fleet in a temporary folder, and the binary run on it.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_openclaw-cloud");

/// A folder for one test, with a fleet in its `fleet/`.
pub(crate) struct Fleet {
    folder: TempDir,
}

/// What a run of a command left behind.
#[derive(Debug, PartialEq)]
pub(crate) struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A valid tenant of the niche that is complete.
pub(crate) fn tenant(id: &str) -> Value {
    json!({
        "apiVersion": "openclaw.cloud/v1alpha1",
        "kind": "Tenant",
        "metadata": { "name": id },
        "spec": {
            "tier": "starter",
            "niche": "pharmacy",
            "locale": "pt-BR",
            "channels": { "telegram": { "enabled": true } },
            "connections": ["google"],
            "state": "active",
        },
    })
}

/// A valid inventory: three servers, a shared and a dedicated node.
pub(crate) fn inventory() -> Value {
    let node = |name: &str, role: &str, pool: &str, host: u8| {
        json!({
            "name": name,
            "role": role,
            "serverType": "cx33",
            "location": "fsn1",
            "publicAddress": format!("203.0.113.{host}"),
            "privateAddress": format!("10.0.0.{host}"),
            "pool": pool,
        })
    };
    let mut nodes = vec![
        node("cp-1", "server", "platform", 11),
        node("cp-2", "server", "platform", 12),
        node("cp-3", "server", "platform", 13),
        node("worker-1", "agent", "shared", 21),
        node("dedicated-1", "agent", "dedicated", 31),
    ];
    nodes[0]["initial"] = json!(true);
    nodes[4]["taints"] =
        json!([{ "key": "openclaw.cloud/pool", "value": "dedicated", "effect": "NoSchedule" }]);
    json!({
        "cluster": {
            "domain": "openclaw.example.org",
            "acmeEmail": "ops@openclaw.example.org",
            "k3sVersion": "v1.36.3+k3s1",
            "privateNetwork": "10.0.0.0/16",
            "clusterCidr": "10.42.0.0/16",
            "serviceCidr": "10.43.0.0/16",
            "dataPlane": {
                "tokenProxy": "10.43.0.20",
                "channels": "10.43.0.21",
                "browserProxy": "10.43.0.22",
                "egressProxy": "10.43.0.23",
            },
            "storageClass": "local-path",
            "image": { "registry": "registry.openclaw.example.org/openclaw", "tag": "0.1.0" },
            "fleetRemote": "git@git.openclaw.example.org:openclaw/fleet.git",
            "s3": {
                "endpoint": "https://fsn1.your-objectstorage.com",
                "bucket": "openclaw-backups",
                "region": "fsn1",
                "networks": ["198.51.100.0/24"],
            },
            "runtimeClasses": [{ "name": "gvisor", "handler": "runsc" }],
            "tenantRuntimeClass": "gvisor",
        },
        "nodes": nodes,
    })
}

/// Puts `new` at `pointer`, whose parent must exist.
pub(crate) fn set(value: &mut Value, pointer: &str, new: Value) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer to a part");
    let name = name.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(parent).expect("a parent") {
        Value::Array(items) => items[name.parse::<usize>().expect("an index")] = new,
        parent => parent[name] = new,
    }
}

/// Removes the field at `pointer`.
pub(crate) fn unset(value: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer to a part");
    let parent = value.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    parent.remove(name).expect("the field was there");
}

impl Fleet {
    /// A fleet with the inventory and no tenant.
    pub(crate) fn empty() -> Self {
        let fleet = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        fleet.inventory(|_| ());
        fleet
    }

    /// A fleet with one tenant, `c-00000001`.
    pub(crate) fn with_one_tenant() -> Self {
        let fleet = Self::empty();
        fleet.tenant("c-00000001", |_| ());
        fleet
    }

    /// The folder around the fleet: the working directory of every run.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the fleet.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder().join("fleet").join(path)
    }

    /// Writes a file of the fleet.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, bytes).expect("written");
    }

    /// Reads a file of the fleet.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).expect("a file")
    }

    /// Writes the inventory as `change` leaves it.
    pub(crate) fn inventory(&self, change: impl FnOnce(&mut Value)) {
        let mut inventory = inventory();
        change(&mut inventory);
        self.write("nodes/inventory.json", pretty(&inventory));
    }

    /// Writes a tenant as `change` leaves it, where `tenant new` would.
    pub(crate) fn tenant(&self, id: &str, change: impl FnOnce(&mut Value)) {
        let mut tenant = tenant(id);
        change(&mut tenant);
        self.write(&tenant_path(id), pretty(&tenant));
    }

    /// The binary with its arguments, in [`Fleet::folder`], untouched by the caller's settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(arguments);
        self.isolate(&mut command);
        command
    }

    /// Makes a command run in [`Fleet::folder`] and heed no setting of the caller's.
    pub(crate) fn isolate(&self, command: &mut Command) {
        command
            .current_dir(self.folder())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            // A temporary folder inside somebody's repository is in none.
            .env("GIT_CEILING_DIRECTORIES", self.folder().parent().expect("a parent"))
            .env_remove("GIT_DIR")
            .env_remove("GIT_INDEX_FILE")
            .env_remove("GIT_WORK_TREE")
            .env_remove("CLICOLOR_FORCE");
    }

    /// Runs the binary.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        finish(self.command(arguments))
    }

    /// Runs the binary, which must succeed, and returns what it printed.
    pub(crate) fn good(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {run:#?}");
        run.stdout
    }

    /// Runs git in the fleet, which must succeed.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        self.isolate(&mut command);
        let name = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
        command.args(name).args(["-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main"]);
        command.current_dir(self.path("")).args(arguments);
        let run = finish(command);
        assert_eq!(run.code, 0, "git {arguments:?}: {run:#?}");
        run.stdout
    }

    /// Commits everything.
    pub(crate) fn commit(&self) {
        if !self.path(".git").exists() {
            self.git(&["init", "--quiet"]);
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "a change"]);
    }
}

/// Where `tenant new` puts a tenant.
pub(crate) fn tenant_path(id: &str) -> String {
    match id.strip_prefix("c-").filter(|rest| rest.len() == 8) {
        Some(rest) => format!("tenants/{}/{id}.json", &rest[..2]),
        None => format!("tenants/{id}.json"),
    }
}

pub(crate) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Runs a command to its end; one that hangs is killed and fails the test.
pub(crate) fn finish(mut command: Command) -> Run {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let stdout = child.stdout.take().expect("piped");
    let stderr = child.stderr.take().expect("piped");
    let read = |mut pipe: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).expect("read");
            String::from_utf8(bytes).expect("UTF-8")
        })
    };
    let (stdout, stderr) = (read(Box::new(stdout)), read(Box::new(stderr)));
    let mut waited = Duration::ZERO;
    let pause = Duration::from_millis(2);
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if waited > Duration::from_mins(1) {
            child.kill().expect("killed");
            panic!("{command:?} did not end within a minute");
        }
        thread::sleep(pause);
        waited += pause;
    };
    Run {
        code: status.code().unwrap_or(-1),
        stdout: stdout.join().expect("read"),
        stderr: stderr.join().expect("read"),
    }
}
