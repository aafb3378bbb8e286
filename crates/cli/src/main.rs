//! `openclaw-cloud`: checks, renders, compares and plans a fleet of tenants.
//!
//! It reads files and git, and writes manifests or tenant files. With `--cluster` it reads what runs
//! too, and changes nothing there: that is done by the operator and the services' own binaries.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod catalog;
mod check;
#[cfg(feature = "cluster")]
mod cluster;
mod diff;
mod failure;
mod fleet;
mod git;
mod plan;
mod print;
mod quantity;
mod render;
mod tenant;

/// Checks, renders and compares a fleet: tenants and nodes become Kubernetes manifests.
///
/// A fleet is a folder with nodes/inventory.json and tenants/. Exit codes: 0 good, 1 the input is
/// invalid, 2 wrong use, 3 an outside system (disk, git, cluster) failed; `diff --exit-code` adds 4 and 5,
/// `plan --strict` 4.
#[derive(Parser)]
#[command(name = "openclaw-cloud", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Check),
    Render(render::Render),
    Diff(diff::Diff),
    Plan(plan::Plan),
    Catalog(catalog::Catalog),
    Crd(print::Crd),
    Schema(print::Schema),
    Tenant(tenant::Tenant),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Check(command) => command.run(),
        Command::Render(command) => command.run(),
        Command::Diff(command) => command.run(),
        Command::Plan(command) => command.run(),
        Command::Catalog(command) => command.run(),
        Command::Crd(print::Crd {}) => print::Crd::run(),
        Command::Schema(command) => command.run(),
        Command::Tenant(command) => command.run(),
    };
    outcome.unwrap_or_else(failure::Failure::report)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
