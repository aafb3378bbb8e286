//! What an account may use, and has used, from when to when.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use oc_domain::AccountId;
use serde::Deserialize;
use sqlx::{query, query_as, query_scalar};

use crate::{Error, Store};

mod plan;
mod settle;

pub use plan::{PeriodChange, Wanted, plan};
pub(crate) use settle::settle;

/// A billing period. Those of one account do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Period {
    /// The key.
    pub id: i64,
    /// The first instant.
    pub starts_at: Timestamp,
    /// The first instant after it.
    pub ends_at: Timestamp,
    /// Tokens that may be used.
    pub limit: u64,
    /// Tokens that the ledger has charged.
    pub used: u64,
    /// Messages that may be counted; none where they are not.
    pub messages: Option<u64>,
}

struct Row {
    id: i64,
    starts_at: SqlTimestamp,
    ends_at: SqlTimestamp,
    token_limit: i64,
    used_tokens: i64,
    message_limit: Option<i64>,
}

impl From<Row> for Period {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            starts_at: row.starts_at.to_jiff(),
            ends_at: row.ends_at.to_jiff(),
            // None is negative: the table checks.
            limit: row.token_limit.cast_unsigned(),
            used: row.used_tokens.cast_unsigned(),
            messages: row.message_limit.map(i64::cast_unsigned),
        }
    }
}

/// The period at `now` and the one after it, the earlier one first: fewer than two if they have not
/// been made.
pub async fn current_and_next(
    store: &Store,
    account: &AccountId,
    now: Timestamp,
) -> Result<Vec<Period>, Error> {
    let rows = store.run(async |db| {
        Ok(query_as!(
            Row,
            r#"select id, starts_at as "starts_at: SqlTimestamp",
                ends_at as "ends_at: SqlTimestamp", token_limit, used_tokens, message_limit
            from periods
            where account_id = $1
                and ends_at > $2
            order by starts_at
            limit 2"#,
            account.as_str(),
            now.to_sqlx() as _,
        )
        .fetch_all(db)
        .await?)
    });
    Ok(rows.await?.into_iter().map(Period::from).collect())
}

/// Adds a period of `limit` tokens and gives its key; an error if it overlaps another one of the
/// account.
pub async fn insert(
    store: &Store,
    account: &AccountId,
    starts_at: Timestamp,
    ends_at: Timestamp,
    limit: u64,
) -> Result<i64, Error> {
    let limit = tokens(limit)?;
    store
        .run(async |db| {
            Ok(query_scalar!(
                "insert into periods (account_id, starts_at, ends_at, token_limit)
                values ($1, $2, $3, $4)
                returning id",
                account.as_str(),
                starts_at.to_sqlx() as _,
                ends_at.to_sqlx() as _,
                limit,
            )
            .fetch_one(db)
            .await?)
        })
        .await
}

/// Gives a period another limit, in tokens; what was used stays.
pub async fn set_limit(store: &Store, id: i64, limit: u64) -> Result<(), Error> {
    let limit = tokens(limit)?;
    let changed = store.run(async |db| {
        let changed = query!("update periods set token_limit = $2 where id = $1", id, limit);
        Ok(changed.execute(db).await?.rows_affected())
    });
    if changed.await? == 0 { Err(Error::UnknownPeriod(id)) } else { Ok(()) }
}

/// The quota tokens that the ledger has booked in the period `id`; nothing if there is none.
pub async fn used(store: &Store, id: i64) -> Result<Option<u64>, Error> {
    let used = store.run(async |db| {
        let used = query_scalar!("select used_tokens from periods where id = $1", id);
        Ok(used.fetch_optional(db).await?)
    });
    Ok(used.await?.map(i64::cast_unsigned))
}

/// As Postgres holds it: more than it has room for is as good as that.
fn messages(messages: Option<u64>) -> Option<i64> {
    messages.map(|most| i64::try_from(most).unwrap_or(i64::MAX))
}

fn tokens(tokens: u64) -> Result<i64, Error> {
    i64::try_from(tokens).map_err(|_| Error::TooManyTokens(tokens))
}
