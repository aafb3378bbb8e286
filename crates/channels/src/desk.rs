//! What is known of tenants, for a while.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use oc_domain::TenantId;
use oc_service::chain;
use oc_store::{
    Error, Store,
    bots::{self, Desk},
    secrets::Vault,
};
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

/// After so long it is looked at again, for the case that nobody told.
const FRESH: Duration = Duration::from_secs(30);
/// After so many milliseconds whoever asks is answered by what is known, and it is renewed behind them:
/// each at a time of its own, since many become known at once when a replica starts.
const RENEWED: Range<u64> = 10_000..25_000;
/// While Postgres is away, what is known is true for so long.
const STALE: Duration = Duration::from_mins(2);
/// Tenants at most, about a kilobyte each.
const MOST: usize = 16_384;
/// Paths that nobody has are looked for so often in a second.
const MISSES: u32 = 50;

/// What is known of tenants.
pub(crate) struct Desks {
    store: Store,
    vault: Arc<Vault>,
    known: Mutex<HashMap<TenantId, Known>>,
    paths: Mutex<Paths>,
    /// Raised whenever something is forgotten: what was read before is not kept.
    epoch: AtomicU64,
    /// Nobody waits for them: at the end nothing is lost with them.
    renewals: TaskTracker,
}

struct Known {
    since: Instant,
    /// When it is renewed; nothing while that is under way.
    renewed: Option<Instant>,
    desk: Arc<Desk>,
}

struct Paths {
    known: HashMap<Box<str>, TenantId>,
    /// How often a path was looked for in vain since.
    since: Instant,
    misses: u32,
}

impl Desks {
    pub(crate) fn new(store: Store, vault: Arc<Vault>) -> Self {
        let paths = Paths { known: HashMap::new(), since: Instant::now(), misses: 0 };
        Self {
            store,
            vault,
            known: Mutex::default(),
            paths: Mutex::new(paths),
            epoch: AtomicU64::new(0),
            renewals: TaskTracker::new(),
        }
    }

    /// What is known of a tenant; nothing where there is none of that id.
    pub(crate) async fn get(
        self: &Arc<Self>,
        tenant: &TenantId,
    ) -> Result<Option<Arc<Desk>>, Error> {
        let known = self.kept(tenant, FRESH);
        if known.is_some() {
            self.renew(tenant);
            return Ok(known);
        }
        match self.load(tenant).await {
            Err(error) if error.is_transient() => {
                let stale = self.kept(tenant, STALE).ok_or(error)?;
                tracing::debug!(%tenant, "goes on with what was known");
                Ok(Some(stale))
            }
            loaded => loaded,
        }
    }

    /// As [`Self::get`], and no older than a second: for what is about to be refused.
    pub(crate) async fn fresh(&self, tenant: &TenantId) -> Result<Option<Arc<Desk>>, Error> {
        let known = self.kept(tenant, Duration::from_secs(1));
        if known.is_some() { Ok(known) } else { self.load(tenant).await }
    }

    /// The tenant whose bot's deliveries come to this path.
    pub(crate) async fn at(
        self: &Arc<Self>,
        path: &str,
    ) -> Result<Option<(TenantId, Arc<Desk>)>, Error> {
        let Some(tenant) = self.whose(path).await? else { return Ok(None) };
        let desk = self.get(&tenant).await?;
        let at_it =
            |desk: &Arc<Desk>| desk.bot.as_ref().is_some_and(|(bot, _)| bot.webhook_path == path);
        let Some(desk) = desk.filter(at_it) else {
            self.paths.lock().known.remove(path);
            return Ok(None);
        };
        Ok(Some((tenant, desk)))
    }

    async fn whose(&self, path: &str) -> Result<Option<TenantId>, Error> {
        let known = self.paths.lock().known.get(path).cloned();
        if known.is_some() || self.paths.lock().exhausted() {
            return Ok(known);
        }
        let found = bots::by_path(&self.store, path).await?;
        let mut paths = self.paths.lock();
        match &found {
            Some(tenant) => paths.insert(path, tenant),
            None => paths.misses += 1,
        }
        Ok(found)
    }

    /// The tenant has changed.
    pub(crate) fn forget(&self, tenant: &TenantId) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.known.lock().remove(tenant);
    }

    /// Any tenant may have changed. What is known is kept for the case that Postgres is away.
    pub(crate) fn doubt(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        for known in self.known.lock().values_mut() {
            known.since = known.since.checked_sub(FRESH).unwrap_or(known.since);
        }
    }

    fn kept(&self, tenant: &TenantId, within: Duration) -> Option<Arc<Desk>> {
        let known = self.known.lock();
        let known = known.get(tenant).filter(|known| known.since.elapsed() < within);
        known.map(|known| Arc::clone(&known.desk))
    }

    /// Renews what is known if it is time.
    fn renew(self: &Arc<Self>, tenant: &TenantId) {
        let mut known = self.known.lock();
        let Some(known) = known.get_mut(tenant) else { return };
        // Where it fails it is not tried again: whoever asks after `FRESH` does.
        if known.renewed.take_if(|at| *at <= Instant::now()).is_some() {
            let (desks, tenant) = (Arc::clone(self), tenant.clone());
            self.renewals.spawn(async move { desks.load(&tenant).await });
        }
    }

    async fn load(&self, tenant: &TenantId) -> Result<Option<Arc<Desk>>, Error> {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let since = Instant::now();
        let found = bots::desk(&self.store, self.vault.keys(), tenant).await;
        let found = found.inspect_err(|error| {
            tracing::warn!(%tenant, error = %chain(error), "a tenant cannot be read");
        })?;
        let Some(desk) = found.map(Arc::new) else { return Ok(None) };
        if self.epoch.load(Ordering::SeqCst) == epoch {
            let mut known = self.known.lock();
            if known.len() >= MOST {
                known.clear();
            }
            let renewed = Duration::from_millis(rand::random_range(RENEWED));
            let renewed = Some(since + renewed);
            known.insert(tenant.clone(), Known { since, renewed, desk: Arc::clone(&desk) });
        }
        Ok(Some(desk))
    }
}

impl Paths {
    fn insert(&mut self, path: &str, tenant: &TenantId) {
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(path.into(), tenant.clone());
    }

    /// Whether so many unknown ones came that none is looked for: nobody finds one by trying.
    fn exhausted(&mut self) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            (self.since, self.misses) = (Instant::now(), 0);
        }
        self.misses >= MISSES
    }
}
