//! The providers as the file says now.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use anyhow::Result;
use arc_swap::ArcSwap;
use oc_service::{Lifecycle, chain};
use tokio::time::sleep;

use crate::{metrics::Metrics, upstream::Pool};

/// How often a file is looked at. Kubernetes exchanges the files of a Secret by a link, so their
/// time of change is that of the new one.
pub(crate) const LOOK: Duration = Duration::from_secs(2);

/// The file and what it says.
#[derive(Debug)]
pub(crate) struct Upstreams {
    path: PathBuf,
    pool: ArcSwap<Pool>,
    /// Proxies that are alive.
    proxies: AtomicUsize,
}

impl Upstreams {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let pool = Pool::read(path, None)?;
        pool.share(1);
        let (path, pool) = (path.to_owned(), ArcSwap::from_pointee(pool));
        Ok(Self { path, pool, proxies: AtomicUsize::new(1) })
    }

    pub(crate) fn pool(&self) -> Arc<Pool> {
        self.pool.load_full()
    }

    /// Divides limits between so many proxies.
    pub(crate) fn share(&self, proxies: usize) {
        self.proxies.store(proxies, Ordering::Relaxed);
        self.pool.load().share(proxies);
    }

    /// Shows which keys are left alone.
    pub(crate) fn observe(&self, metrics: &Metrics) {
        for upstream in &self.pool.load().upstreams {
            if upstream.balance.is_some() {
                metrics.compared(&upstream.name);
            }
            for lane in &upstream.lanes {
                let open = lane.breaker.open_for(Instant::now()).is_some();
                metrics.breaker(&upstream.name, &lane.name, open);
            }
        }
    }

    fn reload(&self) {
        match Pool::read(&self.path, Some(&self.pool.load())) {
            Ok(pool) => {
                tracing::info!(path = %self.path.display(), "upstreams read again");
                pool.share(self.proxies.load(Ordering::Relaxed));
                self.pool.store(Arc::new(pool));
            }
            Err(error) => {
                tracing::error!(error = %chain(&*error), "upstreams stay as they were");
            }
        }
    }

    /// Reads the file again whenever its folder has changed.
    pub(crate) async fn watch(self: Arc<Self>, lifecycle: Lifecycle) -> Result<()> {
        watch(self.path.clone(), lifecycle, || self.reload()).await
    }
}

/// Calls `changed` when a file next to `path`, or it itself, has changed.
pub(crate) async fn watch(path: PathBuf, lifecycle: Lifecycle, changed: impl Fn()) -> Result<()> {
    let draining = lifecycle.draining();
    let mut known = stamp(&path);
    while draining.run_until_cancelled(sleep(LOOK)).await.is_some() {
        let now = stamp(&path);
        if now != known {
            known = now;
            changed();
        }
    }
    Ok(())
}

/// Names and times of the files in the folder: keys lie beside the file that names them.
fn stamp(path: &Path) -> Vec<(PathBuf, Option<SystemTime>)> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut stamps: Vec<_> = entries
        .map(|entry| {
            let path = entry.path();
            let modified = std::fs::metadata(&path).and_then(|data| data.modified()).ok();
            (path, modified)
        })
        .collect();
    stamps.sort();
    stamps
}
