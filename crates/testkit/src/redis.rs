//! A private Redis.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{port::ReservedPort, process::Group, wait_for};

/// How long starting and loading may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a Redis keeps. The default is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedisOptions {
    /// Keeps an append-only file, written to the system with every command and to the disk every
    /// second, as in production: a killed server has all of its data after a restart.
    pub durable: bool,
}

/// A running Redis of this machine's own version, on loopback, without a password; it evicts
/// nothing. Dropping it ends it and removes its data, unless they are kept; so does the end of this
/// process.
#[derive(Debug)]
pub struct Redis {
    group: Group,
    port: ReservedPort,
    program: PathBuf,
    options: RedisOptions,
    pid: u32,
}

impl Redis {
    /// Starts a server and waits until it answers.
    pub async fn start(options: RedisOptions) -> Result<Self> {
        Self::start_with(Group::new()?, options).await
    }

    /// Starts a durable server on the data in `directory`, which stay there.
    pub async fn start_in(directory: &Path) -> Result<Self> {
        Self::start_with(Group::kept(directory)?, RedisOptions { durable: true }).await
    }

    async fn start_with(group: Group, options: RedisOptions) -> Result<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let program = env::split_paths(&path)
            .map(|folder| folder.join("redis-server"))
            .find(|program| program.is_file())
            .context("no redis-server on PATH: install Debian's package redis-server")?;
        let port = ReservedPort::new()?;
        let mut server = Self { group, port, program, options, pid: 0 };
        server.restart().await?;
        Ok(server)
    }

    /// `redis://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("redis://{}", self.port.address)
    }

    /// The process id of the server that runs, or that ran last.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills the server with SIGKILL.
    pub fn kill(&mut self) {
        self.group.kill();
    }

    /// Starts the server again on the same port, and on the same data if it is durable, after
    /// [`Self::kill`].
    pub async fn restart(&mut self) -> Result<()> {
        let arguments = arguments(self.group.directory(), &self.port, self.options);
        self.group.spawn("redis-server", &self.program, &arguments)?;
        self.pid = self.group.first().context("no process")?;
        let answers = wait_for(PATIENCE, "Redis to be ready", async || {
            self.group.check()?;
            // Refused until it listens, and -LOADING until it has read its file.
            Ok(ping(&self.port).await.ok().filter(|answer| answer == b"+PONG\r\n").map(drop))
        });
        let answers = answers.await;
        answers.map_err(|error| anyhow!("{error:#}\n{}", self.group.tails()))
    }
}

fn arguments(directory: &Path, port: &ReservedPort, options: RedisOptions) -> Vec<String> {
    let (ip, port) = (port.address.ip().to_string(), port.address.port().to_string());
    let directory = directory.display().to_string();
    let pairs = [
        ["--bind", &ip],
        ["--port", &port],
        ["--dir", &directory],
        ["--save", ""],
        ["--appendonly", if options.durable { "yes" } else { "no" }],
        ["--appendfsync", "everysec"],
        ["--maxmemory-policy", "noeviction"],
    ];
    pairs.as_flattened().iter().map(|&argument| argument.to_owned()).collect()
}

async fn ping(port: &ReservedPort) -> Result<[u8; 7]> {
    let mut stream = TcpStream::connect(port.address).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
