//! Keys replaced while secrets are read and written.

use oc_domain::TenantId;
use sqlx::{Connection, PgConnection, query, query_scalar};

use super::{
    DataKey, KeyFile, context, lock, not_open, open_secret,
    seal::{open, seal},
    seal_secret,
};
use crate::{Error, Store, updates};

/// Wraps up to `limit` data keys by the current key of the key file that are wrapped by another
/// one; gives how many are left: repeat it until none is.
///
/// The secrets themselves stay as they are, and can be read all the time. An error if the file has
/// not got the key that one is under.
pub async fn rewrap(store: &Store, keys: &KeyFile, limit: u32) -> Result<u64, Error> {
    store
        .run(async |db| {
            let mut transaction = db.begin().await?;
            rewrap_some(&mut transaction, keys, limit).await?;
            let left = query_scalar!(
                r#"select count(*) as "left!" from data_keys where kek_id <> $1"#,
                keys.current()
            );
            let left = left.fetch_one(&mut *transaction).await?.cast_unsigned();
            transaction.commit().await?;
            Ok(left)
        })
        .await
}

async fn rewrap_some(db: &mut PgConnection, keys: &KeyFile, limit: u32) -> Result<(), Error> {
    let rows = query!(
        "select tenant_id, id, kek_id, wrapped
        from data_keys
        where kek_id <> $1
        limit $2
        for no key update skip locked",
        keys.current(),
        i64::from(limit),
    );
    let rows = rows.fetch_all(&mut *db).await?;
    let (mut tenants, mut ids, mut wrapped) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let tenant: TenantId = row.tenant_id.parse().map_err(|_| Error::UnknownWord {
            column: "data_keys.tenant_id",
            row: row.id.to_string(),
            word: row.tenant_id,
        })?;
        let bytes = keys.unwrap_bytes(&tenant, &row.kek_id, &row.wrapped)?;
        wrapped.push(keys.wrap(&tenant, &bytes)?);
        tenants.push(tenant.to_string());
        ids.push(row.id);
    }
    query!(
        "update data_keys
        set kek_id = $4, wrapped = new.wrapped
        from unnest($1::text[], $2::bigint[], $3::bytea[]) as new (tenant_id, id, wrapped)
        where data_keys.tenant_id = new.tenant_id
            and data_keys.id = new.id",
        &tenants,
        &ids,
        &wrapped,
        keys.current(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives a tenant a new data key, encrypts its secrets and messages by it, and forgets the old one. They can be
/// read all the time; who writes one waits.
pub async fn rotate_data_key(
    store: &Store,
    keys: &KeyFile,
    tenant: &TenantId,
) -> Result<(), Error> {
    store
        .run(async |db| {
            let mut transaction = db.begin().await?;
            lock(&mut transaction, tenant).await?;
            let new = DataKey::create(&mut transaction, keys, tenant).await?;
            encrypt_again(&mut transaction, keys, tenant, &new).await?;
            updates_again(&mut transaction, keys, tenant, &new).await?;
            let deleted = query!(
                "delete from data_keys where tenant_id = $1 and id < $2",
                tenant.as_str(),
                new.id
            );
            deleted.execute(&mut *transaction).await?;
            Ok(transaction.commit().await?)
        })
        .await
}

async fn encrypt_again(
    db: &mut PgConnection,
    keys: &KeyFile,
    tenant: &TenantId,
    new: &DataKey,
) -> Result<(), Error> {
    let rows = query!(
        // Locked: removing one takes no other lock.
        "select name, nonce, ciphertext, kek_id, wrapped
        from secrets
        join data_keys on data_keys.tenant_id = secrets.tenant_id and id = data_key
        where secrets.tenant_id = $1
        for update of secrets",
        tenant.as_str()
    );
    let rows = rows.fetch_all(&mut *db).await?;
    let (mut names, mut nonces, mut ciphertexts) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let old = keys.unwrap(tenant, &row.kek_id, &row.wrapped)?;
        let value = open_secret(&old, tenant, &row.name, &row.nonce, row.ciphertext)?;
        let sealed = seal_secret(&new.key, tenant, &row.name, &value)?;
        names.push(row.name);
        nonces.push(sealed.nonce.to_vec());
        ciphertexts.push(sealed.ciphertext);
    }
    query!(
        "update secrets
        set data_key = $5, nonce = new.nonce, ciphertext = new.ciphertext
        from unnest($2::text[], $3::bytea[], $4::bytea[]) as new (name, nonce, ciphertext)
        where secrets.tenant_id = $1
            and secrets.name = new.name",
        tenant.as_str(),
        &names,
        &nonces,
        &ciphertexts,
        new.id,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn updates_again(
    db: &mut PgConnection,
    keys: &KeyFile,
    tenant: &TenantId,
    new: &DataKey,
) -> Result<(), Error> {
    // Whoever adds updates waits; what comes later with an old key is refused.
    query!("select from mailboxes where tenant_id = $1 for no key update", tenant.as_str())
        .execute(&mut *db)
        .await?;
    let rows = query!(
        r#"select seq, number, update_id, nonce as "nonce!", ciphertext as "ciphertext!", kek_id,
            wrapped
        from updates
        join data_keys on data_keys.tenant_id = updates.tenant_id and id = data_key
        where updates.tenant_id = $1
        for update of updates"#,
        tenant.as_str()
    );
    let rows = rows.fetch_all(&mut *db).await?;
    let (mut seqs, mut nonces, mut ciphertexts) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let old = keys.unwrap(tenant, &row.kek_id, &row.wrapped)?;
        let name = updates::name(row.number, row.update_id);
        let bound = context(tenant, &name);
        let plain = open(&old, &bound, &row.nonce, row.ciphertext);
        let sealed = plain.and_then(|plain| seal(&new.key, &bound, &plain));
        let sealed = sealed.map_err(|_| not_open(tenant, &name))?;
        seqs.push(row.seq);
        nonces.push(sealed.nonce.to_vec());
        ciphertexts.push(sealed.ciphertext);
    }
    query!(
        "update updates
        set data_key = $5, nonce = new.nonce, ciphertext = new.ciphertext
        from unnest($2::bigint[], $3::bytea[], $4::bytea[]) as new (seq, nonce, ciphertext)
        where updates.tenant_id = $1
            and updates.seq = new.seq",
        tenant.as_str(),
        &seqs,
        &nonces,
        &ciphertexts,
        new.id,
    )
    .execute(db)
    .await?;
    Ok(())
}
