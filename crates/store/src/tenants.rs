//! What services know of a tenant at run time.

use std::str::FromStr;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use oc_domain::{AccountId, Locale, ModelId, TenantId, Thinking, TierId};
use sqlx::query;
use strum::{Display, EnumString};

use crate::{Error, Store};

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

/// Whether a tenant is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString)]
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

fn word<T: FromStr>(id: &TenantId, column: &'static str, word: &str) -> Result<T, Error> {
    word.parse().map_err(|_| Error::UnknownWord {
        column,
        row: id.to_string(),
        word: word.to_owned(),
    })
}
