//! `oc-sandbox`: runs the stand-ins and the load.

use anyhow::Result;
use clap::{Parser, Subcommand};

mod kimi;
mod load;
mod script;
mod stack;
mod stripe;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Stand-ins for what lives on the internet, and the load that tests what stands before them
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
    Kimi(kimi::Arguments),
    Load(load::Arguments),
    Script(script::Arguments),
    Stack(stack::Arguments),
    Stripe(stripe::Arguments),
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let mut runtime = match cli.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.worker_threads(cli.threads.max(1)).enable_all().build()?;
    match cli.command {
        Command::Kimi(arguments) => runtime.block_on(arguments.run()),
        Command::Load(arguments) => runtime.block_on(arguments.run()),
        Command::Script(arguments) => runtime.block_on(arguments.run()),
        Command::Stack(arguments) => runtime.block_on(arguments.run()),
        Command::Stripe(arguments) => runtime.block_on(arguments.run()),
    }
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
