//! `oc-operator`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use oc_operator::{Config, Verb, run};

/// Makes every tenant spec of the fleet repository a healthy, sealed namespace, and brings changes
/// to the whole fleet in waves.
///
/// Exit codes of the verbs: 0 good, 1 there is no such thing, 2 wrong use, 3 an outside system failed.
#[derive(Parser)]
#[command(name = "oc-operator", version, max_term_width = 100)]
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
