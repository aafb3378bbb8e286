//! `oc-sandbox`: runs the local stack, the stand-ins and the load.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod demo;
mod kimi;
mod load;
mod script;
mod stack;
mod status;
mod stripe;
mod telegram;
mod up;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The local stack, stand-ins for what lives on the internet, and the load that tests what stands before them
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Threads of the runtime
    #[arg(long, global = true, default_value_t = 1)]
    threads: usize,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(up::Arguments),
    Demo(demo::Arguments),
    Status(status::Arguments),
    Kimi(kimi::Arguments),
    Stripe(stripe::Arguments),
    Telegram(telegram::Arguments),
    Load(load::Arguments),
    Script(script::Arguments),
    Stack(stack::Arguments),
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let mut runtime = match cli.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.worker_threads(cli.threads.max(1)).enable_all().build()?;
    let done = match cli.command {
        Command::Status(arguments) => return runtime.block_on(arguments.run()),
        Command::Up(arguments) => runtime.block_on(arguments.run()),
        Command::Demo(arguments) => runtime.block_on(arguments.run()),
        Command::Kimi(arguments) => runtime.block_on(arguments.run()),
        Command::Stripe(arguments) => runtime.block_on(arguments.run()),
        Command::Telegram(arguments) => runtime.block_on(arguments.run()),
        Command::Load(arguments) => runtime.block_on(arguments.run()),
        Command::Script(arguments) => runtime.block_on(arguments.run()),
        Command::Stack(arguments) => runtime.block_on(arguments.run()),
    };
    done.map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
