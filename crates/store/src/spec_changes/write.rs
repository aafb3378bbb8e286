//! What billing wants, within the transaction of a review.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{PgConnection, query, types::Json};

use super::NewChange;
use crate::Error;

/// Adds changes but those that billing's last one of the tenant says already, if it is still to be
/// committed; gives how many it were.
pub(crate) async fn from_billing(
    db: &mut PgConnection,
    changes: &[NewChange],
    now: Timestamp,
) -> Result<u64, Error> {
    if changes.is_empty() {
        return Ok(0);
    }
    let inserted = query!(
        "insert into spec_changes
            (tenant_id, edits, base, reason, author, event_id, trace_id, created_at)
        select tenant_id, edits, base, reason, 'billing', event_id, trace_id, $2
        from jsonb_to_recordset($1) as new (
            tenant_id text, edits jsonb, base jsonb, reason text, event_id text, trace_id text
        )
        where not exists (
            select
            from spec_changes as last
            where last.id = (
                    select max(id)
                    from spec_changes
                    where tenant_id = new.tenant_id
                        and author = 'billing'
                )
                and last.status = 'pending'
                and last.edits = new.edits
                and last.base is not distinct from new.base
        )",
        Json(changes) as _,
        now.to_sqlx() as _,
    );
    Ok(inserted.execute(db).await?.rows_affected())
}
