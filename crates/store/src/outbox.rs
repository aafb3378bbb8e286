//! Messages to people: written in the transaction of what they tell of, sent afterwards.
//!
//! A notice of billing's is true when it is written and may not be when it is sent, for one because
//! the channel was away and the invoice has been paid. So it counts for a while after a review has
//! confirmed it; a review that finds it untrue withdraws it.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use oc_domain::AccountId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, query, query_scalar, types::Json};

use crate::{Error, Store};

/// Something that an account's people are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Which text.
    pub kind: String,
    /// What happened; what has this key is told once for each account.
    pub dedup_key: String,
    /// What the text needs. It is gone when the account is erased.
    pub payload: Value,
}

/// A notice that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Due {
    /// The key; ascending.
    pub id: i64,
    /// Whom to tell.
    #[serde(rename = "account_id")]
    pub account: AccountId,
    /// When it was written.
    pub created_at: Timestamp,
    /// What to tell.
    #[serde(flatten)]
    pub notice: Notice,
}

/// Notices of `kinds` to be sent now, the oldest first, `limit` at most: those that a review has
/// confirmed no longer than `confirmed_within` ago, and those that need none.
///
/// The accounts of the others become due, so that a review confirms or withdraws them. Whoever
/// calls this sends and then says [`delivered`], or [`postpone`]: one at a time ([`crate::lock::try_leader`]), or
/// two send the same.
pub async fn due(
    store: &Store,
    kinds: &[String],
    confirmed_within: SignedDuration,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Due>, Error> {
    let since = now.checked_sub(confirmed_within).unwrap_or(Timestamp::MIN);
    let found = store.run(async |db| {
        Ok(query_scalar!(
            r#"with waiting as (
                select *
                from outbox
                where delivered_at is null
                    and withdrawn_at is null
                    and kind = any($1)
                    and (retry_at is null or retry_at <= $3)
            ),
            doubtful as (
                -- Not those that somebody reviews already, nor those whose reviews fail and are
                -- put off.
                select id
                from accounts
                where id in (select account_id from waiting where confirmed_at < $2)
                    and (review_at is null or review_at > $3)
                    and (claimed_until is null or claimed_until <= $3)
                    and review_attempts = 0
                order by id
                limit $4
                for no key update skip locked
            ),
            asked as (
                update accounts set review_at = $3 where id in (select id from doubtful)
            )
            select to_jsonb(waiting) as "due!: Json<Due>"
            from waiting
            where confirmed_at is null
                or confirmed_at >= $2
            order by id
            limit $4"#,
            kinds,
            since.to_sqlx() as _,
            now.to_sqlx() as _,
            i64::from(limit),
        )
        .fetch_all(db)
        .await?)
    });
    Ok(found.await?.into_iter().map(|Json(due)| due).collect())
}

/// Notes that a notice has been sent: it is never sent again.
pub async fn delivered(store: &Store, id: i64, now: Timestamp) -> Result<(), Error> {
    let changed = store.run(async |db| {
        let changed = query!(
            "update outbox set delivered_at = coalesce(delivered_at, $2) where id = $1",
            id,
            now.to_sqlx() as _,
        );
        Ok(changed.execute(db).await?.rows_affected())
    });
    if changed.await? > 0 {
        return Ok(());
    }
    Err(Error::Unknown { what: "notice", id: id.to_string() })
}

/// Notes that a notice could not be sent, and is not to be tried before `until`.
pub async fn postpone(store: &Store, id: i64, until: Timestamp) -> Result<(), Error> {
    store
        .run(async |db| {
            query!("update outbox set retry_at = $2 where id = $1", id, until.to_sqlx() as _)
                .execute(db)
                .await?;
            Ok(())
        })
        .await
}

/// Adds notices that nobody has to confirm; what the account was told of before stays as it is.
pub async fn tell(
    store: &Store,
    account: &AccountId,
    notices: &[Notice],
    now: Timestamp,
) -> Result<(), Error> {
    if notices.is_empty() {
        return Ok(());
    }
    store
        .run(async |db| {
            query!(
                "insert into outbox (account_id, kind, dedup_key, payload, created_at)
                select $1, kind, dedup_key, coalesce(payload, 'null'), $3
                from jsonb_to_recordset($2) as notice (kind text, dedup_key text, payload jsonb)
                on conflict (account_id, dedup_key) do nothing",
                account.as_str(),
                Json(notices) as _,
                now.to_sqlx() as _,
            )
            .execute(db)
            .await?;
            Ok(())
        })
        .await
}

/// Makes the account's notices of `kinds` that are not sent yet those of `true_now`.
pub(crate) async fn confirm(
    db: &mut PgConnection,
    account: &AccountId,
    kinds: &[String],
    true_now: &[Notice],
    now: Timestamp,
) -> Result<(), Error> {
    query!(
        "with true_now as (
            select distinct on (dedup_key) *
            from jsonb_to_recordset($3) as notice (kind text, dedup_key text, payload jsonb)
        ),
        withdrawn as (
            update outbox
            set withdrawn_at = $4
            where account_id = $1
                and kind = any($2)
                and delivered_at is null
                and withdrawn_at is null
                and dedup_key not in (select dedup_key from true_now)
        )
        insert into outbox (account_id, kind, dedup_key, payload, created_at, confirmed_at)
        select $1, kind, dedup_key, coalesce(payload, 'null'), $4, $4
        from true_now
        on conflict (account_id, dedup_key) do update
        set payload = excluded.payload, confirmed_at = excluded.confirmed_at, withdrawn_at = null
        where outbox.delivered_at is null",
        account.as_str(),
        kinds,
        Json(true_now) as _,
        now.to_sqlx() as _,
    )
    .execute(db)
    .await?;
    Ok(())
}
