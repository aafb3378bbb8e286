//! The gateway's process.

use std::{
    ffi::OsString,
    fs, io,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, WaitStatus, kill_process, kill_process_group};
use tokio::{net::unix::pipe::Receiver, task::JoinSet, time::timeout};

use crate::{Config, output, secrets::Secrets, status::Status};

mod children;
mod health;
mod leftovers;

pub(crate) use children::{family, reap};
pub(crate) use health::{Sick, watch};

/// How long the last lines of a dead gateway may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A running gateway. Its processes outlive this value: [`Gateway::bury`] ends them.
pub(crate) struct Gateway {
    pid: Pid,
    output: JoinSet<()>,
}

impl Gateway {
    /// Starts it; what it prints goes to our log.
    pub(crate) fn start(
        config: &Config,
        status: &Arc<Status>,
        secrets: &Arc<Secrets>,
    ) -> Result<Self> {
        let node = node(config);
        match leftovers::put_right(node.as_os_str(), &config.state) {
            Ok(0) => {}
            Ok(count) => output::say("warn", &format!("taken up again: {count}")),
            // OpenClaw goes on by its own rules.
            Err(error) => output::say("error", &format!("what the last gateway left: {error:#}")),
        }
        let mut child = Command::new(&node)
            .arg(config.packages.join("openclaw/openclaw.mjs"))
            .args(["gateway", "run"])
            .env("OPENCLAW_NO_RESPAWN", "1")
            .env("OPENCLAW_DIAGNOSTICS", "timeline")
            .env("OPENCLAW_DIAGNOSTICS_TIMELINE_PATH", timeline(config))
            .envs(compile_cache(config))
            .current_dir(&config.home)
            // A terminal's Ctrl-C reaches the agent alone.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| node.display().to_string())?;
        let pid = Pid::from_raw(child.id().cast_signed()).context("its process id")?;
        let mut output = JoinSet::new();
        let pipes =
            [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
        for pipe in pipes.into_iter().flatten() {
            let pipe = Receiver::from_owned_fd(pipe)?;
            output.spawn(output::forward(pipe, Arc::clone(secrets), Arc::clone(status)));
        }
        Ok(Self { pid, output })
    }

    /// The process.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Collects what has ended; how the gateway did, if it has.
    pub(crate) fn ended(&self) -> Option<WaitStatus> {
        reap(Some(self.pid))
    }

    /// Asks it to end its work.
    pub(crate) fn terminate(&self) {
        tell(kill_process(self.pid, Signal::TERM));
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        tell(kill_process_group(self.pid, Signal::KILL));
    }

    /// Ends what a dead gateway has left, so that the next one finds no lock held, and waits for its
    /// last lines.
    pub(crate) async fn bury(mut self) {
        children::end_all().await;
        let last = async { while self.output.join_next().await.is_some() {} };
        // Only a process that we may not kill holds a pipe for longer.
        let _ = timeout(LAST_WORDS, last).await;
    }
}

/// What the timeline of a gateway's turns is called.
pub(crate) fn timeline(config: &Config) -> PathBuf {
    config.tmp.join("openclaw-timeline.jsonl")
}

/// The version of OpenClaw that is installed.
pub(crate) fn version(config: &Config) -> Result<String> {
    #[derive(serde::Deserialize)]
    struct Package {
        version: String,
    }
    let path = config.packages.join("openclaw/package.json");
    let text = fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_slice::<Package>(&text)
        .with_context(|| path.display().to_string())?
        .version)
}

fn node(config: &Config) -> PathBuf {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    config.packages.join(format!("node-linux-{architecture}/bin/node"))
}

/// What has Node read the code that V8 compiled when the image was made, where there is any. Else
/// OpenClaw keeps a cache of its own in `/tmp`, which is the pod's memory and ends with it.
fn compile_cache(config: &Config) -> Vec<(&'static str, OsString)> {
    let folder = config.packages.with_file_name("compile-cache");
    if !folder.is_dir() {
        return Vec::new();
    }
    vec![
        ("NODE_COMPILE_CACHE", folder.into()),
        // Modules are known by their path from it: it was filled under another.
        ("NODE_COMPILE_CACHE_PORTABLE", "1".into()),
        ("NODE_COMPILE_CACHE_READONLY", "1".into()),
        // Else OpenClaw starts itself again, with a cache in a subfolder of its own.
        ("OPENCLAW_PACKAGED_COMPILE_CACHE_RESPAWNED", "1".into()),
    ]
}

fn tell(sent: rustix::io::Result<()>) {
    // It has just ended: whoever waits for that is told.
    if let Err(error) = sent.map_err(io::Error::from) {
        output::say("warn", &format!("a signal did not reach the gateway: {error}"));
    }
}
