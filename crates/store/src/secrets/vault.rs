//! Data keys in memory, for what is sealed and opened many times a second.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use oc_domain::TenantId;
use parking_lot::Mutex;
use sqlx::{Connection, query};

use super::{
    DataKey, KeyFile, lock, newest, not_open,
    seal::{Sealed, open, seal},
};
use crate::{Error, Store};

/// For so long a key is kept in memory.
const KEPT: Duration = Duration::from_mins(5);
/// Keys of so many tenants at most, about a kilobyte each.
const TENANTS: usize = 16_384;

/// Seals and opens by keys that it keeps in memory for minutes, of a bounded number of tenants.
#[derive(Debug)]
pub struct Vault {
    keys: KeyFile,
    known: Mutex<HashMap<TenantId, Known>>,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    /// Ascending.
    keys: Vec<Arc<DataKey>>,
}

/// Something sealed, and the key that it is under.
pub(crate) struct Piece {
    pub(crate) data_key: i64,
    pub(crate) nonce: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
}

impl Vault {
    /// A vault that knows no key yet.
    pub fn new(keys: KeyFile) -> Self {
        Self { keys, known: Mutex::default() }
    }

    /// The keys that data keys are wrapped by.
    pub fn keys(&self) -> &KeyFile {
        &self.keys
    }

    /// Seals `plain` by the tenant's newest key, made where it has none.
    pub(crate) async fn seal(
        &self,
        store: &Store,
        tenant: &TenantId,
        name: &str,
        plain: &[u8],
    ) -> Result<Piece, Error> {
        let key = match self.newest(tenant) {
            Some(key) => key,
            None => self.load(store, tenant).await?,
        };
        let sealed = seal(&key.key, &super::context(tenant, name), plain);
        let Sealed { nonce, ciphertext } = sealed.map_err(|_| not_open(tenant, name))?;
        Ok(Piece { data_key: key.id, nonce: nonce.to_vec(), ciphertext })
    }

    /// Opens what was sealed under that name.
    pub(crate) async fn open(
        &self,
        store: &Store,
        tenant: &TenantId,
        name: &str,
        piece: Piece,
    ) -> Result<Vec<u8>, Error> {
        let mut key = self.find(tenant, piece.data_key);
        if key.is_none() {
            self.load(store, tenant).await?;
            key = self.find(tenant, piece.data_key);
        }
        let key = key.ok_or_else(|| not_open(tenant, name))?;
        let opened = open(&key.key, &super::context(tenant, name), &piece.nonce, piece.ciphertext);
        opened.map_err(|_| not_open(tenant, name))
    }

    /// Forgets the keys of a tenant: they may have been replaced.
    pub(crate) fn forget(&self, tenant: &TenantId) {
        self.known.lock().remove(tenant);
    }

    fn newest(&self, tenant: &TenantId) -> Option<Arc<DataKey>> {
        let known = self.known.lock();
        let known = known.get(tenant).filter(|known| known.since.elapsed() < KEPT)?;
        known.keys.last().cloned()
    }

    fn find(&self, tenant: &TenantId, id: i64) -> Option<Arc<DataKey>> {
        let known = self.known.lock();
        known.get(tenant)?.keys.iter().find(|key| key.id == id).cloned()
    }

    /// Reads all keys of a tenant; gives the newest.
    async fn load(&self, store: &Store, tenant: &TenantId) -> Result<Arc<DataKey>, Error> {
        let rows = store.run(async |db| {
            Ok(query!(
                "select id, kek_id, wrapped from data_keys where tenant_id = $1 order by id",
                tenant.as_str()
            )
            .fetch_all(db)
            .await?)
        });
        let mut keys = Vec::new();
        for row in rows.await? {
            let key = self.keys.unwrap(tenant, &row.kek_id, &row.wrapped)?;
            keys.push(Arc::new(DataKey { id: row.id, key }));
        }
        if keys.is_empty() {
            keys.push(Arc::new(self.create(store, tenant).await?));
        }
        let newest = keys.last().cloned().ok_or_else(|| not_open(tenant, "the data key"))?;
        let mut known = self.known.lock();
        if known.len() >= TENANTS {
            known.clear();
        }
        known.insert(tenant.clone(), Known { since: Instant::now(), keys });
        Ok(newest)
    }

    async fn create(&self, store: &Store, tenant: &TenantId) -> Result<DataKey, Error> {
        store
            .run(async |db| {
                let mut transaction = db.begin().await?;
                lock(&mut transaction, tenant).await?;
                let key = match newest(&mut transaction, &self.keys, tenant).await? {
                    Some(key) => key,
                    None => DataKey::create(&mut transaction, &self.keys, tenant).await?,
                };
                transaction.commit().await?;
                Ok(key)
            })
            .await
    }
}
