//! Messages on their way from Telegram to a pod: sealed, in the order of numbers of our own, each
//! delivered until it is confirmed.
//!
//! ```text
//!  receive ──► [ waiting: sealed, numbered ] ──► fetch ──► pod
//!    │ │          │    ▲ known: nothing           │ a higher offset confirms: the content goes
//!    │ │          │    │                          ▼
//!    │ │          └────┼─ not confirmed in time ─► [ tombstone ] ──► prune
//!    │ │               │ replay: a new number     ▲
//!    │ └► [ held: beyond the tier's messages ] ───┘ forgotten, or not in time
//!    └► refused: too many are held
//! ```

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use oc_domain::TenantId;
use sqlx::{PgConnection, query, query_scalar};

use crate::{
    Error, Store,
    secrets::{Piece, Vault},
};

mod held;
mod receive;

pub use held::{Question, Replayed, asked, forget, replay, take_questions};
pub use receive::{Incoming, Receipt, receive};

/// What nobody has fetched by then is given up, as Telegram itself does.
const WAITS: SignedDuration = SignedDuration::from_hours(24);
/// For so long an update is known to have come: longer than Telegram repeats one.
const KNOWN: SignedDuration = SignedDuration::from_hours(48);
/// An offset further ahead than this is nobody's who has lost a few numbers.
const FURTHEST: i64 = 1_000_000;

/// An update that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Our number of it.
    pub seq: i64,
    /// When it came.
    pub received_at: Timestamp,
    /// Its JSON, as it came.
    pub body: Vec<u8>,
}

/// What [`fetch`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// What waits, in the order of its numbers.
    pub waiting: Vec<Waiting>,
    /// The last number given to any update of the tenant by then. Where nothing waits, and the next one
    /// gets the next number, nothing comes before it.
    pub last_seq: i64,
}

/// Where a pod goes on, as the offset of `getUpdates`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// With the first that is not confirmed.
    First,
    /// With this one: all before are confirmed.
    Seq(i64),
    /// With so many from the end: all before are confirmed. At least 1.
    Last(i64),
}

/// What was given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Updates that nobody has fetched in time.
    pub expired: u64,
    /// Messages that were held, and nobody wanted answered in time.
    pub held: u64,
}

/// Confirms what is before `from`, and gives what waits from there on, `limit` at most, in the order
/// of their numbers.
///
/// Whoever comes with an offset from a future that this database does not know, since it was
/// restored, finds that numbers go on from there.
pub async fn fetch(
    store: &Store,
    vault: &Vault,
    tenant: &TenantId,
    from: Offset,
    limit: u32,
    now: Timestamp,
) -> Result<Fetched, Error> {
    let rows = store.run(async |db| {
        let offset = match from {
            Offset::First => 0,
            Offset::Seq(seq) => seq,
            Offset::Last(count) => last(db, tenant, count).await?,
        };
        Ok(query!(
            r#"with confirmed as (
                update updates
                set confirmed_at = $4, data_key = null, nonce = null, ciphertext = null
                where tenant_id = $1
                    and seq < $2
                    and ciphertext is not null
                    and held_for is null
            ),
            ahead as (
                update mailboxes
                set last_seq = $2 - 1
                where tenant_id = $1
                    and last_seq < $2 - 1
                    and $2 <= last_seq + $5
            )
            select last_seq, seq as "seq?", number as "number?", update_id as "update_id?",
                received_at as "received_at?: SqlTimestamp", data_key as "data_key?",
                nonce as "nonce?", ciphertext as "ciphertext?"
            from mailboxes
            left join lateral (
                select *
                from updates
                where updates.tenant_id = mailboxes.tenant_id
                    and seq >= $2
                    and ciphertext is not null
                    and held_for is null
                order by seq
                limit $3
            ) as waiting on true
            where mailboxes.tenant_id = $1
            order by seq"#,
            tenant.as_str(),
            offset,
            i64::from(limit),
            now.to_sqlx() as _,
            FURTHEST,
        )
        .fetch_all(db)
        .await?)
    });
    let mut fetched = Fetched::default();
    for row in rows.await? {
        fetched.last_seq = row.last_seq;
        // Where nothing waits there is a row with nothing but the number.
        let (Some(seq), Some(number), Some(update_id), Some(received_at), Some(data_key)) =
            (row.seq, row.number, row.update_id, row.received_at, row.data_key)
        else {
            continue;
        };
        let (Some(nonce), Some(ciphertext)) = (row.nonce, row.ciphertext) else { continue };
        let piece = Piece { data_key, nonce, ciphertext };
        let body = vault.open(store, tenant, &name(number, update_id), piece).await?;
        fetched.waiting.push(Waiting { seq, received_at: received_at.to_jiff(), body });
    }
    Ok(fetched)
}

/// The number of the first of the last `count` that wait; 0 if there are fewer.
async fn last(db: &mut PgConnection, tenant: &TenantId, count: i64) -> Result<i64, Error> {
    let found = query_scalar!(
        "select seq
        from updates
        where tenant_id = $1
            and ciphertext is not null
            and held_for is null
        order by seq desc
        offset $2
        limit 1",
        tenant.as_str(),
        count.saturating_sub(1),
    );
    Ok(found.fetch_optional(db).await?.unwrap_or_default())
}

/// The tenants for which something came at `since` or later that still waits.
pub async fn waiting_since(store: &Store, since: Timestamp) -> Result<Vec<TenantId>, Error> {
    let found = store.run(async |db| {
        Ok(query_scalar!(
            "select distinct tenant_id
            from updates
            where received_at >= $1
                and ciphertext is not null
                and held_for is null",
            since.to_sqlx() as _
        )
        .fetch_all(db)
        .await?)
    });
    let parse = |id: String| {
        let parsed = id.parse();
        parsed.map_err(|_| Error::UnknownWord {
            column: "updates.tenant_id",
            row: id.clone(),
            word: id,
        })
    };
    found.await?.into_iter().map(parse).collect()
}

/// How many updates of a tenant wait for its pod.
pub async fn count(store: &Store, tenant: &TenantId) -> Result<u64, Error> {
    let count = store.run(async |db| {
        let count = query_scalar!(
            r#"select count(*) as "count!"
            from updates
            where tenant_id = $1
                and ciphertext is not null
                and held_for is null"#,
            tenant.as_str()
        );
        Ok(count.fetch_one(db).await?)
    });
    Ok(count.await?.cast_unsigned())
}

/// Gives up what nobody has fetched in a day, and forgets what came two days ago.
pub async fn prune(store: &Store, now: Timestamp) -> Result<Pruned, Error> {
    store
        .run(async |db| {
            let held = held::prune(db, now - WAITS, now).await?;
            let expired = query!(
                "update updates
                set confirmed_at = $2, data_key = null, nonce = null, ciphertext = null
                where received_at < $1
                    and ciphertext is not null
                    and held_for is null",
                (now - WAITS).to_sqlx() as _,
                now.to_sqlx() as _,
            );
            let expired = expired.execute(&mut *db).await?.rows_affected();
            let forgotten = query!(
                "delete from updates where received_at < $1 and ciphertext is null",
                (now - KNOWN).to_sqlx() as _,
            );
            forgotten.execute(db).await?;
            Ok(Pruned { expired, held })
        })
        .await
}

/// What an update is bound to when it is sealed.
pub(crate) fn name(number: i64, update_id: i64) -> String {
    format!("update/{number}/{update_id}")
}
