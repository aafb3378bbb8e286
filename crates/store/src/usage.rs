//! The ledger: one row for each request that was admitted, for ever.

use std::collections::HashSet;

use jiff::Timestamp;
use oc_domain::{RequestId, TenantId, usage::Tokens};
use sqlx::{query, query_scalar};
use uuid::Uuid;

use crate::{Error, Store};

mod columns;
mod partitions;
mod quarantine;
mod quota;
mod record;

pub use partitions::{drop_partitions_before, ensure_partitions};
pub use quarantine::{Delivered, Settled, Unreadable, record_or_quarantine};
pub use quota::Warning;
pub use record::{Recorded, record};

/// What a tenant has consumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that were admitted.
    pub requests: u64,
    /// Tokens, in the models' own count.
    pub tokens: Tokens,
    /// Tokens that counted against a quota.
    pub charged: u64,
    /// Tokens beyond what was reserved, at our expense.
    pub excess: u64,
    /// What the providers charge us, in billionths of a US dollar.
    pub cost_nano_usd: u64,
}

/// Those of `requests` that the ledger has.
pub async fn existing(store: &Store, requests: &[RequestId]) -> Result<HashSet<RequestId>, Error> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.uuid()).collect();
    let found = store.run(async |db| {
        let found = query_scalar!(
            "select request_id
            from usage_events
            where request_id = any($1)",
            &ids
        );
        Ok(found.fetch_all(db).await?)
    });
    Ok(found.await?.into_iter().map(RequestId::from).collect())
}

/// What `upstream` charges us for requests admitted in `from..to`, in billionths of a US dollar.
///
/// It reads every row of that time: ask for a day, not for a year.
pub async fn spend(
    store: &Store,
    upstream: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<u64, Error> {
    let sum = store.run(async |db| {
        let sum = query_scalar!(
            r#"select coalesce(sum(cost_nano_usd), 0)::bigint as "sum!"
            from usage_events
            where request_id >= $1
                and request_id < $2
                and upstream = $3"#,
            first_id(from),
            first_id(to),
            upstream,
        );
        Ok(sum.fetch_one(db).await?)
    });
    Ok(sum.await?.cast_unsigned())
}

/// What a tenant consumed by requests admitted in `from..to`.
pub async fn by_tenant(
    store: &Store,
    tenant: &TenantId,
    from: Timestamp,
    to: Timestamp,
) -> Result<Totals, Error> {
    let sums = store.run(async |db| {
        let sums = query!(
            r#"select count(*) as "requests!",
                coalesce(sum(input_tokens), 0)::bigint as "input!",
                coalesce(sum(cached_input_tokens), 0)::bigint as "cached_input!",
                coalesce(sum(output_tokens), 0)::bigint as "output!",
                coalesce(sum(reasoning_tokens), 0)::bigint as "reasoning!",
                coalesce(sum(charged_tokens), 0)::bigint as "charged!",
                coalesce(sum(excess_tokens), 0)::bigint as "excess!",
                coalesce(sum(cost_nano_usd), 0)::bigint as "cost!"
            from usage_events
            where tenant_id = $1
                and request_id >= $2
                and request_id < $3"#,
            tenant.as_str(),
            first_id(from),
            first_id(to),
        );
        Ok(sums.fetch_one(db).await?)
    });
    let sums = sums.await?;
    Ok(Totals {
        requests: sums.requests.cast_unsigned(),
        tokens: Tokens {
            input: sums.input.cast_unsigned(),
            cached_input: sums.cached_input.cast_unsigned(),
            output: sums.output.cast_unsigned(),
            reasoning: sums.reasoning.cast_unsigned(),
        },
        charged: sums.charged.cast_unsigned(),
        excess: sums.excess.cast_unsigned(),
        cost_nano_usd: sums.cost.cast_unsigned(),
    })
}

/// The least id of a request admitted at `at` or later: ids are ordered by their time.
fn first_id(at: Timestamp) -> Uuid {
    let milliseconds = u128::try_from(at.as_millisecond()).unwrap_or_default();
    Uuid::from_u128(milliseconds << 80)
}
