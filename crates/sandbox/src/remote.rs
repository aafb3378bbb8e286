//! A fleet repository on this machine.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use oc_domain::TenantId;
use serde_json::Value;

/// A bare repository with a branch `main`.
#[derive(Debug)]
pub struct Remote {
    path: PathBuf,
}

impl Remote {
    /// One in `folder`, with one commit.
    pub fn new(folder: &Path) -> Result<Self> {
        git(folder, &["init", "--quiet", "--bare", "-b", "main", "remote.git"])?;
        let remote = Self { path: folder.join("remote.git") };
        remote.import(&[("README.md".to_owned(), "The fleet.\n".to_owned())])?;
        Ok(remote)
    }

    /// The one in `folder`, made if there is none.
    pub fn kept(folder: &Path) -> Result<Self> {
        let path = folder.join("remote.git");
        if path.exists() { Ok(Self { path }) } else { Self::new(folder) }
    }

    /// The one that is there.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs git in it, which must succeed.
    pub fn git(&self, arguments: &[&str]) -> Result<String> {
        git(&self.path, arguments)
    }

    /// Adds a commit with files, as if somebody had pushed it.
    pub fn import(&self, files: &[(String, String)]) -> Result<()> {
        let mut stream = "commit refs/heads/main\ncommitter A <a@example.org> now\n".to_owned();
        stream.push_str("data 5\nfiles\n");
        if !self.git(&["for-each-ref", "refs/heads/main"])?.is_empty() {
            stream.push_str("from refs/heads/main^0\n");
        }
        for (path, text) in files {
            write!(stream, "M 100644 inline {path}\ndata {}\n{text}\n", text.len())?;
        }
        self.feed(&stream)
    }

    /// Adds a commit without these files.
    pub fn remove(&self, paths: &[&str]) -> Result<()> {
        let mut stream = "commit refs/heads/main\ncommitter A <a@example.org> now\n".to_owned();
        stream.push_str("data 7\nremoval\nfrom refs/heads/main^0\n");
        for path in paths {
            writeln!(stream, "D {path}")?;
        }
        self.feed(&stream)
    }

    fn feed(&self, stream: &str) -> Result<()> {
        let mut command = command(&self.path);
        command.args(["fast-import", "--quiet", "--date-format=now"]).stdin(Stdio::piped());
        let mut child = command.spawn()?;
        child.stdin.take().context("no input")?.write_all(stream.as_bytes())?;
        ensure!(child.wait()?.success(), "fast-import");
        Ok(())
    }

    /// The tenant's file on the branch; nothing if there is none.
    pub fn tenant(&self, id: &TenantId) -> Result<Option<Value>> {
        let name = id.as_str();
        let folder = name.get(2..4).unwrap_or_default();
        let file = format!("main:tenants/{folder}/{name}.json");
        let output = command(&self.path).args(["show", &file]).output()?;
        let found = output.status.success().then(|| serde_json::from_slice(&output.stdout));
        Ok(found.transpose()?)
    }

    /// How many commits carry each change.
    pub fn changes(&self) -> Result<BTreeMap<i64, usize>> {
        let format = "--format=%(trailers:key=Change-Id,valueonly,separator=%x2C)";
        let mut counts = BTreeMap::new();
        let log = self.git(&["log", format, "main"])?;
        for line in log.lines().filter(|line| !line.is_empty()) {
            *counts.entry(line.parse()?).or_default() += 1;
        }
        Ok(counts)
    }

    /// Puts a script in the place of a hook; an empty one takes it away.
    pub fn hook(&self, name: &str, script: &str) -> Result<()> {
        let path = self.path.join("hooks").join(name);
        if script.is_empty() {
            return Ok(fs::remove_file(path)?);
        }
        // Whoever runs it sees the old one or the new one.
        let new = path.with_extension("new");
        fs::create_dir_all(self.path.join("hooks"))?;
        fs::write(&new, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
        Ok(fs::rename(new, path)?)
    }
}

/// Git as it is on nobody's machine.
fn command(folder: &Path) -> Command {
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

/// Runs git in a folder, as a person of no account; it must succeed. Gives what it printed without
/// the last line end.
pub fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = command(folder).args(arguments).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {arguments:?}: {stderr}");
    let stdout = String::from_utf8(output.stdout)?;
    Ok(stdout.strip_suffix('\n').unwrap_or(&stdout).to_owned())
}
