//! What people ask the relay on a terminal.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};
use oc_domain::TenantId;
use oc_service::{chain, secret};
use oc_store::chats;
use serde_json::json;

use crate::{config::OfficeConfig, office::Problem};

/// The verbs beside `serve`.
#[derive(Subcommand)]
#[expect(private_interfaces, reason = "only clap makes a verb")]
pub enum Verb {
    /// The Telegram bot of a tenant
    #[command(subcommand)]
    Bot(BotVerb),
    /// Prints a link that binds whoever follows it first, within a day, to a tenant's agent
    Link(Target),
    /// Lists the chats that are bound to a tenant
    Chats(Target),
}

#[derive(Subcommand)]
enum BotVerb {
    /// Makes a bot the tenant's; one with another real bot before it forgets what it knew of that
    Set {
        #[command(flatten)]
        target: Target,
        /// File with the bot's token, as Telegram's `@BotFather` gave it
        #[arg(long, value_name = "FILE")]
        token_file: PathBuf,
    },
    /// Shows the tenant's bot, without its token
    Show(Target),
    /// Takes the bot from the tenant, and forgets its token
    Remove(Target),
}

#[derive(Args)]
struct Target {
    #[command(flatten)]
    office: OfficeConfig,
    /// The tenant's id
    tenant: TenantId,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Verb {
    /// Does it.
    pub fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let done =
            runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(self.act()));
        let Err(error) = done else { return ExitCode::SUCCESS };
        anstream::eprintln!("error: {}", chain(&*error));
        ExitCode::from(if is_answer(&error) { 1 } else { 3 })
    }

    async fn act(self) -> Result<()> {
        match self {
            Self::Bot(BotVerb::Set { target, token_file }) => {
                let token = secret(None, Some(&token_file), "TOKEN")?;
                let office = target.office.open(1)?;
                let bot = office.set_bot(&target.tenant, &token).await?;
                target.print_bot(bot.number, &bot.username);
            }
            Self::Bot(BotVerb::Show(target)) => {
                let bot = target.office.open(1)?.bot(&target.tenant).await?;
                target.print_bot(bot.number, &bot.username);
            }
            Self::Bot(BotVerb::Remove(target)) => {
                target.office.open(1)?.remove_bot(&target.tenant).await?;
                target.print(&json!({"tenant": target.tenant}), "removed");
            }
            Self::Link(target) => {
                let link = target.office.open(1)?.link(&target.tenant).await?;
                target.print(&json!(link), &link.url);
            }
            Self::Chats(target) => {
                let list = chats::list(&target.office.open(1)?.store, &target.tenant).await?;
                let line = |chat: &chats::Chat| {
                    format!("{}  {}  {}", chat.chat_id, chat.locale, chat.bound_at)
                };
                let lines: Vec<String> = list.iter().map(line).collect();
                target.print(&json!(list), &lines.join("\n"));
            }
        }
        Ok(())
    }
}

impl Target {
    fn print_bot(&self, number: i64, username: &str) {
        let json = json!({"tenant": self.tenant, "number": number, "username": username});
        self.print(&json, &format!("@{username}, number {number}"));
    }

    fn print(&self, json: &serde_json::Value, text: &str) {
        if self.json {
            anstream::println!("{json}");
        } else {
            anstream::println!("{text}");
        }
    }
}

/// Whether it is as it is, rather than that something failed.
fn is_answer(error: &anyhow::Error) -> bool {
    use oc_store::Error as Store;
    matches!(
        error.downcast_ref(),
        Some(
            Problem::NoBot(_)
                | Problem::UnknownToken
                | Problem::Store(Store::Unknown { .. } | Store::BotTaken(_))
        )
    )
}
