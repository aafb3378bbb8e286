//! What people ask the operator on a terminal.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use oc_domain::TenantId;
use oc_service::{Clock, DatabaseConfig, RedisConfig, chain};
use oc_store::{Store, audit, tenants};
use oc_streams::Bulletin;
use serde_json::json;

mod rollout;

pub use rollout::RolloutVerb;

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
            Self::Rollout(verb) => verb.act().await,
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
