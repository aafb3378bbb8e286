//! Who did what, for ever: rows are added and never changed.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use oc_domain::{AccountId, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, query, query_scalar, types::Json};

use crate::{Error, Store};

/// Something that was done. No name, address or other personal data may stand in it, since it stays
/// when the account is erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Who did it: a service, or a member's or operator's id.
    pub actor: String,
    /// What was done, as `subscription.suspended`.
    pub action: String,
    /// To whom.
    #[serde(rename = "account_id")]
    pub account: Option<AccountId>,
    /// To which tenant.
    #[serde(rename = "tenant_id")]
    pub tenant: Option<TenantId>,
    /// The trace that it belongs to.
    #[serde(rename = "trace_id")]
    pub trace: Option<String>,
    /// What else there is to know.
    pub details: Value,
}

/// An entry as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Logged {
    /// The key; ascending.
    pub id: i64,
    /// When it was done.
    pub at: Timestamp,
    /// What was done.
    #[serde(flatten)]
    pub entry: Entry,
}

/// Adds what was done at `at`, in that order.
pub async fn append(store: &Store, at: Timestamp, entries: &[Entry]) -> Result<(), Error> {
    store.run(async |db| write(db, at, entries).await).await
}

pub(crate) async fn write(
    db: &mut PgConnection,
    at: Timestamp,
    entries: &[Entry],
) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    query!(
        "insert into audit_log (at, actor, action, account_id, tenant_id, trace_id, details)
        select $1, actor, action, account_id, tenant_id, trace_id, coalesce(details, 'null')
        from jsonb_to_recordset($2) as entry (
            actor text, action text, account_id text, tenant_id text, trace_id text, details jsonb
        )",
        at.to_sqlx() as _,
        Json(entries) as _,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What was done under a trace, the earliest first.
pub async fn by_trace(store: &Store, trace: &str) -> Result<Vec<Logged>, Error> {
    let found = store.run(async |db| {
        Ok(query_scalar!(
            r#"select to_jsonb(audit_log) as "logged!: Json<Logged>"
            from audit_log
            where trace_id = $1
            order by id"#,
            trace
        )
        .fetch_all(db)
        .await?)
    });
    Ok(found.await?.into_iter().map(|Json(logged)| logged).collect())
}
