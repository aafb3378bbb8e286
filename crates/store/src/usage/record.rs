//! Events to rows, and what they charge to periods, in one transaction.

use std::collections::{BTreeMap, HashSet};

use oc_domain::{AccountId, RequestId, usage::UsageEvent};
use sqlx::{Connection, PgConnection, query, query_scalar};

use super::{columns::Columns, quota, quota::Warning};
use crate::{Error, Store};

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Rows that are new.
    pub inserted: usize,
    /// Events whose request the ledger had, or that stood in the batch twice.
    pub duplicates: usize,
    /// Quotas that these rows, and no earlier ones, have used to a mark.
    pub warnings: Vec<Warning>,
}

/// A period whose row is locked.
pub(super) struct Locked {
    pub(super) id: i64,
    pub(super) account_id: String,
    pub(super) token_limit: i64,
    pub(super) used_tokens: i64,
}

/// Writes each event whose request the ledger has not, charges the periods for these alone, and
/// notes quotas that are nearly used: all of it or, with an error, nothing.
///
/// Repeating it changes nothing, and replicas may do it at the same time with the same events.
pub async fn record(store: &Store, events: &[UsageEvent]) -> Result<Recorded, Error> {
    record_all(store, &events.iter().collect::<Vec<_>>()).await
}

pub(super) async fn record_all(store: &Store, events: &[&UsageEvent]) -> Result<Recorded, Error> {
    let mut unique = events.to_vec();
    // Replicas lock in one order, requests and then periods, each ascending: so none waits for one
    // that waits for it.
    unique.sort_by_key(|event| event.request);
    unique.dedup_by_key(|event| event.request);
    let columns = Columns::of(&unique)?;
    store
        .run(async |db| {
            let mut transaction = db.begin().await?;
            let inserted = insert(&mut transaction, &columns).await?;
            let new: Vec<&UsageEvent> =
                unique.iter().copied().filter(|event| inserted.contains(&event.request)).collect();
            let warnings = charge(&mut transaction, &new).await?;
            transaction.commit().await?;
            let duplicates = events.len() - new.len();
            Ok(Recorded { inserted: new.len(), duplicates, warnings })
        })
        .await
}

async fn insert(db: &mut PgConnection, columns: &Columns<'_>) -> Result<HashSet<RequestId>, Error> {
    let inserted = query_scalar!(
        "insert into usage_events (
            request_id, account_id, tenant_id, period_id, model, upstream, input_tokens,
            cached_input_tokens, output_tokens, reasoning_tokens, charged_tokens, excess_tokens,
            cost_nano_usd, outcome, measured, attempts, first_byte_at, finished_at
        )
        select request, account, tenant, period, model, upstream, input, cached_input, output,
            reasoning, charged, excess, cost, outcome, measured, attempts,
            to_timestamp(first_byte_ms / 1000.0), to_timestamp(finished_ms / 1000.0)
        from unnest(
            $1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
            $14::text[], $15::boolean[], $16::bigint[], $17::bigint[], $18::bigint[]
        ) as event (
            request, account, tenant, period, model, upstream, input, cached_input, output,
            reasoning, charged, excess, cost, outcome, measured, attempts, first_byte_ms,
            finished_ms
        )
        order by request
        on conflict do nothing
        returning request_id",
        &columns.requests,
        &columns.accounts as _,
        &columns.tenants as _,
        &columns.periods,
        &columns.models as _,
        &columns.upstreams as _,
        &columns.input,
        &columns.cached_input,
        &columns.output,
        &columns.reasoning,
        &columns.charged,
        &columns.excess,
        &columns.cost,
        &columns.outcomes,
        &columns.measured,
        &columns.attempts,
        &columns.first_byte_ms as _,
        &columns.finished_ms,
    );
    Ok(inserted.fetch_all(db).await?.into_iter().map(RequestId::from).collect())
}

/// Adds what `events` charge to their periods, which must be their accounts'.
async fn charge(db: &mut PgConnection, events: &[&UsageEvent]) -> Result<Vec<Warning>, Error> {
    let sums = sums(events)?;
    if sums.is_empty() {
        return Ok(Vec::new());
    }
    let periods: Vec<i64> = sums.keys().map(|(period, _)| *period).collect();
    let charged: Vec<i64> = sums.values().copied().collect();
    let locked = lock(db, &periods).await?;
    let own = |(period, account): &(i64, &AccountId)| {
        locked.iter().any(|row| row.id == *period && row.account_id == account.as_str())
    };
    if let Some((unknown, _)) = sums.keys().find(|key| !own(key)) {
        return Err(Error::UnknownPeriod(*unknown));
    }
    query!(
        "update periods
        set used_tokens = used_tokens + charge.tokens
        from unnest($1::bigint[], $2::bigint[]) as charge (period, tokens)
        where id = charge.period",
        &periods,
        &charged,
    )
    .execute(&mut *db)
    .await?;
    let sums: BTreeMap<i64, i64> = periods.into_iter().zip(charged).collect();
    quota::note(db, &locked, &sums).await
}

/// Tokens by period and account; an event of a foreign account has a sum of its own.
fn sums<'a>(events: &[&'a UsageEvent]) -> Result<BTreeMap<(i64, &'a AccountId), i64>, Error> {
    let mut sums: BTreeMap<(i64, &AccountId), i64> = BTreeMap::new();
    for event in events {
        let sum = sums.entry((event.period, &event.account)).or_default();
        let added = sum.checked_add_unsigned(event.settlement.charged);
        *sum = added.ok_or(Error::TooLarge(event.request))?;
    }
    Ok(sums)
}

async fn lock(db: &mut PgConnection, periods: &[i64]) -> Result<Vec<Locked>, Error> {
    Ok(sqlx::query_as!(
        Locked,
        "select id, account_id, token_limit, used_tokens
        from periods
        where id = any($1)
        order by id
        for no key update",
        periods
    )
    .fetch_all(db)
    .await?)
}
