//! `oc-channels`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use oc_channels::{Config, Verb, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The relay between Telegram and tenants' pods.
///
/// Exit codes of the verbs: 0 good, 1 there is no such thing or it cannot be, 2 wrong use, 3 an outside
/// system failed.
#[derive(Parser)]
#[command(name = "oc-channels", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the service
    Serve(Box<Config>),
    #[command(flatten)]
    Verb(Verb),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(config) => oc_service::serve(*config, run),
        Command::Verb(verb) => verb.run(),
    }
}
