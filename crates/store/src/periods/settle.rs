//! The plan carried out, within the transaction of a review.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use oc_domain::AccountId;
use sqlx::{PgConnection, query, query_as};

use super::{Period, PeriodChange, Row, Wanted, messages, plan, tokens};
use crate::Error;

/// Makes the periods of the account those `wanted` from `now` on; whether that changed anything.
pub(crate) async fn settle(
    db: &mut PgConnection,
    account: &AccountId,
    wanted: &[Wanted],
    now: Timestamp,
) -> Result<bool, Error> {
    let since = wanted.iter().map(|one| one.starts_at).fold(now, Timestamp::min);
    let existing = lock(db, account, since).await?;
    let changes = plan(&existing, wanted, now)?;
    for change in &changes {
        carry_out(db, account, change).await?;
    }
    Ok(!changes.is_empty())
}

/// The periods that are not over at `since`: the ledger charges none of them until the transaction
/// ends.
async fn lock(
    db: &mut PgConnection,
    account: &AccountId,
    since: Timestamp,
) -> Result<Vec<Period>, Error> {
    // Ascending, as the ledger does.
    let rows = query_as!(
        Row,
        r#"select id, starts_at as "starts_at: SqlTimestamp", ends_at as "ends_at: SqlTimestamp",
            token_limit, used_tokens, message_limit
        from periods
        where account_id = $1
            and ends_at > $2
        order by id
        for no key update"#,
        account.as_str(),
        since.to_sqlx() as _,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(Period::from).collect())
}

async fn carry_out(
    db: &mut PgConnection,
    account: &AccountId,
    change: &PeriodChange,
) -> Result<(), Error> {
    match change {
        PeriodChange::Delete { id } => {
            query!("delete from periods where id = $1", id).execute(db).await?;
        }
        PeriodChange::Update { id, ends_at, limit, messages: most } => {
            query!(
                "update periods
                set ends_at = $2, token_limit = $3, message_limit = $4
                where id = $1",
                id,
                ends_at.to_sqlx() as _,
                tokens(*limit)?,
                messages(*most),
            )
            .execute(db)
            .await?;
        }
        PeriodChange::Insert(Wanted { starts_at, ends_at, limit, messages: most }) => {
            query!(
                "insert into periods (account_id, starts_at, ends_at, token_limit, message_limit)
                values ($1, $2, $3, $4, $5)",
                account.as_str(),
                starts_at.to_sqlx() as _,
                ends_at.to_sqlx() as _,
                tokens(*limit)?,
                messages(*most),
            )
            .execute(db)
            .await?;
        }
    }
    Ok(())
}
