//! Changes of tenant files, which the one committer takes in their order.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use oc_domain::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{query, query_scalar, types::Json};
use strum::Display;

use crate::{Error, Store};

mod write;

pub(crate) use write::from_billing;

/// From JSON pointers to values; nothing removes.
pub type Edits = BTreeMap<String, Option<Value>>;

/// A change to be committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewChange {
    /// Whose file.
    #[serde(rename = "tenant_id")]
    pub tenant: TenantId,
    /// What becomes what.
    pub edits: Edits,
    /// The whole object to begin with where there is no file.
    pub base: Option<Value>,
    /// Why, in a few words and without personal data: they stand in git for ever.
    pub reason: String,
    /// Stripe's event that led to it.
    #[serde(rename = "event_id")]
    pub event: Option<String>,
    /// The trace that it belongs to.
    #[serde(rename = "trace_id")]
    pub trace: String,
}

/// Who wants a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Author {
    /// A review.
    Billing,
    /// A customer, on the web.
    Web,
    /// A customer, in a chat.
    Channels,
    /// The platform's people.
    People,
}

/// A change and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Change {
    /// The key; ascending.
    pub id: i64,
    /// What is wanted.
    #[serde(flatten)]
    pub wanted: NewChange,
    /// Who wants it.
    pub author: Author,
    /// When it was wanted.
    pub created_at: Timestamp,
    /// When it was first tried.
    pub attempted_at: Option<Timestamp>,
    /// The tip that it was first tried on: if it has been committed, then since that tip.
    pub attempted_on: Option<String>,
    /// What became of it.
    pub status: Status,
    /// The commit that it became.
    pub commit: Option<String>,
    /// Why it could not be one.
    pub error: Option<String>,
    /// When that was known.
    pub done_at: Option<Timestamp>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is still to be committed.
    Pending,
    /// It is a commit.
    Committed,
    /// The file said so already.
    Unchanged,
    /// The file would not be valid with it.
    Invalid,
}

/// How the work on a change ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is this commit.
    Committed(String),
    /// The file said so already.
    Unchanged,
    /// The file would not be valid with it, and why.
    Invalid(String),
}

/// Adds a change, and gives its key. Billing's come with its reviews.
pub async fn insert(
    store: &Store,
    author: Author,
    change: &NewChange,
    now: Timestamp,
) -> Result<i64, Error> {
    store
        .run(async |db| {
            Ok(query_scalar!(
                "insert into spec_changes
                    (tenant_id, edits, base, reason, author, event_id, trace_id, created_at)
                values ($1, $2, $3, $4, $5, $6, $7, $8)
                returning id",
                change.tenant.as_str(),
                Json(&change.edits) as _,
                change.base,
                change.reason,
                author.to_string(),
                change.event,
                change.trace,
                now.to_sqlx() as _,
            )
            .fetch_one(db)
            .await?)
        })
        .await
}

/// Changes that are still to be committed, in the order to do it in, `limit` at most.
pub async fn pending(store: &Store, limit: u32) -> Result<Vec<Change>, Error> {
    let found = store.run(async |db| {
        Ok(query_scalar!(
            r#"select to_jsonb(spec_changes) as "change!: Json<Change>"
            from spec_changes
            where status = 'pending'
            order by id
            limit $1"#,
            i64::from(limit)
        )
        .fetch_all(db)
        .await?)
    });
    Ok(found.await?.into_iter().map(|Json(change)| change).collect())
}

/// Changes under a trace, in their order.
pub async fn by_trace(store: &Store, trace: &str) -> Result<Vec<Change>, Error> {
    let found = store.run(async |db| {
        Ok(query_scalar!(
            r#"select to_jsonb(spec_changes) as "change!: Json<Change>"
            from spec_changes
            where trace_id = $1
            order by id"#,
            trace
        )
        .fetch_all(db)
        .await?)
    });
    Ok(found.await?.into_iter().map(|Json(change)| change).collect())
}

/// Notes that pending changes are about to be pushed on `tip`. Of several times the first stays: the
/// commit may be anywhere since.
pub async fn attempt(store: &Store, ids: &[i64], tip: &str, now: Timestamp) -> Result<(), Error> {
    store
        .run(async |db| {
            query!(
                "update spec_changes
                set attempted_at = $3, attempted_on = $2
                where id = any($1)
                    and status = 'pending'
                    and attempted_on is null",
                ids,
                tip,
                now.to_sqlx() as _,
            )
            .execute(db)
            .await?;
            Ok(())
        })
        .await
}

/// Notes how the work on changes ended. What ended before stays as it was noted then.
pub async fn done(store: &Store, outcomes: &[(i64, Outcome)], now: Timestamp) -> Result<(), Error> {
    let ids: Vec<i64> = outcomes.iter().map(|(id, _)| *id).collect();
    let (mut words, mut commits, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (_, outcome) in outcomes {
        let (word, commit, error) = match outcome {
            Outcome::Committed(commit) => ("committed", Some(commit.as_str()), None),
            Outcome::Unchanged => ("unchanged", None, None),
            Outcome::Invalid(error) => ("invalid", None, Some(error.as_str())),
        };
        words.push(word);
        commits.push(commit);
        errors.push(error);
    }
    store
        .run(async |db| {
            query!(
                "update spec_changes
                set status = outcome.status, commit = outcome.commit, error = outcome.error,
                    done_at = $5
                from unnest($1::bigint[], $2::text[], $3::text[], $4::text[])
                    as outcome (id, status, commit, error)
                where spec_changes.id = outcome.id
                    and spec_changes.status = 'pending'",
                &ids,
                &words as _,
                &commits as _,
                &errors as _,
                now.to_sqlx() as _,
            )
            .execute(db)
            .await?;
            Ok(())
        })
        .await
}
