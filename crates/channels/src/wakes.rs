//! What replicas tell each other by Redis: whose messages came, whose pod polls where, which tenant
//! has changed. Without Redis each finds out by itself in a second.

use std::{collections::HashSet, mem, sync::Arc, time::Duration};

use anyhow::Result;
use jiff::SignedDuration;
use oc_domain::TenantId;
use oc_service::{Clock, Lifecycle, chain};
use oc_store::{Store, updates};
use oc_streams::{Bulletin, Wake, Wakes};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::sleep};

use crate::{desk::Desks, polls::Polls};

/// Between two looks for messages that nobody told of.
const LOOK: Duration = Duration::from_secs(1);
/// A row may become visible so long after its own time.
const OVERLAP: SignedDuration = SignedDuration::from_secs(10);

/// Tells the other replicas, without anybody waiting for it.
#[derive(Clone, Default)]
pub(crate) struct Herald(Arc<News>);

#[derive(Default)]
struct News {
    came: Mutex<HashSet<TenantId>>,
    polls: Mutex<HashSet<TenantId>>,
    some: Notify,
}

impl Herald {
    /// Messages came for a tenant whose pod does not poll here.
    pub(crate) fn came(&self, tenant: &TenantId) {
        self.0.came.lock().insert(tenant.clone());
        self.0.some.notify_one();
    }

    /// The tenant's pod polls here.
    pub(crate) fn polls(&self, tenant: &TenantId) {
        self.0.polls.lock().insert(tenant.clone());
        self.0.some.notify_one();
    }

    /// Tells what there is to tell, until the drain. `replica` is a number that no other one has.
    pub(crate) async fn run(
        self,
        bulletin: Bulletin,
        replica: u64,
        lifecycle: Lifecycle,
    ) -> Result<()> {
        let draining = lifecycle.draining();
        while draining.run_until_cancelled(self.0.some.notified()).await.is_some() {
            let came = mem::take(&mut *self.0.came.lock());
            let polls = mem::take(&mut *self.0.polls.lock());
            if let Err(error) = bulletin.wake(came.iter(), polls.iter(), replica).await {
                tracing::debug!(error = %chain(&error), "the others find out by themselves");
            }
        }
        Ok(())
    }
}

/// Listens to the other replicas.
pub(crate) struct Listener {
    pub(crate) wakes: Wakes,
    pub(crate) polls: Arc<Polls>,
    pub(crate) desks: Arc<Desks>,
    /// Bots may have changed.
    pub(crate) bots: Arc<Notify>,
    pub(crate) replica: u64,
}

impl Listener {
    pub(crate) async fn run(mut self, lifecycle: Lifecycle) -> Result<()> {
        let draining = lifecycle.draining();
        while let Some(wake) = draining.run_until_cancelled(self.wakes.next()).await {
            match wake {
                Wake::Connected => {
                    self.desks.doubt();
                    self.polls.wake_all();
                    self.bots.notify_one();
                }
                Wake::Tenant(tenant) => {
                    self.desks.forget(&tenant);
                    self.polls.wake(&tenant);
                    self.bots.notify_one();
                }
                Wake::Updates(tenant) => {
                    self.polls.wake(&tenant);
                }
                Wake::Poll(_, replica) if replica == self.replica => {}
                Wake::Poll(tenant, _) => self.polls.supersede(&tenant),
            }
        }
        Ok(())
    }
}

/// Wakes the polls for which something came that nobody told of.
pub(crate) async fn look(
    store: Store,
    polls: Arc<Polls>,
    clock: Clock,
    lifecycle: Lifecycle,
) -> Result<()> {
    let draining = lifecycle.draining();
    let mut known = HashSet::new();
    while draining.run_until_cancelled(sleep(LOOK)).await.is_some() {
        match updates::waiting_since(&store, clock.now() - OVERLAP).await {
            // Those that are seen a second time: the others have just come, and are on their way.
            Ok(tenants) => {
                let now: HashSet<TenantId> = tenants.into_iter().collect();
                for tenant in now.intersection(&known) {
                    polls.wake(tenant);
                }
                known = now;
            }
            Err(error) => tracing::debug!(error = %chain(&error), "no look"),
        }
    }
    Ok(())
}
