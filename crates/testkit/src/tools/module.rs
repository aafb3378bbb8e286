//! What a Go module of ours makes, kept under a key of its lock files.

use std::{
    env,
    fs::{self, File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// A Go module of `tools/`, compiled in as text: a test binary builds it wherever it runs.
pub(super) struct Module {
    name: &'static str,
    takes: &'static str,
    files: &'static [(&'static str, &'static str)],
    arguments: Vec<String>,
}

impl Module {
    /// `arguments` are those of `go`, which is called in the module's folder; what shall be kept
    /// goes to `../out/`.
    pub(super) fn new(
        name: &'static str,
        takes: &'static str,
        files: &'static [(&'static str, &'static str)],
        arguments: Vec<String>,
    ) -> Self {
        Self { name, takes, files, arguments }
    }

    pub(super) fn is_cached(&self) -> Result<bool> {
        Ok(self.directory()?.exists())
    }

    /// The directory with what the module makes, made now unless it is there. `finish` is given
    /// what `go` printed and the directory, before others see it.
    pub(super) fn obtain(
        &self,
        finish: impl FnOnce(&[u8], &Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let directory = self.directory()?;
        if directory.exists() {
            return Ok(directory);
        }
        let parent = cache()?;
        fs::create_dir_all(&parent).with_context(|| format!("creating {}", parent.display()))?;
        let lock = File::create(parent.join(format!("{}.lock", self.name)))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            say(&format!("another process makes {}; waiting for it", self.name));
            lock.lock()?;
        }
        if directory.exists() {
            return Ok(directory);
        }
        let stage = parent.join(format!(".{}", self.name));
        let out = stage.join("out");
        if stage.exists() {
            fs::remove_dir_all(&stage)?; // Of a process that was killed while it held the lock.
        }
        fs::create_dir_all(&out)?;
        say(&format!("making {} once; takes {}", directory.display(), self.takes));
        finish(&self.go(&stage.join("source"))?, &out)?;
        fs::rename(&out, &directory)?;
        fs::remove_dir_all(&stage)?;
        Ok(directory)
    }

    /// Writes the module to `source`, calls `go` there and returns what it printed.
    fn go(&self, source: &Path) -> Result<Vec<u8>> {
        fs::create_dir(source)?;
        for (name, text) in self.files {
            fs::write(source.join(name), text)?;
        }
        let output = Command::new("go")
            .args(&self.arguments)
            .current_dir(source)
            // The same result whatever the settings here are: no C compiler needed, the lock files
            // obeyed.
            .envs([
                ("CGO_ENABLED", "0"),
                ("GOFLAGS", "-mod=readonly -buildvcs=false"),
                ("GOWORK", "off"),
            ])
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| {
                format!("{} is built with Go, which could not be started", self.name)
            })?;
        if !output.status.success() {
            bail!(
                "go {} for {}: {}\n{}",
                self.arguments.join(" "),
                self.name,
                output.status,
                String::from_utf8_lossy(&output.stdout)
            );
        }
        Ok(output.stdout)
    }

    fn directory(&self) -> Result<PathBuf> {
        let mut hash = Sha256::new();
        for text in self
            .files
            .iter()
            .map(|(_, text)| *text)
            .chain(self.arguments.iter().map(String::as_str))
        {
            hash.update(text);
            hash.update([0]);
        }
        let key = hex::encode(hash.finalize());
        Ok(cache()?.join(format!("{}-{}", self.name, key.get(..16).unwrap_or(&key))))
    }
}

/// `~/.cache/openclaw-cloud/tools`
fn cache() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| env::home_dir().map(|home| home.join(".cache")));
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("openclaw-cloud/tools"))
}

/// Tells the person who waits; not by a macro, since the test harness keeps what those print.
pub(crate) fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "oc-testkit: {what}");
}
