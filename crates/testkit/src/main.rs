//! A cluster or databases by hand, and the programs in advance.

#![expect(clippy::print_stdout, reason = "a command-line tool")]

use std::{io::Write, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use oc_testkit::{Cluster, Options, Postgres, Redis, RedisOptions, SimulatedNode, tools};

/// A real Kubernetes control plane, Postgres and Redis on loopback, for tests and for people.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds or finds all programs, so that the first test need not.
    Tools,
    /// Runs a cluster until Ctrl-C.
    Up {
        /// How many simulated nodes it has.
        #[arg(long, default_value_t = 3)]
        nodes: u32,
    },
    /// Runs a Postgres and a Redis until Ctrl-C.
    Databases,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Tools => show_tools(),
        Command::Up { nodes } => block_on(up(nodes)),
        Command::Databases => block_on(databases()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error:?}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(command: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(command)
}

fn show_tools() -> Result<()> {
    let programs = tools::control_plane()?;
    for path in [
        programs.etcd,
        programs.api_server,
        programs.controller_manager,
        programs.scheduler,
        tools::kwok()?,
    ] {
        println!("{}", path.display());
    }
    println!("{} CRDs of K3s", tools::k3s_crds()?.len());
    Ok(())
}

async fn up(nodes: u32) -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let nodes: Vec<SimulatedNode> =
        (1..=nodes).map(|number| SimulatedNode::new(format!("node-{number}"))).collect();
    cluster.add_nodes(&nodes).await?;
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    for process in cluster.usage()? {
        println!("# {} {} {} MiB", process.name, process.pid, process.resident_bytes >> 20);
    }
    println!("# Ctrl-C ends it");
    tokio::signal::ctrl_c().await?;
    Ok(())
}

async fn databases() -> Result<()> {
    let postgres = Postgres::start().await?;
    let redis = Redis::start(RedisOptions { durable: true }).await?;
    println!("export DATABASE_URL={}", postgres.url());
    println!("export REDIS_URL={}", redis.url());
    println!("# postgres {}", postgres.pid());
    println!("# redis-server {}", redis.pid());
    println!("# Ctrl-C ends them");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
