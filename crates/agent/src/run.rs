//! From `main` to the exit code.

use std::{
    fs::File,
    io::{self, Read as _},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use rustix::process::{getpid, set_child_subreaper};
use tokio::{net::TcpListener, runtime::Builder, select};

use crate::{
    Config, gateway, heartbeat::Heart, output, probes, secrets::Secrets, signals::Signals,
    status::Status, supervise::Supervisor,
};

/// The whole life of the process; wrong use ends it with 2.
pub fn main() -> ExitCode {
    let config = Config::parse();
    // The gateway is the one that needs the machine.
    let runtime = Builder::new_current_thread().enable_all().build();
    let ended = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(config)));
    ended.unwrap_or_else(|error| {
        output::say("fatal", &format!("{error:#}"));
        ExitCode::FAILURE
    })
}

/// Runs until the gateway has ended after SIGTERM or SIGINT, and gives its exit code; one that a
/// signal ended has 128 and the signal's number. An error says why it could not begin.
async fn run(config: Config) -> Result<ExitCode> {
    let signals = Signals::new().context("signal handlers")?;
    // In a pod that is so for PID 1 anyway.
    set_child_subreaper(Some(getpid())).map_err(io::Error::from).context("the pod's init")?;
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.with_context(|| format!("the probes on {}", config.listen))?;
    let secrets = Arc::<Secrets>::default();
    let status = Arc::new(Status::new());
    let version = gateway::version(&config)?;
    output::say("info", &format!("agent {}, OpenClaw {version}", env!("CARGO_PKG_VERSION")));
    let heart = Heart::new(&config.channels, random(8)?, version, Arc::clone(&secrets))?;
    let gateway_token = random(32)?;
    let supervisor = Supervisor::new(config, gateway_token, Arc::clone(&status), secrets, signals)?;
    let code = select! {
        code = supervisor.run() => code?,
        never = probes::serve(listener, Arc::clone(&status)) => match never {},
        never = heart.beat(Arc::clone(&status)) => match never {},
    };
    Ok(code)
}

/// So many random bytes, as hex.
fn random(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    File::open("/dev/urandom")?.read_exact(&mut buffer)?;
    Ok(hex::encode(buffer))
}
