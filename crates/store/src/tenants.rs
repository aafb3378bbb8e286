//! What services know of a tenant at run time.

use std::{fmt::Display, str::FromStr};

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use oc_domain::{AccountId, Locale, ModelId, TenantId, Thinking, TierId};
use sqlx::{Connection, query, query_scalar};
use strum::EnumString;

use crate::{Error, Store, bots};

/// A tenant as the operator has made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Who pays.
    pub account: AccountId,
    /// What is paid for.
    pub tier: TierId,
    /// The language of messages.
    pub locale: Locale,
    /// The model that it uses.
    pub model: ModelId,
    /// How long that model thinks.
    pub thinking: Thinking,
    /// Whether it is served.
    pub state: State,
    /// Platform tokens of a lower one are revoked; at least 1.
    pub generation: u32,
}

/// What a tenant's file says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desired {
    /// What is paid for.
    pub tier: TierId,
    /// The language of messages.
    pub locale: Locale,
    /// The model that it uses.
    pub model: ModelId,
    /// How long that model thinks.
    pub thinking: Thinking,
    /// Whether it is served.
    pub state: State,
}

/// A tenant as [`observe`] leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Who pays.
    pub account: AccountId,
    /// Platform tokens of a lower one are revoked; at least 1.
    pub generation: u32,
    /// Whether the row said something else before.
    pub changed: bool,
    /// Whether billing wants it deleted, which is final.
    pub deleted: bool,
    /// What the pod knows its bot by; 0 where it has none.
    pub bot: i64,
}

/// Whether a tenant is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum State {
    /// It is.
    Active,
    /// It is not: unpaid or held.
    Suspended,
}

/// A tenant and when it was last changed, or nothing if there is none of that id.
pub async fn find(store: &Store, id: &TenantId) -> Result<Option<(Tenant, Timestamp)>, Error> {
    let found = store.run(async |db| {
        Ok(query!(
            r#"select account_id, tier, locale, model, thinking, state, generation,
                updated_at as "updated_at: SqlTimestamp"
            from tenants
            where id = $1"#,
            id.as_str()
        )
        .fetch_optional(db)
        .await?)
    });
    let Some(row) = found.await? else { return Ok(None) };
    let tenant = Tenant {
        account: word(id, "tenants.account_id", &row.account_id)?,
        tier: word(id, "tenants.tier", &row.tier)?,
        locale: word(id, "tenants.locale", &row.locale)?,
        model: word(id, "tenants.model", &row.model)?,
        thinking: word(id, "tenants.thinking", &row.thinking)?,
        state: word(id, "tenants.state", &row.state)?,
        generation: row.generation.cast_unsigned(),
    };
    Ok(Some((tenant, row.updated_at.to_jiff())))
}

/// Adds a tenant; an error if it is there, or its account is not.
pub async fn insert(store: &Store, id: &TenantId, tenant: &Tenant) -> Result<(), Error> {
    store
        .run(async |db| {
            query!(
                "insert into tenants
                    (id, account_id, tier, locale, model, thinking, state, generation)
                values ($1, $2, $3, $4, $5, $6, $7, $8)",
                id.as_str(),
                tenant.account.as_str(),
                tenant.tier.to_string(),
                tenant.locale.to_string(),
                tenant.model.to_string(),
                tenant.thinking.to_string(),
                tenant.state.to_string(),
                tenant.generation.cast_signed(),
            )
            .execute(db)
            .await?;
            Ok(())
        })
        .await
}

/// Makes the row of a tenant say what is desired; nothing where there is no row. A row that says so
/// already is not touched. One that billing wants deleted is suspended, whatever is desired.
pub async fn observe(
    store: &Store,
    id: &TenantId,
    desired: &Desired,
) -> Result<Option<Known>, Error> {
    let found = store.run(async |db| {
        Ok(query!(
            r#"with changed as (
                update tenants
                set tier = $2, locale = $3, model = $4, thinking = $5,
                    state = case when deleted_at is null then $6 else 'suspended' end,
                    updated_at = greatest(now(), updated_at + interval '1 microsecond')
                where id = $1
                    and (tier, locale, model, thinking, state) is distinct from (
                        $2, $3, $4, $5, case when deleted_at is null then $6 else 'suspended' end
                    )
                returning account_id, generation, deleted_at
            )
            select account_id as "account!", generation as "generation!",
                deleted_at is not null as "deleted!", true as "changed!",
                coalesce((select number from bots where tenant_id = $1), 0) as "bot!"
            from changed
            union all
            select account_id, generation, deleted_at is not null, false,
                coalesce((select number from bots where tenant_id = $1), 0)
            from tenants
            where id = $1
                and not exists (select from changed)"#,
            id.as_str(),
            desired.tier.to_string(),
            desired.locale.to_string(),
            desired.model.to_string(),
            desired.thinking.to_string(),
            desired.state.to_string(),
        )
        .fetch_optional(db)
        .await?)
    });
    let Some(row) = found.await? else { return Ok(None) };
    Ok(Some(Known {
        account: word(id, "tenants.account_id", &row.account)?,
        generation: row.generation.cast_unsigned(),
        changed: row.changed,
        deleted: row.deleted,
        bot: row.bot,
    }))
}

/// Revokes every platform token of a tenant, and gives the generation of those that are good from
/// now on; nothing where there is no row.
pub async fn raise_generation(store: &Store, id: &TenantId) -> Result<Option<u32>, Error> {
    let raised = store.run(async |db| {
        Ok(query_scalar!(
            "update tenants
            set generation = generation + 1,
                updated_at = greatest(now(), updated_at + interval '1 microsecond')
            where id = $1
            returning generation",
            id.as_str()
        )
        .fetch_optional(db)
        .await?)
    });
    Ok(raised.await?.map(i32::cast_unsigned))
}

/// Takes everything from a tenant that is destroyed, all or nothing: it is suspended, its platform
/// tokens are revoked, its bot, chats, messages, secrets and their keys are forgotten. Gives the
/// generation that it has then; nothing where there is no row.
///
/// Each call raises the generation, and so counts as a change.
pub async fn retire(store: &Store, id: &TenantId) -> Result<Option<u32>, Error> {
    take(store, id, true).await
}

/// As [`retire`], of a tenant that never was in a cluster: gives nothing, and changes nothing, where
/// there is nothing to take any more.
pub async fn retire_unborn(store: &Store, id: &TenantId) -> Result<Option<u32>, Error> {
    take(store, id, false).await
}

async fn take(store: &Store, id: &TenantId, again: bool) -> Result<Option<u32>, Error> {
    let retired = store.run(async |db| {
        let mut transaction = db.begin().await?;
        // First: it keeps those away who write secrets.
        let raised = query_scalar!(
            "update tenants
            set state = 'suspended', generation = generation + 1,
                updated_at = greatest(now(), updated_at + interval '1 microsecond')
            where id = $1
                and ($2 or state <> 'suspended'
                    or exists (select from data_keys where tenant_id = $1))
            returning generation",
            id.as_str(),
            again,
        );
        let Some(generation) = raised.fetch_optional(&mut *transaction).await? else {
            return Ok(None);
        };
        bots::forget(&mut transaction, id).await?;
        let secrets = query!("delete from secrets where tenant_id = $1", id.as_str());
        secrets.execute(&mut *transaction).await?;
        let keys = query!("delete from data_keys where tenant_id = $1", id.as_str());
        keys.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Some(generation))
    });
    Ok(retired.await?.map(i32::cast_unsigned))
}

/// The generations of tenants that were changed at `since` or later, and when that was, the earliest
/// first.
///
/// A change is seen up to three seconds after its time, so whoever asks again and again asks from a
/// little before the last time that was given.
pub async fn generations(
    store: &Store,
    since: Timestamp,
) -> Result<Vec<(TenantId, u32, Timestamp)>, Error> {
    let rows = store.run(async |db| {
        Ok(query!(
            r#"select id, generation, updated_at as "updated_at: SqlTimestamp"
            from tenants
            where updated_at >= $1
            order by updated_at, id"#,
            since.to_sqlx() as _,
        )
        .fetch_all(db)
        .await?)
    });
    let rows = rows.await?.into_iter().map(|row| {
        let id = word(&row.id, "tenants.id", &row.id)?;
        Ok((id, row.generation.cast_unsigned(), row.updated_at.to_jiff()))
    });
    rows.collect()
}

fn word<T: FromStr>(row: &impl Display, column: &'static str, word: &str) -> Result<T, Error> {
    word.parse().map_err(|_| Error::UnknownWord {
        column,
        row: row.to_string(),
        word: word.to_owned(),
    })
}
