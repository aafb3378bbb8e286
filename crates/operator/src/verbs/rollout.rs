//! `oc-operator rollout`.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use comfy_table::{Table, presets::NOTHING};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use oc_domain::tenant::Tenant;
use oc_service::{Clock, DatabaseConfig};
use oc_store::{
    Store, renderings,
    rollouts::{self, Rollout, Status},
};
use serde_json::json;

use super::Missing;
use crate::{
    conductor::members,
    config::RolloutConfig,
    rollout::{Report, describe},
    world::{Kept, World},
};

/// What is done about a rollout.
#[derive(Subcommand)]
#[expect(missing_docs, reason = "groups of options have their own words, and clap shows these")]
#[expect(private_interfaces, reason = "only clap makes a verb")]
pub enum RolloutVerb {
    /// Shows the newest rollout, wave by wave, and those before it
    ///
    /// Asks the cluster too, as kubectl would.
    Status {
        #[command(flatten)]
        database: DatabaseConfig,
        #[command(flatten)]
        rollout: RolloutConfig,
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

/// Rollouts that are shown beside the newest.
const HISTORY: u32 = 6;

impl RolloutVerb {
    pub(super) async fn act(self) -> Result<()> {
        match self {
            Self::Status { database, rollout, json } => show(&database, &rollout, json).await,
            Self::Pause { database } => steer(&database, &[Status::Running], Status::Paused).await,
            Self::Abort { database } => {
                steer(&database, &[Status::Running, Status::Paused], Status::Aborted).await
            }
            Self::Resume { database } => resume(&database).await,
        }
    }
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

async fn show(database: &DatabaseConfig, config: &RolloutConfig, as_json: bool) -> Result<()> {
    let store = Store::connect(&database.url()?, 1)?;
    let all = rollouts::list(&store, HISTORY).await?;
    let Some((newest, before)) = all.split_first() else {
        return Err(Missing("there has been no rollout".to_owned()).into());
    };
    let world = world(&store).await?;
    let members = members(&world, &newest.revision);
    let report = describe(newest, &members, &config.policy(), Clock::system().now());
    if as_json {
        let before: Vec<_> = before.iter().map(row).collect();
        anstream::println!("{}", json!({ "rollout": report, "before": before }));
    } else {
        print(&report, before);
    }
    Ok(())
}

/// The fleet as it is now.
async fn world(store: &Store) -> Result<World> {
    let mut config = kube::Config::infer().await.context("the cluster's address")?;
    config.proxy_url = None;
    let tenants: Api<Tenant> = Api::all(Client::try_from(config)?);
    let world = World::default();
    for tenant in tenants.list(&ListParams::default()).await.context("the cluster")? {
        if let Ok(id) = tenant.name_any().parse() {
            world.with(&id, |entry| entry.tenant = Some(Arc::new(tenant)));
        }
    }
    for one in renderings::list(store).await? {
        let kept = Kept { revision: one.revision, spec: one.spec, digest: one.digest };
        world.with(&one.tenant, |entry| entry.memory.keep(kept));
    }
    Ok(world)
}

fn row(rollout: &Rollout) -> serde_json::Value {
    json!({
        "revision": rollout.revision, "from": rollout.from_revision,
        "status": rollout.status.to_string(), "reason": rollout.reason,
        "startedAt": rollout.started_at, "endedAt": rollout.ended_at,
    })
}

fn print(report: &Report, before: &[Rollout]) {
    let from = report.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
    anstream::println!("{}{from}: {}", report.revision, report.status);
    if let Some(reason) = &report.reason {
        anstream::println!("{reason}");
    }
    let mut table = table(&["", "WAVE", "TENANTS", "UPDATED", "READY", "FAILED"]);
    for wave in &report.waves {
        let is_now = u32::try_from(wave.number).is_ok_and(|number| number == report.wave);
        let mark = if is_now { format!("since {:.0}", report.wave_since) } else { String::new() };
        let counts = [wave.number, wave.members, wave.updated, wave.ready, wave.failed];
        table.add_row([mark].into_iter().chain(counts.map(|count| count.to_string())));
    }
    anstream::println!("{table}");
    for failed in &report.failed {
        anstream::println!(
            "failed: {} ({}) since {:.0}",
            failed.tenant,
            failed.reason,
            failed.since
        );
    }
    if before.is_empty() {
        return;
    }
    let mut history = self::table(&["BEFORE", "FROM", "STATUS", "BEGAN", "REASON"]);
    for it in before {
        history.add_row([
            it.revision.clone(),
            it.from_revision.clone().unwrap_or_default(),
            it.status.to_string(),
            format!("{:.0}", it.started_at),
            it.reason.clone().unwrap_or_default(),
        ]);
    }
    anstream::println!("{history}");
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(head.iter().copied());
    table
}
