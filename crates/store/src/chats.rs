//! Who may talk to a tenant's agent: people of Telegram, each bound by a code.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use oc_domain::{Locale, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection, query, query_scalar, types::Json};

use crate::{Error, Store};

/// A chat that is bound to a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// Telegram's id of the chat.
    pub chat_id: i64,
    /// Telegram's id of the person.
    pub user_id: i64,
    /// The person's language.
    pub locale: Locale,
    /// Since when.
    pub bound_at: Timestamp,
}

/// What became of a try to bind a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// It is bound, and the code is used up.
    Bound,
    /// The code is none of the tenant's, or not any more.
    NoSuchCode,
    /// As many people as may are bound; the code stays good.
    Full,
}

/// Adds a code that binds one chat to a tenant within the time. Kept is its SHA-256 alone.
pub async fn add_code(
    store: &Store,
    tenant: &TenantId,
    hash: &[u8; 32],
    lasts: SignedDuration,
    now: Timestamp,
) -> Result<Timestamp, Error> {
    let expires = now + lasts;
    store
        .run(async |db| {
            query!(
                "with gone as (delete from link_codes where expires_at <= $4)
                insert into link_codes (hash, tenant_id, expires_at) values ($1, $2, $3)",
                hash,
                tenant.as_str(),
                expires.to_sqlx() as _,
                now.to_sqlx() as _,
            )
            .execute(db)
            .await?;
            Ok(expires)
        })
        .await
}

/// Binds a chat by a code of this SHA-256, if fewer than `most` other people are bound.
pub async fn bind(
    store: &Store,
    tenant: &TenantId,
    hash: &[u8; 32],
    chat: &Chat,
    most: Option<u64>,
) -> Result<Bound, Error> {
    store
        .run(async |db| {
            let mut transaction = db.begin().await?;
            // One at a time, or two would take the last place.
            query!("select from mailboxes where tenant_id = $1 for no key update", tenant.as_str())
                .execute(&mut *transaction)
                .await?;
            let used = query!(
                "delete from link_codes where hash = $1 and tenant_id = $2 and expires_at > $3",
                hash,
                tenant.as_str(),
                chat.bound_at.to_sqlx() as _,
            );
            if used.execute(&mut *transaction).await?.rows_affected() == 0 {
                return Ok(Bound::NoSuchCode);
            }
            let others = others(&mut transaction, tenant, chat.user_id).await?;
            if most.is_some_and(|most| others >= most) {
                return Ok(Bound::Full);
            }
            insert(&mut transaction, tenant, chat).await?;
            transaction.commit().await?;
            Ok(Bound::Bound)
        })
        .await
}

async fn others(db: &mut PgConnection, tenant: &TenantId, user: i64) -> Result<u64, Error> {
    let others = query_scalar!(
        r#"select count(distinct user_id) as "others!"
        from chats
        where tenant_id = $1
            and user_id <> $2"#,
        tenant.as_str(),
        user,
    );
    Ok(others.fetch_one(db).await?.cast_unsigned())
}

async fn insert(db: &mut PgConnection, tenant: &TenantId, chat: &Chat) -> Result<(), Error> {
    query!(
        "insert into chats (tenant_id, chat_id, user_id, locale, bound_at)
        values ($1, $2, $3, $4, $5)
        on conflict (tenant_id, chat_id) do update
        set user_id = excluded.user_id, locale = excluded.locale, bound_at = excluded.bound_at",
        tenant.as_str(),
        chat.chat_id,
        chat.user_id,
        chat.locale.to_string(),
        chat.bound_at.to_sqlx() as _,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The chats of a tenant, the oldest first.
pub async fn list(store: &Store, tenant: &TenantId) -> Result<Vec<Chat>, Error> {
    let found = store.run(async |db| {
        Ok(query_scalar!(
            r#"select to_jsonb(chats) as "chat!: Json<Chat>"
            from chats
            where tenant_id = $1
            order by bound_at, chat_id"#,
            tenant.as_str()
        )
        .fetch_all(db)
        .await?)
    });
    Ok(found.await?.into_iter().map(|Json(chat)| chat).collect())
}
