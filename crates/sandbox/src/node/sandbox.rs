//! The namespaces of one pod, which its containers enter one after the other.

use std::{fs::File, io, net::Ipv4Addr, os::fd::AsFd as _, path::PathBuf, process::Stdio, thread};

use anyhow::{Context as _, Result, ensure};
use rustix::{
    process::{Pid, Signal, kill_process, test_kill_process},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::TcpSocket,
    process::{Child, ChildStdin, Command},
};

use super::root::Places;

/// What sets the namespaces up.
const SCRIPT: &str = include_str!("files/pod.sh");
/// Where the programs are that set pods up.
pub(super) const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Mounts, network, host name, IPC and processes of one pod; all of its processes end with this
/// value.
#[derive(Debug)]
pub(super) struct Sandbox {
    /// The pod's address.
    pub(super) address: Ipv4Addr,
    pid: Pid,
    network: File,
    unshare: Child,
    /// While it is open, the pod lives.
    _life: ChildStdin,
}

impl Sandbox {
    /// Makes the namespaces, with `addresses` beside the pod's own on `lo`.
    pub(super) async fn start(
        places: &Places,
        hostname: &str,
        address: Ipv4Addr,
        addresses: &[Ipv4Addr],
    ) -> Result<Self> {
        let mut unshare = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--net", "--ipc", "--uts", "--pid"])
            .args(["--fork", "--kill-child", "--", "sh", "-c", SCRIPT, "sh"])
            .args([&places.root, &places.fstab])
            .arg(hostname)
            .args([address].iter().chain(addresses).map(Ipv4Addr::to_string))
            .env_clear()
            .env("PATH", PATH)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting unshare")?;
        let life = unshare.stdin.take().context("no pipe")?;
        let (out, err) = (unshare.stdout.take(), unshare.stderr.take());
        let mut said = String::new();
        BufReader::new(out.context("no pipe")?).read_line(&mut said).await?;
        let Some(pid) = said.trim().parse().ok().and_then(Pid::from_raw) else {
            let mut complaint = String::new();
            err.context("no pipe")?.read_to_string(&mut complaint).await?;
            anyhow::bail!("setting up namespaces: {}", complaint.trim());
        };
        let network = File::open(format!("/proc/{pid}/ns/net")).context("the pod's network")?;
        ensure!(unshare.try_wait()?.is_none(), "the pod's namespaces ended at once");
        Ok(Self { address, pid, network, unshare, _life: life })
    }

    /// The process to enter.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// `path` as processes of the pod's mount namespace see it outside of the container's root.
    pub(super) fn seen_inside(&self, path: &std::path::Path) -> PathBuf {
        let path = path.strip_prefix("/").unwrap_or(path);
        PathBuf::from(format!("/proc/{}/root", self.pid)).join(path)
    }

    /// Whether nobody has ended it.
    pub(super) fn lives(&self) -> bool {
        test_kill_process(self.pid).is_ok()
    }

    /// A socket of the pod's network, which may be used outside of it: a socket stays where it was
    /// made.
    pub(super) fn socket(&self) -> io::Result<TcpSocket> {
        // A thread that enters a namespace does not come back, so it is one for this alone.
        thread::scope(|scope| {
            let made = scope.spawn(|| {
                move_into_link_name_space(self.network.as_fd(), Some(LinkNameSpaceType::Network))?;
                TcpSocket::new_v4()
            });
            made.join().unwrap_or_else(|_| Err(io::Error::other("a panic")))
        })
    }

    /// Kills all processes and waits until the last one has ended.
    pub(super) async fn end(mut self) {
        // Refused only where it has ended by itself; unshare would know the number until then.
        let _ = kill_process(self.pid, Signal::KILL);
        // Unshare ends after its child, which ends after everything in its namespace.
        let _ = self.unshare.wait().await;
    }
}
