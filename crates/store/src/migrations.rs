//! The schema, compiled in from `migrations/`.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use sqlx::{
    migrate::{Migrate, Migrator},
    query_scalar,
};

use crate::{Error, Store};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// The table that sqlx keeps the applied ones in.
const TABLE: &str = "_sqlx_migrations";

/// One step of the schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Migration {
    /// Its time, as `YYYYMMDDHHMMSS`.
    pub version: i64,
    /// What it does; of one that this release does not know, nothing is known.
    pub description: String,
    /// Whether the database has it.
    pub state: State,
}

/// Whether a database has a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has.
    Applied,
    /// It has not yet.
    Pending,
    /// It has, but this release does not know it: a later one was here.
    Unknown,
}

/// Brings the schema up to date. Several at once are safe: they wait for each other.
///
/// This alone takes as long as it takes. A database that a later release has migrated is
/// [`Error::Newer`], and stays as it is.
pub async fn run(store: &Store) -> Result<(), Error> {
    run_up_to(store, i64::MAX).await
}

/// Brings the schema to what it was when `version` was the last one, as an earlier release would.
pub async fn run_up_to(store: &Store, version: i64) -> Result<(), Error> {
    let mut connection = store.separate(&[("statement_timeout", "0")]).await?;
    // Not `run`, whose future cannot be sent to another thread.
    Ok(MIGRATOR.run_direct(Some(version), &mut connection, false).await?)
}

/// Every migration that this release or the database knows, in their order.
pub async fn list(store: &Store) -> Result<Vec<Migration>, Error> {
    let applied = applied(store).await?;
    let known = MIGRATOR.iter().map(|migration| {
        let state =
            if applied.contains(&migration.version) { State::Applied } else { State::Pending };
        (migration.version, (migration.description.to_string(), state))
    });
    let mut all: BTreeMap<i64, (String, State)> = known.collect();
    for version in applied {
        all.entry(version).or_insert((String::new(), State::Unknown));
    }
    let migration = |(version, (description, state))| Migration { version, description, state };
    Ok(all.into_iter().map(migration).collect())
}

async fn applied(store: &Store) -> Result<HashSet<i64>, Error> {
    let read = store.run(async |db| {
        let exists = query_scalar!(r#"select to_regclass($1) is not null as "exists!""#, TABLE);
        if !exists.fetch_one(&mut *db).await? {
            return Ok(Vec::new());
        }
        Ok(db.list_applied_migrations(TABLE).await?)
    });
    Ok(read.await?.into_iter().map(|migration| migration.version).collect())
}
