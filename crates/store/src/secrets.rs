//! Secrets of tenants, encrypted by envelopes: a key of the key file wraps a data key of each
//! tenant, and that encrypts its secrets (AES-256-GCM, tenant and name bound to it).
//!
//! Both keys are replaced while services read and write:
//!
//! 1. A key of the key file: add the new one as the *last* line of every replica's file. Only when
//!    all of them have it, make it the first: a replica that lacks it cannot read what another one
//!    has written. When all write with it, call [`rewrap`] until nothing is left, and only then take
//!    the old one out, once no backup that needs it is kept.
//! 2. A tenant's data key: [`rotate_data_key`].

use aws_lc_rs::aead::RandomizedNonceKey;
use oc_domain::TenantId;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, PgConnection, query, query_scalar};

use self::{
    data_key::{DataKey, newest},
    seal::{Sealed, open, seal},
};
use crate::{Error, Store};

mod data_key;
mod key_file;
mod rotation;
mod seal;
mod vault;

pub use key_file::{InvalidKeyFile, KeyFile};
pub use rotation::{rewrap, rotate_data_key};
pub(crate) use vault::Piece;
pub use vault::Vault;

/// Keeps a secret of a tenant, in the place of one of the same name.
pub async fn put(
    store: &Store,
    keys: &KeyFile,
    tenant: &TenantId,
    name: &str,
    value: &SecretString,
) -> Result<(), Error> {
    store
        .run(async |db| {
            let mut transaction = db.begin().await?;
            put_in(&mut transaction, keys, tenant, name, value).await?;
            Ok(transaction.commit().await?)
        })
        .await
}

/// As [`put`], within a transaction, whose first statement it should be: it locks the tenant.
pub(crate) async fn put_in(
    db: &mut PgConnection,
    keys: &KeyFile,
    tenant: &TenantId,
    name: &str,
    value: &SecretString,
) -> Result<(), Error> {
    lock(db, tenant).await?;
    let key = match newest(db, keys, tenant).await? {
        Some(key) => key,
        None => DataKey::create(db, keys, tenant).await?,
    };
    let sealed = seal_secret(&key.key, tenant, name, value)?;
    query!(
        "insert into secrets (tenant_id, name, data_key, nonce, ciphertext)
                values ($1, $2, $3, $4, $5)
                on conflict (tenant_id, name) do update
                set data_key = excluded.data_key, nonce = excluded.nonce,
                    ciphertext = excluded.ciphertext, updated_at = now()",
        tenant.as_str(),
        name,
        key.id,
        &sealed.nonce,
        sealed.ciphertext,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A secret of a tenant; nothing if it has none of that name.
pub async fn get(
    store: &Store,
    keys: &KeyFile,
    tenant: &TenantId,
    name: &str,
) -> Result<Option<SecretString>, Error> {
    // One statement: the secret and the key that it is under, whatever is being replaced.
    let found = store.run(async |db| {
        Ok(query!(
            "select nonce, ciphertext, kek_id, wrapped
            from secrets
            join data_keys on data_keys.tenant_id = secrets.tenant_id and id = data_key
            where secrets.tenant_id = $1
                and name = $2",
            tenant.as_str(),
            name,
        )
        .fetch_optional(db)
        .await?)
    });
    let Some(row) = found.await? else { return Ok(None) };
    let key = keys.unwrap(tenant, &row.kek_id, &row.wrapped)?;
    open_secret(&key, tenant, name, &row.nonce, row.ciphertext).map(Some)
}

/// Forgets a secret of a tenant; whether there was one.
pub async fn remove(store: &Store, tenant: &TenantId, name: &str) -> Result<bool, Error> {
    let removed = store.run(async |db| {
        let removed =
            query!("delete from secrets where tenant_id = $1 and name = $2", tenant.as_str(), name);
        Ok(removed.execute(db).await?.rows_affected())
    });
    Ok(removed.await? > 0)
}

/// Makes this transaction the only one that writes secrets of the tenant.
pub(crate) async fn lock(db: &mut PgConnection, tenant: &TenantId) -> Result<(), Error> {
    let locked =
        query_scalar!("select id from tenants where id = $1 for no key update", tenant.as_str());
    let unknown = || Error::Unknown { what: "tenant", id: tenant.to_string() };
    locked.fetch_optional(db).await?.map(drop).ok_or_else(unknown)
}

/// What a secret is bound to; ids have no slash.
fn context(tenant: &TenantId, name: &str) -> String {
    format!("{tenant}/{name}")
}

fn seal_secret(
    key: &RandomizedNonceKey,
    tenant: &TenantId,
    name: &str,
    value: &SecretString,
) -> Result<Sealed, Error> {
    let sealed = seal(key, &context(tenant, name), value.expose_secret().as_bytes());
    sealed.map_err(|_| not_open(tenant, name))
}

pub(crate) fn open_secret(
    key: &RandomizedNonceKey,
    tenant: &TenantId,
    name: &str,
    nonce: &[u8],
    ciphertext: Vec<u8>,
) -> Result<SecretString, Error> {
    let plain = open(key, &context(tenant, name), nonce, ciphertext);
    let text = plain.ok().and_then(|plain| String::from_utf8(plain).ok());
    text.map(SecretString::from).ok_or_else(|| not_open(tenant, name))
}

fn not_open(tenant: &TenantId, name: &str) -> Error {
    Error::Sealed { tenant: tenant.clone(), name: name.to_owned() }
}
