//! The fleet repository, read again whenever it moves.
//!
//! Nothing bad in it reaches a tenant that was good: a file that cannot be read leaves its tenant as
//! it is and says so in its status, one that vanished does too, and an inventory that is invalid
//! leaves the last valid one in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, ensure};
use arc_swap::ArcSwapOption;
use oc_domain::{
    Diagnostic, Inventory, TenantId,
    fleet::parse_tenant,
    inventory,
    tenant::{self, State},
};
use oc_gitops::{Blob, Fleet, Oid, Options, Origin};
use oc_service::chain;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{
    fleetwide::Fleetwide,
    metrics::Metrics,
    queue::Queue,
    source::{Source, Wanted},
    world::World,
};

/// Between two looks, if nobody says that it moved.
const POLL: Duration = Duration::from_secs(15);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(3);
/// How far back a valid inventory is looked for.
const HISTORY: u32 = 100;
/// The folder of tenant files.
const TENANTS: &str = "tenants";

/// Reads the fleet repository into the world.
pub(crate) struct Reader {
    pub(crate) options: Options,
    pub(crate) world: Arc<World>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) fleetwide: Arc<ArcSwapOption<Fleetwide>>,
    pub(crate) metrics: Arc<Metrics>,
    /// Somebody says that it moved.
    pub(crate) moved: Arc<Notify>,
}

/// What was read last.
#[derive(Default)]
struct Seen {
    tip: Option<Oid>,
    /// Each tenant file, and whether it is valid by itself; what is no regular file has no bytes.
    files: BTreeMap<String, (Oid, bool)>,
    inventory: Option<Oid>,
}

impl Reader {
    /// Reads for ever.
    pub(crate) async fn run(self) {
        let mut clone = None;
        let mut seen = Seen::default();
        loop {
            let outcome = self.read(&mut clone, &mut seen).await;
            self.metrics.fleet_failing.set(outcome.is_err().into());
            if let Err(error) = outcome {
                tracing::warn!(error = %chain(&*error), "the fleet repository is not read");
                sleep(PAUSE).await;
            } else {
                let _ = timeout(POLL, self.moved.notified()).await;
            }
        }
    }

    async fn read(&self, clone: &mut Option<Fleet>, seen: &mut Seen) -> Result<()> {
        let fleet = match clone {
            Some(fleet) => fleet,
            None => clone.insert(Fleet::open(self.options.clone()).await?),
        };
        let tip = fleet.tip().await?;
        ensure!(!tip.is_null(), "it has no such branch");
        if seen.tip == Some(tip) {
            // Tenants have ended since.
            self.count(seen);
            return Ok(());
        }
        self.inventory(fleet, seen, tip).await?;
        let changed = self.tenants(fleet, seen, tip).await?;
        seen.tip = Some(tip);
        tracing::info!(%tip, changed, "the fleet repository is read");
        if !self.world.git_is_read() {
            self.world.read_git();
            self.world.each(|id, entry| {
                if matches!(entry.source, Source::Unknown) {
                    self.queue.add(id);
                }
            });
        }
        self.count(seen);
        Ok(())
    }

    /// Reads what differs; says how many tenants that is about.
    async fn tenants(&self, fleet: &mut Fleet, seen: &mut Seen, tip: Oid) -> Result<usize> {
        let listing = fleet.files(tip, TENANTS).await?;
        let odd = listing.odd.into_iter().map(|path| (path, Oid::NULL));
        let files: BTreeMap<String, Oid> =
            listing.files.into_iter().chain(odd).filter(|(path, _)| is_tenant(path)).collect();
        let differs = |(path, oid): &(&String, &Oid)| {
            seen.files.get(*path).is_none_or(|(known, _)| known != *oid)
        };
        let changed = files.iter().filter(differs).map(|(path, _)| path);
        let gone: Vec<String> =
            seen.files.keys().filter(|path| !files.contains_key(*path)).cloned().collect();
        let touched: BTreeSet<&String> = changed.chain(&gone).collect();
        let ids: BTreeSet<TenantId> = touched.iter().filter_map(|path| id(path)).collect();
        // All files of a tenant: the second one may be what was wrong with the first.
        let reads = |path: &&String| {
            touched.contains(*path) || id(path).is_some_and(|id| ids.contains(&id))
        };
        let read: Vec<(String, Oid)> = files
            .iter()
            .filter(|(path, _)| reads(path))
            .map(|(path, oid)| (path.clone(), *oid))
            .collect();
        let oids: Vec<Oid> =
            read.iter().map(|(_, oid)| *oid).filter(|oid| !oid.is_null()).collect();
        let mut blobs = fleet.blobs(&oids, tenant::MAX_FILE_BYTES).await?.into_iter();
        let origins = fleet.origins(seen.tip, tip).await?.unwrap_or_default();
        let newest = fleet.commit(tip).await?;
        // From here on nothing waits: half of a commit is never in the world.
        let mut sources: BTreeMap<TenantId, Vec<(String, Source)>> = BTreeMap::new();
        for (path, oid) in read {
            let blob = if oid.is_null() { None } else { blobs.next() };
            let source = match blob {
                Some(blob) => source(&path, blob, origins.get(&path).unwrap_or(&newest)),
                None => Source::Bad(format!("{path} is no regular file").into()),
            };
            seen.files.insert(path.clone(), (oid, matches!(source, Source::Good(_))));
            if let Some(id) = id(&path) {
                sources.entry(id).or_default().push((path, source));
            }
        }
        for path in &gone {
            seen.files.remove(path);
        }
        for id in &ids {
            self.put(id, sources.remove(id).unwrap_or_default());
        }
        Ok(ids.len())
    }

    /// Puts what the files of a tenant say into the world; there should be one of them.
    fn put(&self, id: &TenantId, mut files: Vec<(String, Source)>) {
        let source = match files.as_slice() {
            [(first, _), (second, _), ..] => {
                tracing::error!(tenant = %id, first, second, "a tenant has two files");
                Source::Bad(format!("{first} and {second} are both its file").into())
            }
            _ => files.pop().map_or(Source::Missing, |(_, source)| source),
        };
        let is_new = self.world.with(id, |entry| {
            let is_new = entry.tenant.is_none();
            // Nothing is missed of what is not there.
            let ended = is_new && matches!(source, Source::Missing);
            entry.source = if ended { Source::Unknown } else { source };
            is_new
        });
        if is_new { self.queue.add_new(id) } else { self.queue.add(id) }
    }

    /// Reads the inventory where it differs.
    async fn inventory(&self, fleet: &mut Fleet, seen: &mut Seen, tip: Oid) -> Result<()> {
        let folder = fleet.files(tip, "nodes").await?;
        let oid =
            folder.files.iter().find(|(path, _)| path == inventory::PATH).map(|(_, oid)| *oid);
        if oid.is_some() && oid == seen.inventory {
            return Ok(());
        }
        let mut valid = inventory_at(fleet, tip).await?;
        self.metrics.fleet_inventory_invalid.set(valid.is_none().into());
        if valid.is_none() && self.fleetwide.load().is_none() {
            for commit in fleet.history(tip, inventory::PATH, HISTORY).await? {
                valid = inventory_at(fleet, commit).await?;
                if valid.is_some() {
                    break;
                }
            }
        }
        seen.inventory = oid;
        let Some(valid) = valid else { return Ok(()) };
        let fleetwide = Fleetwide::new(valid)?;
        tracing::info!(revision = fleetwide.revision, "an inventory is read");
        self.fleetwide.store(Some(Arc::new(fleetwide)));
        self.world.each(|id, _| self.queue.add(id));
        Ok(())
    }

    fn count(&self, seen: &Seen) {
        let nobodys = |(path, (_, valid)): &(&String, &(Oid, bool))| !valid && id(path).is_none();
        let mut bad = i64::try_from(seen.files.iter().filter(nobodys).count()).unwrap_or(i64::MAX);
        let mut missing = 0;
        self.world.each(|_, entry| {
            bad += i64::from(matches!(entry.source, Source::Bad(_)));
            let lost = matches!(entry.source, Source::Missing | Source::Unknown);
            // One that ends needs no file.
            let lives = |tenant: &Arc<tenant::Tenant>| tenant.spec.state != State::Deleted;
            missing += i64::from(lost && entry.tenant.as_ref().is_some_and(lives));
        });
        self.metrics.fleet_missing_files.set(missing);
        self.metrics.fleet_bad_files.set(bad);
    }
}

async fn inventory_at(fleet: &mut Fleet, commit: Oid) -> Result<Option<Inventory>> {
    let bytes = match fleet.read(commit, inventory::PATH).await {
        Ok(bytes) => bytes.unwrap_or_default(),
        Err(oc_gitops::Error::TooLarge { bytes, .. }) => {
            tracing::error!(bytes, "the inventory is too large");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    Ok(match Inventory::parse(inventory::PATH, &bytes) {
        Ok(inventory) => Some(inventory),
        Err(errors) => {
            tracing::error!(%commit, errors = lines(&errors), "the inventory is invalid");
            None
        }
    })
}

/// What a file says.
fn source(path: &str, blob: Blob, origin: &Origin) -> Source {
    let errors = match blob {
        Blob::Bytes(bytes) => match parse_tenant(path, &bytes) {
            Ok(tenant) => {
                let wanted = Wanted { spec: tenant.spec, origin: origin.clone() };
                return Source::Good(Arc::new(wanted));
            }
            Err(errors) => errors,
        },
        Blob::TooLarge { bytes } => {
            oc_domain::document::too_large(path, bytes as u64, tenant::MAX_FILE_BYTES)
        }
    };
    let errors = lines(&errors);
    tracing::error!(path, errors, "a tenant file is invalid");
    Source::Bad(errors.into())
}

fn lines(errors: &[Diagnostic]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn is_tenant(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.strip_suffix(".json").is_some() && !name.starts_with('.')
}

/// Whose file it is, by its name.
fn id(path: &str) -> Option<TenantId> {
    path.rsplit('/').next()?.strip_suffix(".json")?.parse().ok()
}
