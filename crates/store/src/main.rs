//! `oc-store`: the schema of the platform's database.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use oc_service::{DatabaseConfig, chain};
use oc_store::{
    Error, Store,
    migrations::{self, Migration, State},
};

/// Applies and shows the migrations of the platform's database.
///
/// Exit codes: 0 good, 1 the database is not one that this release can bring up to date, 2 wrong use,
/// 3 Postgres failed.
#[derive(Parser)]
#[command(name = "oc-store", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Applies what is pending; several at once wait for each other
    Migrate {
        #[command(flatten)]
        database: DatabaseConfig,
    },
    /// Lists migrations, and whether the database has them
    Status(Status),
}

#[derive(Args)]
struct Status {
    #[command(flatten)]
    database: DatabaseConfig,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// How a command fails.
struct Failure {
    code: u8,
    message: String,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            anstream::eprintln!("error: {message}");
            ExitCode::from(code)
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Migrate { database } => {
            let store = open(&database)?;
            let pending = migrations::list(&store).await?;
            migrations::run(&store).await?;
            let pending = pending.iter().filter(|one| one.state == State::Pending).count();
            anstream::println!("up to date; {pending} of the migrations were pending");
        }
        Command::Status(Status { database, json }) => {
            let list = migrations::list(&open(&database)?).await?;
            anstream::println!("{}", if json { as_json(&list)? } else { as_text(&list) });
        }
    }
    Ok(())
}

fn open(database: &DatabaseConfig) -> Result<Store, Failure> {
    let url = database.url().map_err(|error| Failure { code: 2, message: format!("{error:#}") })?;
    Ok(Store::connect(&url, 1)?)
}

fn as_json(list: &[Migration]) -> Result<String, Failure> {
    serde_json::to_string_pretty(list)
        .map_err(|error| Failure { code: 3, message: error.to_string() })
}

fn as_text(list: &[Migration]) -> String {
    let line = |one: &Migration| {
        let state = match one.state {
            State::Applied => "applied",
            State::Pending => "pending",
            State::Unknown => "unknown",
        };
        [state, &one.version.to_string(), &one.description].join("  ").trim_end().to_owned()
    };
    list.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Url(_) => 2,
            Error::Newer(_) => 1,
            Error::Migrate(_) if !error.is_transient() => 1,
            _ => 3,
        };
        Self { code, message: chain(&error).to_string() }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
