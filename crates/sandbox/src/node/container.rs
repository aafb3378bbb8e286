//! The one process of a pod that its image names, and what it starts.

use std::{io, os::unix::process::ExitStatusExt as _, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    fs::{self, OpenOptions},
    io::AsyncRead,
    process::{Child, Command},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Image,
    cgroup::Cgroup,
    plan::Plan,
    root::Places,
    sandbox::{PATH, Sandbox},
};

const JOIN: &str = include_str!("files/join.sh");
const CONTAINER: &str = include_str!("files/container.sh");
/// What a container's programs are looked for in, unless image or pod say otherwise.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Setting up takes milliseconds; a busy machine may need a moment.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running container. Its processes end with the pod's [`Sandbox`], not with this value.
#[derive(Debug)]
pub(super) struct Container {
    nsenter: Child,
    /// PID 1 inside, as the machine counts.
    pid: Pid,
    /// Copies the output until its end.
    _output: JoinSet<()>,
}

impl Container {
    /// Starts the image's program in the pod's namespaces; its output is appended to `log`.
    pub(super) async fn start(
        plan: &Plan,
        image: &Image,
        places: &Places,
        sandbox: &Sandbox,
        cgroup: &Cgroup,
        log: &std::path::Path,
    ) -> Result<Self> {
        let _ = fs::remove_file(&places.pid).await;
        fs::create_dir_all(log.parent().context("a log without a folder")?).await?;
        let mut nsenter = Command::new("nsenter")
            .arg("--target")
            .arg(sandbox.pid().to_string())
            .args(["--mount", "--net", "--ipc", "--uts", "--pid", "--", "sh", "-c", JOIN, "sh"])
            .arg(CONTAINER)
            .args(cgroup.folders())
            .arg("--")
            .args([&places.root, &places.pid])
            .args([plan.user, plan.group, plan.fs_group].map(|id| id.to_string()))
            .args(environment(plan, image))
            .args(&image.entry)
            .env_clear()
            .env("PATH", PATH)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting nsenter")?;
        let (out, err) = (nsenter.stdout.take(), nsenter.stderr.take());
        let mut output = JoinSet::new();
        let log = OpenOptions::new().create(true).append(true).open(log).await?;
        output.spawn(copy(out, log.try_clone().await?));
        output.spawn(copy(err, log));
        let pid = timeout(PATIENCE, started(&mut nsenter, places)).await;
        let pid = pid.context("the container was not set up in time")??;
        Ok(Self { nsenter, pid, _output: output })
    }

    /// The exit code once it has ended, 128 and the signal's number where it was killed.
    pub(super) async fn ended(&mut self) -> io::Result<i32> {
        let status = self.nsenter.wait().await?;
        Ok(status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1))
    }

    /// Asks it to end.
    pub(super) fn ask_to_end(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Kills it.
    pub(super) async fn kill(&mut self) -> io::Result<i32> {
        self.signal(Signal::KILL);
        self.ended().await
    }

    fn signal(&mut self, signal: Signal) {
        if matches!(self.nsenter.try_wait(), Ok(None)) {
            // Refused only where it has ended by itself.
            let _ = kill_process(self.pid, signal);
        }
    }
}

/// Waits until the container's first process says who it is.
async fn started(nsenter: &mut Child, places: &Places) -> Result<Pid> {
    loop {
        let text = fs::read_to_string(&places.pid).await.unwrap_or_default();
        if let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) {
            return Ok(pid);
        }
        if let Some(status) = nsenter.try_wait()? {
            bail!("setting up the container: {status}");
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// Exactly what the container finds in its environment.
fn environment(plan: &Plan, image: &Image) -> Vec<String> {
    let base = [("PATH", DEFAULT_PATH), ("HOSTNAME", &plan.hostname)];
    let base = base.map(|(name, value)| (name.to_owned(), value.to_owned()));
    // The last one of a name counts.
    let all = base.iter().chain(&image.env).chain(&plan.env);
    all.map(|(name, value)| format!("{name}={value}")).collect()
}

async fn copy(from: Option<impl AsyncRead + Unpin>, mut to: fs::File) {
    if let Some(mut from) = from {
        // Without a reader the container would stop at a full pipe: there is nobody to tell.
        let _ = tokio::io::copy(&mut from, &mut to).await;
    }
}
