//! One look at one tenant: what git and the cluster say, made the same.
//!
//! ```text
//!  git ──► Tenant ──► row in Postgres ──► objects, in order ──► pod's health ──► status
//!                     (revokes first)     only what differs
//! ```
//!
//! A look that finds everything as it should be writes nothing. Whether it is so is told by two
//! digests in the status: of what was rendered, and of the fields that were ours right after it was
//! applied. So neither a restart nor a lost cache leads to a write.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use kube::{Client, runtime::events::Recorder};
use oc_domain::{AccountId, TenantId, tenant::State};
use oc_platform_token::SigningKey;
use oc_service::{CALL, Clock, chain, join_trace};
use oc_store::Store;
use oc_streams::Bulletin;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, Span};

use crate::{
    failure::Failure, fleetwide::Fleetwide, metrics::Metrics, orders::Orders, queue::Queue,
    source::Source, world::World,
};

mod converge;
mod desired;
mod finish;
mod kept;
mod object;
mod pods;
mod report;
mod standing;
mod status;

pub(crate) use object::{COMMIT, FINALIZER};

/// The operator of a cluster, while it leads.
pub(crate) struct Operator {
    pub(crate) client: Client,
    pub(crate) world: Arc<World>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) store: Store,
    pub(crate) bulletin: Bulletin,
    pub(crate) key: SigningKey,
    pub(crate) fleetwide: Arc<ArcSwapOption<Fleetwide>>,
    pub(crate) orders: Arc<Orders>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    pub(crate) recorder: Recorder,
}

/// Who a tenant is for the proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The generation of its platform token.
    pub(crate) generation: u32,
    /// Who pays; nobody where billing does not know the tenant.
    pub(crate) account: Option<AccountId>,
    /// What the pod knows its bot by; 0 where it has none.
    pub(crate) bot: i64,
}

/// How long a look may take: without etcd the API server holds requests for minutes.
const LIMIT: Duration = Duration::from_secs(30);
/// Before git was read for the first time.
const NOT_READ: Duration = Duration::from_secs(1);

impl Operator {
    /// Takes one turn after the other.
    pub(crate) async fn work(self: Arc<Self>) {
        loop {
            let turn = self.queue.next().await;
            self.look(&turn.tenant).await;
        }
    }

    /// Looks at a tenant, and says when to look again.
    async fn look(&self, id: &TenantId) {
        let began = Instant::now();
        let look = timeout(LIMIT, self.reconcile(id)).instrument(self.span(id));
        let outcome = look.await.unwrap_or(Err(Failure::Slow));
        self.metrics.reconciled(began.elapsed(), outcome.as_ref().err());
        match outcome {
            Ok(again) => {
                self.world.with(id, |entry| entry.memory.attempts = 0);
                if let Some(delay) = again {
                    self.queue.add_after(id, delay);
                }
            }
            Err(failure) => {
                let attempts = self.world.with(id, |entry| {
                    entry.memory.attempts += 1;
                    entry.memory.attempts
                });
                let pause = failure.pause(attempts);
                if matches!(failure, Failure::Conflict) {
                    tracing::debug!(tenant = %id, ?pause, "looked at again");
                } else {
                    tracing::warn!(tenant = %id, attempts, ?pause, error = %chain(&failure), "not as it should be");
                }
                self.queue.add_after(id, pause);
            }
        }
    }

    /// While a commit is on its way, looks at its tenant are part of the trace that it names, from
    /// Stripe's event on.
    fn span(&self, id: &TenantId) -> Span {
        let entry = self.world.entry(id);
        let Source::Good(wanted) = &entry.source else { return Span::none() };
        let arrives = entry.memory.to_ready.is_some()
            || entry.tenant.as_ref().is_none_or(|tenant| tenant.spec != wanted.spec);
        let Some(trace) = wanted.origin.trace.as_ref().filter(|_| arrives) else {
            return Span::none();
        };
        let span = tracing::info_span!(target: CALL, "tenant.look", tenant = %id, commit = %wanted.origin.commit);
        join_trace(&span, trace);
        span
    }

    async fn reconcile(&self, id: &TenantId) -> Result<Option<Duration>, Failure> {
        // A spec that somebody has edited by hand is never carried out.
        if !self.world.git_is_read() {
            return Ok(Some(NOT_READ));
        }
        let entry = self.world.entry(id);
        let Some(tenant) = self.object(id, &entry).await? else { return Ok(None) };
        if tenant.metadata.deletion_timestamp.is_some() {
            return self.finish(id, &entry, &tenant).await;
        }
        if tenant.spec.state == State::Deleted {
            return Ok(None);
        }
        let Some(fleetwide) = self.fleetwide.load_full() else { return Ok(Some(NOT_READ)) };
        let standing = self.standing(id, &tenant.spec, &entry).await?;
        let desired = self.desired(id, &entry, &tenant, &fleetwide, &standing).await?;
        let applied = self.converge(id, &entry, &tenant, &desired).await;
        self.report(id, &tenant, &desired, &standing, applied).await
    }
}
