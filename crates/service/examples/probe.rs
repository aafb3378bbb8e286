//! The smallest service, which can also misbehave: what the integration tests run.

use std::{process::ExitCode, time::Duration};

use anyhow::anyhow;
use clap::{Parser, ValueEnum};
use oc_service::{DatabaseConfig, Lifecycle, Process, duration};
use tokio::time::sleep;

/// Waits for the end
#[derive(Debug, Parser)]
#[command(version)]
struct Config {
    #[command(flatten)]
    process: Process,
    #[command(flatten)]
    database: DatabaseConfig,
    /// What its only task does once it is ready
    #[arg(long, default_value = "drain")]
    task: Task,
    /// How long the task takes to drain
    #[arg(long, default_value = "0s", value_parser = duration)]
    takes: Duration,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Task {
    /// Ends when it is asked to, after a while
    Drain,
    /// Never ends
    Hang,
    /// Panics at once
    Panic,
    /// Fails at once
    Fail,
    /// Ends at once, and the process with it
    End,
    /// Ends when it is asked to, since `run` panics
    OutliveRun,
}

impl AsRef<Process> for Config {
    fn as_ref(&self) -> &Process {
        &self.process
    }
}

fn main() -> ExitCode {
    oc_service::main::<Config>(run)
}

#[expect(clippy::panic, reason = "a misbehaviour to be tested")]
async fn run(config: Config, lifecycle: Lifecycle) -> anyhow::Result<()> {
    config.database.url()?;
    tracing::info_span!("probe.run").in_scope(|| tracing::info!("in a span"));
    let ready = lifecycle.readiness("probe");
    let draining = lifecycle.draining();
    let (asked, task, takes) = (draining.clone(), config.task, config.takes);
    lifecycle.spawn("probe", async move {
        match task {
            Task::Drain | Task::OutliveRun => asked.cancelled().await,
            Task::Hang => std::future::pending().await,
            Task::Panic => panic!("as the test wants"),
            Task::Fail => Err(anyhow!("the cause").context("the failure"))?,
            Task::End => {}
        }
        sleep(takes).await;
        Ok(())
    });
    ready.set(true);
    match config.task {
        Task::End => {}
        Task::OutliveRun => panic!("as the test wants"),
        _ => draining.cancelled().await,
    }
    Ok(())
}
