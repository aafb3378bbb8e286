//! The keys that secrets are under.

use aws_lc_rs::{
    aead::{AES_256_GCM, RandomizedNonceKey},
    rand,
};
use oc_domain::TenantId;
use sqlx::{PgConnection, query, query_scalar};

use super::{KeyFile, not_open};
use crate::Error;

#[derive(Debug)]
pub(super) struct DataKey {
    pub(super) id: i64,
    pub(super) key: RandomizedNonceKey,
}

impl DataKey {
    /// Makes a key for a tenant whose lock is held.
    pub(super) async fn create(
        db: &mut PgConnection,
        keys: &KeyFile,
        tenant: &TenantId,
    ) -> Result<Self, Error> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| not_open(tenant, "a new data key"))?;
        let id = query_scalar!(
            "insert into data_keys (tenant_id, id, kek_id, wrapped)
            select $1, coalesce(max(id), 0) + 1, $2, $3
            from data_keys
            where tenant_id = $1
            returning id",
            tenant.as_str(),
            keys.current(),
            keys.wrap(tenant, &bytes)?,
        );
        let id = id.fetch_one(db).await?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes);
        Ok(Self { id, key: key.map_err(|_| not_open(tenant, "a new data key"))? })
    }
}

/// The key that new secrets of a tenant go under.
pub(super) async fn newest(
    db: &mut PgConnection,
    keys: &KeyFile,
    tenant: &TenantId,
) -> Result<Option<DataKey>, Error> {
    let found = query!(
        "select id, kek_id, wrapped
        from data_keys
        where tenant_id = $1
        order by id desc
        limit 1",
        tenant.as_str()
    );
    let Some(row) = found.fetch_optional(db).await? else { return Ok(None) };
    Ok(Some(DataKey { id: row.id, key: keys.unwrap(tenant, &row.kek_id, &row.wrapped)? }))
}
