//! How revisions came to the whole fleet, wave by wave. At most one has not ended.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use sqlx::{query, query_scalar, types::Json};
use strum::Display;

use crate::{Error, Store};

/// A revision on its way to the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Rollout {
    /// The key; ascending.
    pub id: i64,
    /// What every tenant shall have.
    pub revision: String,
    /// What it replaces, where something was there.
    pub from_revision: Option<String>,
    /// How it is.
    pub status: Status,
    /// How far it is; the first is 0.
    pub wave: u32,
    /// When that wave began.
    pub wave_since: Timestamp,
    /// Why the status is what it is, for people.
    pub reason: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// How a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Status {
    /// It goes on by itself.
    Running,
    /// It waits for people.
    Paused,
    /// Every tenant has it: it has ended.
    Done,
    /// Every tenant has again what was there before: it has ended.
    RolledBack,
    /// People gave it up, or another revision came: it has ended. Who was updated goes back, unless
    /// there is another one that runs.
    Aborted,
}

impl Status {
    /// Whether nothing comes after it.
    pub fn has_ended(self) -> bool {
        match self {
            Self::Running | Self::Paused => false,
            Self::Done | Self::RolledBack | Self::Aborted => true,
        }
    }
}

/// The newest rollout, ended or not.
pub async fn current(store: &Store) -> Result<Option<Rollout>, Error> {
    Ok(list(store, 1).await?.pop())
}

/// Rollouts, the newest first, `limit` at most.
pub async fn list(store: &Store, limit: u32) -> Result<Vec<Rollout>, Error> {
    let found = store.run(async |db| {
        Ok(query_scalar!(
            r#"select to_jsonb(rollouts) as "rollout!: Json<Rollout>"
            from rollouts
            order by id desc
            limit $1"#,
            i64::from(limit)
        )
        .fetch_all(db)
        .await?)
    });
    Ok(found.await?.into_iter().map(|Json(rollout)| rollout).collect())
}

/// Begins a rollout with its first wave; [`Error::RolloutNotEnded`] while there is another.
pub async fn begin(
    store: &Store,
    revision: &str,
    from: Option<&str>,
    now: Timestamp,
) -> Result<Rollout, Error> {
    let begun = store.run(async |db| {
        Ok(query_scalar!(
            r#"insert into rollouts (revision, from_revision, status, wave, wave_since, started_at)
            values ($1, $2, 'running', 0, $3, $3)
            returning to_jsonb(rollouts) as "rollout!: Json<Rollout>""#,
            revision,
            from,
            now.to_sqlx() as _,
        )
        .fetch_one(db)
        .await?)
    });
    match begun.await {
        Err(error) if error.violates("rollouts_one_at_a_time") => Err(Error::RolloutNotEnded),
        begun => Ok(begun?.0),
    }
}

/// Makes a rollout that is as `expected` a `new` one, for that reason; false where it is not so any
/// more, and nothing has changed. What has ended stays so.
///
/// The time of the wave begins anew where the wave is another one, or goes on after a pause.
pub async fn advance(
    store: &Store,
    id: i64,
    expected: (Status, u32),
    new: (Status, u32),
    reason: Option<&str>,
    now: Timestamp,
) -> Result<bool, Error> {
    let advanced = store.run(async |db| {
        let advanced = query!(
            "update rollouts
            set status = $4, wave = $5, reason = $6,
                wave_since = case
                    when wave <> $5 or (status, $4) = ('paused', 'running') then $8
                    else wave_since
                end,
                ended_at = case when $7 then $8 end
            where id = $1
                and (status, wave) = ($2, $3)
                and ended_at is null",
            id,
            expected.0.to_string(),
            expected.1.cast_signed(),
            new.0.to_string(),
            new.1.cast_signed(),
            reason,
            new.0.has_ended(),
            now.to_sqlx() as _,
        );
        Ok(advanced.execute(db).await?.rows_affected())
    });
    Ok(advanced.await? == 1)
}
