//! What becomes of events outside of a review.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use oc_domain::AccountId;
use sqlx::{query, query_scalar, types::Json};

use super::Event;
use crate::{Error, Store};

/// How many events are deleted by one call.
const BATCH: i64 = 5000;

/// Pending events that nobody knows the account of and that are to be tried now, the longest
/// waiting first, `limit` at most.
pub async fn unattributed(store: &Store, now: Timestamp, limit: u32) -> Result<Vec<Event>, Error> {
    let found = store.run(async |db| {
        Ok(query_scalar!(
            r#"select to_jsonb(stripe_events) as "event!: Json<Event>"
            from stripe_events
            where status = 'pending'
                and account_id is null
                and next_attempt_at <= $1
            order by next_attempt_at
            limit $2"#,
            now.to_sqlx() as _,
            i64::from(limit),
        )
        .fetch_all(db)
        .await?)
    });
    Ok(found.await?.into_iter().map(|Json(event)| event).collect())
}

/// Says whose a pending event is, and makes the account due.
pub async fn attribute(
    store: &Store,
    event: &str,
    account: &AccountId,
    now: Timestamp,
) -> Result<(), Error> {
    let changed = store.run(async |db| {
        let changed = query!(
            "with event as (
                update stripe_events
                set account_id = $2, error = null
                where id = $1
                    and status = 'pending'
                returning account_id
            )
            update accounts
            set review_at = least(review_at, $3)
            from event
            where accounts.id = event.account_id",
            event,
            account.as_str(),
            now.to_sqlx() as _,
        );
        Ok(changed.execute(db).await?.rows_affected())
    });
    known("pending event", event, changed.await?)
}

/// Notes that the account of a pending event was looked for in vain, and when to try again.
pub async fn postpone(
    store: &Store,
    event: &str,
    until: Timestamp,
    error: &str,
) -> Result<(), Error> {
    let changed = store.run(async |db| {
        let changed = query!(
            "update stripe_events
            set attempts = attempts + 1, next_attempt_at = $2, error = $3
            where id = $1
                and status = 'pending'",
            event,
            until.to_sqlx() as _,
            error,
        );
        Ok(changed.execute(db).await?.rows_affected())
    });
    known("pending event", event, changed.await?)
}

/// Sets a pending event aside for people.
pub async fn quarantine(store: &Store, event: &str, reason: &str) -> Result<(), Error> {
    let changed = store.run(async |db| {
        let changed = query!(
            "update stripe_events
            set status = 'quarantined', error = $2
            where id = $1
                and status = 'pending'",
            event,
            reason,
        );
        Ok(changed.execute(db).await?.rows_affected())
    });
    known("pending event", event, changed.await?)
}

/// Makes an event pending again, whatever became of it, and its account due.
pub async fn retry(store: &Store, event: &str, now: Timestamp) -> Result<(), Error> {
    let changed = store.run(async |db| {
        Ok(query_scalar!(
            r#"with event as (
                update stripe_events
                set status = 'pending', attempts = 0, next_attempt_at = $2, error = null,
                    done_at = null, review_trace_id = null
                where id = $1
                returning account_id
            ),
            due as (
                update accounts
                set review_at = least(review_at, $2), review_attempts = 0
                from event
                where accounts.id = event.account_id
            )
            select count(*) as "changed!" from event"#,
            event,
            now.to_sqlx() as _,
        )
        .fetch_one(db)
        .await?)
    });
    known("event", event, changed.await?.cast_unsigned())
}

/// Deletes events received before `before` that nobody waits for, some thousands at a time; gives
/// how many it were: none once all are gone.
///
/// Stripe repeats an event for days: one that comes after it was deleted counts as new, which does
/// no harm but a review.
pub async fn prune(store: &Store, before: Timestamp) -> Result<u64, Error> {
    store
        .run(async |db| {
            let deleted = query!(
                "delete from stripe_events
                where id in (
                    select id
                    from stripe_events
                    where received_at < $1
                        and status in ('done', 'ignored')
                    order by received_at
                    limit $2
                )",
                before.to_sqlx() as _,
                BATCH,
            );
            Ok(deleted.execute(db).await?.rows_affected())
        })
        .await
}

fn known(what: &'static str, event: &str, changed: u64) -> Result<(), Error> {
    if changed == 0 { Err(Error::Unknown { what, id: event.to_owned() }) } else { Ok(()) }
}
