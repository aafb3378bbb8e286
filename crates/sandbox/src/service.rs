//! One replica of a service, as a process.

use std::{
    fs::File,
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use oc_testkit::wait_for;
use tokio::net::TcpSocket;

/// How long it may take on a busy machine.
const START: Duration = Duration::from_secs(30);

/// A replica; it is killed with this value.
#[derive(Debug)]
pub struct Service {
    child: Child,
    /// For itself and for its admin; bound and never listening, so that they are nobody else's.
    ports: [TcpSocket; 2],
    /// Where others reach it.
    pub url: String,
    /// Where its health and metrics are.
    pub admin: String,
}

impl Service {
    /// Starts `program serve` with the arguments that it has for its port, and its output at the end
    /// of a file.
    pub(crate) fn spawn(
        program: &Path,
        arguments: impl FnOnce(u16) -> Vec<String>,
        environment: &[(&str, &Path)],
        log: &Path,
    ) -> Result<Self> {
        let serve = |port| [vec!["serve".to_owned()], arguments(port)].concat();
        Self::spawn_at(0, program, serve, environment, log)
    }

    /// As [`Self::spawn`], at this port if nobody else has it, and with nothing but the arguments.
    pub(crate) fn spawn_at(
        port: u16,
        program: &Path,
        arguments: impl FnOnce(u16) -> Vec<String>,
        environment: &[(&str, &Path)],
        log: &Path,
    ) -> Result<Self> {
        let ports = [reserve(port).or_else(|_| reserve(0))?, reserve(0)?];
        let [port, admin] = &ports;
        let (port, admin) = (port.local_addr()?.port(), admin.local_addr()?.port());
        let log = File::options().create(true).append(true).open(log)?;
        let child = Command::new(program)
            .args(arguments(port))
            .args(["--admin-listen", &format!("127.0.0.1:{admin}")])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| program.display().to_string())?;
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        Ok(Self { child, ports, url: url(port), admin: url(admin) })
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&self) -> Result<()> {
        let ready = async || {
            let answer = reqwest::get(format!("{}/readyz", self.admin)).await;
            Ok(answer.is_ok_and(|answer| answer.status().is_success()).then_some(()))
        };
        wait_for(START, "the service to be ready", ready).await
    }

    /// The value of a metric by its name and labels as they are exposed, 0 if there is none.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = reqwest::get(format!("{}/metrics", self.admin)).await?.text().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.map(str::parse).transpose()?.unwrap_or_default())
    }

    /// The port at which others reach it.
    pub fn port(&self) -> Result<u16> {
        let [port, _] = &self.ports;
        Ok(port.local_addr()?.port())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to drain, and waits for its end; says whether it was a good one.
    pub async fn drain(&mut self) -> Result<bool> {
        signal(self.pid(), "TERM")?;
        let ended = async || Ok(self.child.try_wait()?);
        Ok(wait_for(START, "the service to end", ended).await?.success())
    }
}

/// This port, or with 0 a free one, beside which a server can bind its own socket, as that reuses
/// addresses too. Refused where somebody listens.
fn reserve(port: u16) -> Result<TcpSocket> {
    if port != 0 && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
        bail!("port {port} is taken");
    }
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Sends a signal by its name, as `STOP`, to a process.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status()?;
    ensure!(status.success(), "kill -{name} {pid}");
    Ok(())
}
