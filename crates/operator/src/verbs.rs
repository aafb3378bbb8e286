//! What people ask the operator on a terminal.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use comfy_table::{Table, presets::NOTHING};
use oc_domain::TenantId;
use oc_service::{Clock, DatabaseConfig, RedisConfig, chain};
use oc_store::{
    Store, audit,
    rollouts::{self, Rollout, Status},
    tenants,
};
use oc_streams::Bulletin;
use serde_json::json;

/// The verbs beside `serve`.
#[derive(Subcommand)]
#[expect(missing_docs, reason = "groups of options have their own words, and clap shows these")]
pub enum Verb {
    /// Revokes a tenant's platform token; its pod gets the next one at once
    Revoke {
        #[command(flatten)]
        database: DatabaseConfig,
        #[command(flatten)]
        redis: RedisConfig,
        /// Whose
        tenant: TenantId,
    },
    /// Shows and steers how a change comes to the whole fleet
    #[command(subcommand)]
    Rollout(RolloutVerb),
}

/// What is done about a rollout.
#[derive(Subcommand)]
pub enum RolloutVerb {
    /// Shows the last rollouts, the newest first
    Status {
        #[command(flatten)]
        database: DatabaseConfig,
        /// At most so many
        #[arg(long, default_value_t = 5)]
        limit: u32,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Updates nobody until it is resumed; who has been updated stays so
    Pause {
        #[command(flatten)]
        database: DatabaseConfig,
    },
    /// Goes on with a rollout that was paused, or tries one again that was rolled back or aborted
    Resume {
        #[command(flatten)]
        database: DatabaseConfig,
    },
    /// Gives a rollout up: every tenant goes back to what it was healthy with before
    Abort {
        #[command(flatten)]
        database: DatabaseConfig,
    },
}

/// There is no such thing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Missing(String);

impl Verb {
    /// Does it.
    pub fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let done =
            runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(self.act()));
        let Err(error) = done else { return ExitCode::SUCCESS };
        anstream::eprintln!("error: {}", chain(&*error));
        ExitCode::from(if error.is::<Missing>() { 1 } else { 3 })
    }

    async fn act(self) -> Result<()> {
        match self {
            Self::Revoke { database, redis, tenant } => revoke(&database, &redis, &tenant).await,
            Self::Rollout(RolloutVerb::Status { database, limit, json }) => {
                let store = Store::connect(&database.url()?, 1)?;
                show(&rollouts::list(&store, limit).await?, json);
                Ok(())
            }
            Self::Rollout(RolloutVerb::Pause { database }) => {
                steer(&database, &[Status::Running], Status::Paused).await
            }
            Self::Rollout(RolloutVerb::Abort { database }) => {
                steer(&database, &[Status::Running, Status::Paused], Status::Aborted).await
            }
            Self::Rollout(RolloutVerb::Resume { database }) => resume(&database).await,
        }
    }
}

async fn revoke(database: &DatabaseConfig, redis: &RedisConfig, tenant: &TenantId) -> Result<()> {
    let store = Store::connect(&database.url()?, 1)?;
    let Some(generation) = tenants::raise_generation(&store, tenant).await? else {
        return Err(Missing(format!("there is no tenant {tenant}")).into());
    };
    let entry = audit::Entry {
        actor: "ops".to_owned(),
        action: "token.revoked".to_owned(),
        account: None,
        tenant: Some(tenant.clone()),
        trace: None,
        details: json!({ "generation": generation }),
    };
    audit::append(&store, Clock::system().now(), &[entry]).await?;
    Bulletin::new(&redis.url()?)?.tenant_changed(tenant).await?;
    anstream::println!("{tenant} is at generation {generation}: tokens of lower ones are refused");
    Ok(())
}

async fn newest(store: &Store) -> Result<Rollout> {
    let newest = rollouts::current(store).await?;
    Ok(newest.ok_or_else(|| Missing("there has been no rollout".to_owned()))?)
}

async fn steer(database: &DatabaseConfig, from: &[Status], to: Status) -> Result<()> {
    let store = Store::connect(&database.url()?, 1)?;
    let rollout = newest(&store).await?;
    let (id, now) = (rollout.id, Clock::system().now());
    if !from.contains(&rollout.status) {
        let Rollout { revision, status, .. } = rollout;
        return Err(Missing(format!("the rollout of {revision} is {status}")).into());
    }
    let (expected, new) = ((rollout.status, rollout.wave), (to, rollout.wave));
    if !rollouts::advance(&store, id, expected, new, Some("by hand"), now).await? {
        return Err(Missing("the rollout went on in this moment: look again".to_owned()).into());
    }
    anstream::println!("the rollout of {} is {to}", rollout.revision);
    Ok(())
}

async fn resume(database: &DatabaseConfig) -> Result<()> {
    let store = Store::connect(&database.url()?, 1)?;
    let rollout = newest(&store).await?;
    if !matches!(rollout.status, Status::RolledBack | Status::Aborted) {
        return steer(database, &[Status::Paused], Status::Running).await;
    }
    let from = rollout.from_revision.as_deref();
    rollouts::begin(&store, &rollout.revision, from, Clock::system().now()).await?;
    anstream::println!("the rollout of {} begins anew", rollout.revision);
    Ok(())
}

fn show(rollouts: &[Rollout], as_json: bool) {
    if as_json {
        let all: Vec<_> = rollouts
            .iter()
            .map(|it| {
                json!({
                    "id": it.id, "revision": it.revision, "from": it.from_revision,
                    "status": it.status.to_string(), "wave": it.wave + 1, "waveSince": it.wave_since,
                    "reason": it.reason, "startedAt": it.started_at, "endedAt": it.ended_at,
                })
            })
            .collect();
        anstream::println!("{}", serde_json::Value::from(all));
        return;
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["REVISION", "FROM", "STATUS", "WAVE", "SINCE", "BEGAN", "REASON"]);
    for it in rollouts {
        table.add_row([
            it.revision.clone(),
            it.from_revision.clone().unwrap_or_default(),
            it.status.to_string(),
            (it.wave + 1).to_string(),
            format!("{:.0}", it.wave_since),
            format!("{:.0}", it.started_at),
            it.reason.clone().unwrap_or_default(),
        ]);
    }
    anstream::println!("{table}");
}
