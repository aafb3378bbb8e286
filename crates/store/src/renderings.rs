//! The last healthy renderings of each tenant.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use oc_domain::TenantId;
use sqlx::{Connection as _, query};

use crate::{Error, Store};

/// The objects of a tenant as they were healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendering {
    /// Whose; it need not have a row in `tenants`.
    pub tenant: TenantId,
    /// The renderer's.
    pub revision: String,
    /// The digest of the spec that was rendered.
    pub spec: String,
    /// The digest of the objects.
    pub digest: String,
    /// The objects, as the caller has compressed them.
    pub objects: Vec<u8>,
}

/// A rendering without its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Whose.
    pub tenant: TenantId,
    /// The renderer's.
    pub revision: String,
    /// The digest of the spec that was rendered.
    pub spec: String,
    /// The digest of the objects.
    pub digest: String,
}

/// Keeps a rendering, in the place of the tenant's one of that revision. Of those of other revisions
/// the newest stays.
pub async fn put(store: &Store, rendering: &Rendering, now: Timestamp) -> Result<(), Error> {
    let tenant = rendering.tenant.as_str();
    store
        .run(async |db| {
            let mut transaction = db.begin().await?;
            query!(
                "insert into renderings (tenant_id, revision, spec, digest, objects, stored_at)
                values ($1, $2, $3, $4, $5, $6)
                on conflict (tenant_id, revision) do update
                set spec = excluded.spec, digest = excluded.digest, objects = excluded.objects,
                    stored_at = excluded.stored_at",
                tenant,
                rendering.revision,
                rendering.spec,
                rendering.digest,
                rendering.objects,
                now.to_sqlx() as _,
            )
            .execute(&mut *transaction)
            .await?;
            query!(
                "delete from renderings
                where tenant_id = $1
                    and revision <> $2
                    and revision <> (
                        select revision
                        from renderings
                        where tenant_id = $1
                            and revision <> $2
                        order by stored_at desc, revision
                        limit 1
                    )",
                tenant,
                rendering.revision,
            )
            .execute(&mut *transaction)
            .await?;
            Ok(transaction.commit().await?)
        })
        .await
}

/// The rendering of a tenant that was healthy on that revision, if there is one.
pub async fn get(
    store: &Store,
    tenant: &TenantId,
    revision: &str,
) -> Result<Option<Rendering>, Error> {
    let found = store.run(async |db| {
        Ok(query!(
            "select spec, digest, objects
            from renderings
            where tenant_id = $1
                and revision = $2",
            tenant.as_str(),
            revision,
        )
        .fetch_optional(db)
        .await?)
    });
    Ok(found.await?.map(|row| Rendering {
        tenant: tenant.clone(),
        revision: revision.to_owned(),
        spec: row.spec,
        digest: row.digest,
        objects: row.objects,
    }))
}

/// All that are kept, those of a tenant from the oldest to the newest.
pub async fn list(store: &Store) -> Result<Vec<Known>, Error> {
    let found = store.run(async |db| {
        Ok(query!(
            "select tenant_id, revision, spec, digest
            from renderings
            order by tenant_id, stored_at, revision"
        )
        .fetch_all(db)
        .await?)
    });
    let rows = found.await?.into_iter().map(|row| {
        let tenant = row.tenant_id.parse().map_err(|_| Error::UnknownWord {
            column: "renderings.tenant_id",
            row: row.tenant_id.clone(),
            word: row.tenant_id,
        })?;
        let (revision, spec, digest) = (row.revision, row.spec, row.digest);
        Ok(Known { tenant, revision, spec, digest })
    });
    rows.collect()
}

/// Forgets the renderings of a tenant; how many there were.
pub async fn remove(store: &Store, tenant: &TenantId) -> Result<u64, Error> {
    let removed = store.run(async |db| {
        let removed = query!("delete from renderings where tenant_id = $1", tenant.as_str());
        Ok(removed.execute(db).await?.rows_affected())
    });
    removed.await
}
