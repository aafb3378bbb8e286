//! A review, carried out in one transaction.

use jiff_sqlx::ToSqlx;
use oc_domain::{AccountId, TenantId};
use sqlx::{Connection, PgConnection, query, types::Json};

use super::{NewTenant, Outcome, Review, Subscription};
use crate::{Error, Store, audit, outbox, periods, spec_changes};

/// Carries a review out: all of it or, with an error, nothing; nothing too if the account is not
/// the version any more that the review was loaded at.
///
/// The account is due again at `next`, or at once if something came since it was claimed.
pub async fn commit(store: &Store, review: &Review) -> Result<Outcome, Error> {
    let Review { account, now, .. } = review;
    store
        .run(async |db| {
            let mut transaction = db.begin().await?;
            let db = &mut *transaction;
            // First, so that nobody else is at work on the account from here on.
            if !advance(db, review).await? {
                return Ok(Outcome::Moved);
            }
            put_subscriptions(db, account, &review.subscriptions).await?;
            let periods = periods::settle(db, account, &review.periods, *now).await?;
            delete_tenants(db, review, &review.deleted).await?;
            insert_tenants(db, account, &review.tenants).await?;
            let changes = spec_changes::from_billing(db, &review.changes, *now).await?;
            outbox::confirm(db, account, &review.kinds, &review.notices, *now).await?;
            audit::write(db, *now, &review.audit).await?;
            handle_events(db, review).await?;
            transaction.commit().await?;
            Ok(Outcome::Committed { changes, periods })
        })
        .await
}

/// Whether the account was of the version, and is of the next one now.
async fn advance(db: &mut PgConnection, review: &Review) -> Result<bool, Error> {
    // Of the row alone, not of the inbox: a row that was waited for is read again as it is then,
    // what is beside it is not.
    let advanced = query!(
        "update accounts
        set version = version + 1,
            stripe_customer_id = coalesce(stripe_customer_id, $3),
            agents = $4,
            review_at = least(
                $5,
                case when claimed_until is null or review_at < claimed_until then review_at end
            ),
            claimed_until = null,
            review_attempts = 0,
            review_error = null
        where id = $1
            and version = $2",
        review.account.as_str(),
        review.version,
        review.customer,
        review.agents.map(u32::cast_signed),
        review.next.map(ToSqlx::to_sqlx) as _,
    );
    Ok(advanced.execute(db).await?.rows_affected() == 1)
}

async fn put_subscriptions(
    db: &mut PgConnection,
    account: &AccountId,
    subscriptions: &[Subscription],
) -> Result<(), Error> {
    if subscriptions.is_empty() {
        return Ok(());
    }
    // Those that have ended first: at no moment are there two that have not.
    let put = query!(
        "insert into subscriptions (
            id, account_id, status, tier, current_start, current_end, cancel_at_period_end,
            decided_state, past_due_since, suspended_at, delete_after, ended_at, updated_at
        )
        select id, $1, status, tier, current_start, current_end, cancel_at_period_end,
            decided_state, past_due_since, suspended_at, delete_after, ended_at, updated_at
        from jsonb_populate_recordset(null::subscriptions, $2) as read
        order by ended_at nulls last
        on conflict (id) do update
        set (
                status, tier, current_start, current_end, cancel_at_period_end, decided_state,
                past_due_since, suspended_at, delete_after, ended_at, updated_at
            ) = row (
                excluded.status, excluded.tier, excluded.current_start, excluded.current_end,
                excluded.cancel_at_period_end, excluded.decided_state, excluded.past_due_since,
                excluded.suspended_at, excluded.delete_after, excluded.ended_at,
                excluded.updated_at
            )
        where subscriptions.account_id = excluded.account_id",
        account.as_str(),
        Json(subscriptions) as _,
    );
    let put = usize::try_from(put.execute(db).await?.rows_affected()).unwrap_or_default();
    if put == subscriptions.len() {
        return Ok(());
    }
    Err(Error::ForeignSubscription(account.clone()))
}

async fn delete_tenants(
    db: &mut PgConnection,
    review: &Review,
    tenants: &[TenantId],
) -> Result<(), Error> {
    if tenants.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = tenants.iter().map(TenantId::as_str).collect();
    query!(
        "update tenants
        set deleted_at = $3
        where id = any($2)
            and account_id = $1
            and deleted_at is null",
        review.account.as_str(),
        &ids as _,
        review.now.to_sqlx() as _,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn insert_tenants(
    db: &mut PgConnection,
    account: &AccountId,
    tenants: &[NewTenant],
) -> Result<(), Error> {
    if tenants.is_empty() {
        return Ok(());
    }
    let inserted = query!(
        "insert into tenants
            (id, account_id, niche, tier, locale, model, thinking, state, generation)
        select id, $1, niche, tier, locale, model, thinking, 'suspended', 1
        from jsonb_to_recordset($2) as new (
            id text, niche text, tier text, locale text, model text, thinking text
        )",
        account.as_str(),
        Json(tenants) as _,
    );
    let inserted = inserted.execute(db).await.map_err(Error::from);
    match inserted {
        Err(error) if error.violates("tenants_within_agents") => {
            Err(Error::NoAgentLeft(account.clone()))
        }
        inserted => inserted.map(drop),
    }
}

async fn handle_events(db: &mut PgConnection, review: &Review) -> Result<(), Error> {
    if review.events.is_empty() {
        return Ok(());
    }
    query!(
        "update stripe_events
        set status = 'done', done_at = $3, review_trace_id = $4, error = null
        where id = any($2)
            and account_id = $1
            and status = 'pending'",
        review.account.as_str(),
        &review.events,
        review.now.to_sqlx() as _,
        review.trace,
    )
    .execute(db)
    .await?;
    Ok(())
}
