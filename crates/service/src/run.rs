//! From `main` to the exit code.

use std::{fmt::Debug, io, pin::pin, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::{CommandFactory, Parser};
use prometheus_client::metrics::info::Info;
use tokio::{
    runtime::{Builder, Handle},
    select,
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use crate::{
    Lifecycle, Process, admin,
    telemetry::{self, LogLevel, Service},
};

/// How long the last traces may take to be sent.
const FLUSH: Duration = Duration::from_secs(3);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All that it did has ended.
    Drained,
    /// The grace was over first.
    Cut,
    /// Somebody would not wait.
    Interrupted,
}

/// SIGTERM and SIGINT, which mean the same.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// The whole life of a service's process. Its name and version are those of the crate that derives
/// the configuration, which is logged: secrets in it are `SecretString`s, whose `Debug` is silent.
pub fn main<C: Parser + AsRef<Process> + Debug>(
    run: impl AsyncFnOnce(C, Lifecycle) -> Result<()>,
) -> ExitCode {
    serve(C::parse(), run)
}

/// As [`main`], for a binary that has verbs beside its service and has read the options itself.
pub fn serve<C: CommandFactory + AsRef<Process> + Debug>(
    config: C,
    run: impl AsyncFnOnce(C, Lifecycle) -> Result<()>,
) -> ExitCode {
    // Libraries without a provider of their own take this one; the only error is that one is there.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // With huge pages a heap of many small pieces takes twice the memory, and a request that touches
    // a new page waits until 2 MiB are zeroed. A kernel without them need not be told.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let command = C::command();
    let version = command.get_version().unwrap_or_default().to_owned();
    let service = Service { name: command.get_name().to_owned(), version };
    let telemetry = match telemetry::init(config.as_ref(), &service) {
        Ok(telemetry) => telemetry,
        Err(error) => return unlogged(&error),
    };
    tracing::info!(service.name, service.version, ?config, "starting");
    let lifecycle = Lifecycle::new(config.as_ref().grace);
    let end = live(run, config, &lifecycle, &service, telemetry.level.clone());
    let (code, flush) = match &end {
        Ok(End::Interrupted) => (ExitCode::FAILURE, Duration::ZERO),
        Ok(End::Drained) if !lifecycle.failed() => (ExitCode::SUCCESS, FLUSH),
        Ok(_) => (ExitCode::FAILURE, FLUSH),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "not started");
            (ExitCode::FAILURE, FLUSH)
        }
    };
    telemetry.flush(flush);
    tracing::info!(end = ?end.ok(), "ended");
    code
}

#[expect(clippy::print_stderr, reason = "there is no log yet")]
fn unlogged(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

/// The runtime's life; an error says why it did not begin.
fn live<C: AsRef<Process>>(
    run: impl AsyncFnOnce(C, Lifecycle) -> Result<()>,
    config: C,
    lifecycle: &Lifecycle,
    service: &Service,
    level: LogLevel,
) -> Result<End> {
    lifecycle.registry(|registry| {
        let labels = [("service", service.name.clone()), ("version", service.version.clone())];
        registry.register("build", "What runs here", Info::new(labels.to_vec()));
    });
    let runtime = Builder::new_multi_thread().enable_all().build().context("the runtime")?;
    let end = runtime.block_on(async {
        let signals = Signals::new().context("signal handlers")?;
        let listener = admin::bind(config.as_ref().admin_listen).await?;
        // Not a task of the lifecycle: it outlives the drain.
        Handle::current().spawn(admin::serve(listener, lifecycle.clone(), level));
        Ok(supervise(run(config, lifecycle.clone()), lifecycle, signals).await)
    });
    // Without waiting for threads that block.
    runtime.shutdown_background();
    end
}

async fn supervise(
    run: impl Future<Output = Result<()>>,
    lifecycle: &Lifecycle,
    mut signals: Signals,
) -> End {
    let mut work = pin!(async {
        lifecycle.begin("run").attend(run).await;
        lifecycle.drain();
        lifecycle.ended().await;
    });
    let draining = lifecycle.draining();
    select! {
        () = &mut work => return End::Drained,
        () = draining.cancelled() => {}
        () = signals.next() => lifecycle.drain(),
    }
    let grace = lifecycle.grace();
    tracing::info!(?grace, tasks = ?lifecycle.running(), "draining");
    let end = select! {
        () = &mut work => return End::Drained,
        () = sleep(grace) => End::Cut,
        () = signals.next() => End::Interrupted,
    };
    tracing::error!(tasks = ?lifecycle.running(), "cut off");
    end
}

impl Signals {
    fn new() -> io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    async fn next(&mut self) {
        select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
