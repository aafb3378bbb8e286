//! Which account is to be reviewed next, and by whom.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use oc_domain::AccountId;
use sqlx::{query, query_scalar};

use crate::{
    Error, Store,
    accounts::{parse, unknown},
};

/// An account to be reviewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Whose.
    pub account: AccountId,
    /// Reviews that were given up in a row before this one.
    pub attempts: u32,
}

/// Takes up to `limit` accounts that are due, the longest waiting first; until `claimed_until`
/// nobody else gets them. Those that are not committed or given up by then are due again.
pub async fn claim_due(
    store: &Store,
    now: Timestamp,
    claimed_until: Timestamp,
    limit: u32,
) -> Result<Vec<Claimed>, Error> {
    let rows = store.run(async |db| {
        Ok(query!(
            "with due as (
                select id
                from accounts
                where review_at <= $1
                    and (claimed_until is null or claimed_until <= $1)
                order by review_at
                limit $3
                for no key update skip locked
            )
            update accounts
            set review_at = $2, claimed_until = $2
            from due
            where accounts.id = due.id
            returning accounts.id, review_attempts",
            now.to_sqlx() as _,
            claimed_until.to_sqlx() as _,
            i64::from(limit),
        )
        .fetch_all(db)
        .await?)
    });
    let claimed = rows.await?.into_iter().map(|row| {
        let account = parse("accounts.id", &row.id)?;
        Ok(Claimed { account, attempts: row.review_attempts.cast_unsigned() })
    });
    claimed.collect()
}

/// Makes an account due, also while it is being reviewed: something came that a review which runs
/// may have missed.
pub async fn due(store: &Store, account: &AccountId, now: Timestamp) -> Result<(), Error> {
    let changed = store.run(async |db| {
        let changed = query!(
            "update accounts set review_at = least(review_at, $2) where id = $1",
            account.as_str(),
            now.to_sqlx() as _,
        );
        Ok(changed.execute(db).await?.rows_affected())
    });
    if changed.await? == 0 { Err(unknown(account)) } else { Ok(()) }
}

/// Gives a claimed account up until `again`, and notes why; gives how many reviews in a row were
/// given up, this one included. An event makes the account due before, also one that came while it
/// was being reviewed.
pub async fn failed(
    store: &Store,
    account: &AccountId,
    again: Timestamp,
    error: &str,
) -> Result<u32, Error> {
    let attempts = store.run(async |db| {
        let attempts = query_scalar!(
            "update accounts
            set review_at = least(
                    $2,
                    case when claimed_until is null or review_at < claimed_until then review_at end
                ),
                claimed_until = null,
                review_attempts = review_attempts + 1,
                review_error = $3
            where id = $1
            returning review_attempts",
            account.as_str(),
            again.to_sqlx() as _,
            error,
        );
        Ok(attempts.fetch_optional(db).await?)
    });
    attempts.await?.map(i32::cast_unsigned).ok_or_else(|| unknown(account))
}
