//! A remote in a temporary folder, and people who push to it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    fs,
    future::ready,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use oc_domain::TenantId;
use oc_gitops::{Author, Change, Error, Fleet, Limits, Oid, Options, Outcome};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A bare repository, and room for clones of it.
pub(crate) struct Remote {
    folder: TempDir,
}

/// A person with a working copy.
pub(crate) struct Human {
    copy: PathBuf,
}

/// A valid tenant, its keys in another order than our tools'.
pub(crate) fn tenant(id: &str) -> String {
    format!(
        r#"{{
  "kind": "Tenant",
  "apiVersion": "openclaw.cloud/v1alpha1",
  "metadata": {{
    "name": "{id}"
  }},
  "spec": {{
    "state": "active",
    "tier": "starter",
    "niche": "pharmacy",
    "locale": "pt-BR",
    "connections": [
      "google"
    ]
  }}
}}
"#
    )
}

/// The id of a number, spread over the folders as drawn ids are.
pub(crate) fn id(number: usize) -> String {
    let bits = (number as u64).wrapping_mul(0x9e_3779_b97f).to_be_bytes();
    TenantId::draw(*bits.last_chunk().unwrap()).to_string()
}

/// The id of the tenant that the change `number` is about, where there are `tenants`.
pub(crate) fn nth(number: i64, tenants: usize) -> String {
    id(usize::try_from(number).unwrap() % tenants)
}

pub(crate) fn path(id: &str) -> String {
    format!("tenants/{}/{id}.json", &id[2..4])
}

/// A change of `tenant` that puts values at pointers.
pub(crate) fn change(id: i64, tenant: &str, edits: &[(&str, Value)]) -> Change {
    let edits = edits
        .iter()
        .map(|(pointer, value)| ((*pointer).to_owned(), (!value.is_null()).then(|| value.clone())));
    Change {
        id,
        tenant: tenant.parse().unwrap(),
        edits: edits.collect(),
        create: None,
        event: Some(format!("evt_{id}")),
        trace: format!("trace-{id}"),
        reason: "a test".to_owned(),
        attempted: None,
    }
}

/// A change that no other change equals.
pub(crate) fn hold(id: i64, tenant: &str) -> Change {
    change(id, tenant, &[("/spec/hold/reason", json!(format!("change {id}")))])
}

/// Applies changes and notes nothing.
pub(crate) async fn apply(fleet: &mut Fleet, changes: &[Change]) -> Result<Vec<Outcome>, Error> {
    fleet.apply(changes, |_| ready(Ok(()))).await
}

pub(crate) fn committed(outcome: &Outcome) -> Oid {
    match outcome {
        Outcome::Committed(oid) => *oid,
        other => panic!("{other:?}"),
    }
}

impl Remote {
    pub(crate) fn empty() -> Self {
        let remote = Self { folder: tempfile::tempdir().unwrap() };
        git(remote.folder(), &["init", "--quiet", "--bare", "-b", "main", "remote.git"]);
        remote
    }

    /// With the tenants `id(0)` to `id(tenants - 1)`.
    pub(crate) fn new(tenants: usize) -> Self {
        let remote = Self::empty();
        let files: Vec<_> = (0..tenants).map(id).map(|id| (path(&id), tenant(&id))).collect();
        remote.import(&files);
        remote
    }

    /// Adds a commit with `files`, as if somebody had pushed it.
    pub(crate) fn import(&self, files: &[(String, String)]) {
        let mut stream = "commit refs/heads/main\ncommitter A <a@example.org> now\n".to_owned();
        stream.push_str("data 5\nfiles\n");
        if !self.git(&["for-each-ref", "refs/heads/main"]).is_empty() {
            stream.push_str("from refs/heads/main^0\n");
        }
        for (path, text) in files {
            let _ = write!(stream, "M 100644 inline {path}\ndata {}\n{text}\n", text.len());
        }
        let mut command = command(&self.path());
        command.args(["fast-import", "--quiet", "--date-format=now"]).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder().join("remote.git")
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.folder().join("committer")
    }

    pub(crate) fn clone_path(&self) -> PathBuf {
        self.directory().join("clone.git")
    }

    pub(crate) fn options(&self) -> Options {
        options(&self.directory(), self.path().to_str().unwrap())
    }

    pub(crate) async fn open(&self) -> Fleet {
        Fleet::open(self.options()).await.unwrap()
    }

    /// Runs git in the remote, which must succeed.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.path(), arguments)
    }

    pub(crate) fn tip(&self) -> Oid {
        self.git(&["rev-parse", "main"]).parse().unwrap()
    }

    pub(crate) fn file(&self, id: &str) -> String {
        self.git(&["show", &format!("main:{}", path(id))]) + "\n"
    }

    pub(crate) fn json(&self, id: &str) -> Value {
        serde_json::from_str(&self.file(id)).unwrap()
    }

    pub(crate) fn hook(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path().join("hooks").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn unhook(&self, name: &str) {
        fs::remove_file(self.path().join("hooks").join(name)).unwrap();
    }

    pub(crate) fn human(&self, name: &str) -> Human {
        let copy = self.folder().join(name);
        git(self.folder(), &["clone", "--quiet", "remote.git", name]);
        Human { copy }
    }

    /// How many commits carry each change, and that nobody merged.
    pub(crate) fn changes(&self) -> HashMap<i64, usize> {
        assert_eq!(self.git(&["rev-list", "--merges", "main"]), "");
        let format = "--format=%(trailers:key=Change-Id,valueonly,separator=%x2C)";
        let mut counts = HashMap::new();
        for line in self.git(&["log", format, "main"]).lines().filter(|line| !line.is_empty()) {
            *counts.entry(line.parse().unwrap()).or_default() += 1;
        }
        counts
    }

    /// Each of `ids` has one commit.
    pub(crate) fn assert_once(&self, ids: impl Iterator<Item = i64>) {
        let expected: BTreeMap<i64, usize> = ids.map(|id| (id, 1)).collect();
        assert_eq!(self.changes().into_iter().collect::<BTreeMap<_, _>>(), expected);
    }
}

impl Human {
    /// Edits a file and pushes, as often as it takes; returns how often others were faster.
    pub(crate) fn edit(&self, id: &str, from: &str, to: &str) -> usize {
        self.replace(&path(id), from, to);
        git(&self.copy, &["commit", "--quiet", "--all", "-m", &format!("{from} to {to}")]);
        self.push()
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        git(&self.copy, &["pull", "--quiet", "--rebase"]);
        let text = fs::read_to_string(self.copy.join(path)).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(self.copy.join(path), text.replace(from, to)).unwrap();
    }

    /// Adds an empty commit and pushes it.
    pub(crate) fn say(&self, message: &str) -> usize {
        git(&self.copy, &["commit", "--quiet", "--allow-empty", "-m", message]);
        self.push()
    }

    fn push(&self) -> usize {
        for round in 0..500 {
            let mut push = command(&self.copy);
            push.args(["push", "--quiet"]).stdout(Stdio::null()).stderr(Stdio::null());
            if push.status().unwrap().success() {
                return round;
            }
            git(&self.copy, &["pull", "--quiet", "--rebase", "--no-autostash"]);
        }
        panic!("others were faster 500 times");
    }
}

pub(crate) fn options(directory: &Path, remote: &str) -> Options {
    Options {
        directory: directory.to_owned(),
        remote: remote.to_owned(),
        branch: "main".to_owned(),
        author: Author { name: "Billing".to_owned(), email: "billing@example.org".to_owned() },
        limits: Limits {
            fetch: Duration::from_secs(20),
            push: Duration::from_secs(20),
            clone: Duration::from_mins(1),
        },
        credentials: None,
        ssh: None,
    }
}

/// Git as it is on nobody's machine.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=Human", "-c", "user.email=human@example.org"])
        .args(["-c", "commit.gpgsign=false"])
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LC_ALL", "C")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE");
    command
}

/// Runs git, which must succeed, and returns what it printed without the last line end.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = command(folder).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    stdout.strip_suffix('\n').unwrap_or(&stdout).to_owned()
}

/// Waits until no process has `word` in its command line: the kernel takes a moment over the dead.
pub(crate) fn assert_gone(word: &str) {
    let processes = || {
        let lines = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let bytes = fs::read(entry.ok()?.path().join("cmdline")).ok()?;
            Some(String::from_utf8_lossy(&bytes).replace('\0', " "))
        });
        lines.filter(|line| line.contains(word)).collect::<Vec<_>>()
    };
    for _ in 0..100 {
        if processes().is_empty() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{:?}", processes());
}
