//! What the proxies are told of a tenant, before anything else changes.

use oc_domain::{TenantId, TenantSpec};
use oc_service::chain;
use oc_store::tenants::{self, Desired, State};

use super::{Failure, Operator, Standing};
use crate::world::Entry;

impl Operator {
    /// Makes the tenant's row in Postgres what its spec says, so that a suspended tenant is refused
    /// before its pod has ended.
    ///
    /// While Postgres is away, what was known stays true: drift is repaired all the same.
    pub(super) async fn standing(
        &self,
        id: &TenantId,
        spec: &TenantSpec,
        entry: &Entry,
    ) -> Result<Standing, Failure> {
        let desired = Desired {
            tier: spec.tier,
            locale: spec.locale,
            model: spec.model(),
            thinking: spec.thinking(),
            state: if spec.runs() { State::Active } else { State::Suspended },
        };
        let known = match (
            tenants::observe(&self.store, id, &desired).await,
            &entry.memory.standing,
        ) {
            (Ok(known), _) => known,
            (Err(error), Some(standing)) => {
                tracing::warn!(tenant = %id, error = %chain(&error), "goes on with what was known");
                self.queue.add_after(id, std::time::Duration::from_secs(5));
                return Ok(standing.clone());
            }
            (Err(error), None) => return Err(error.into()),
        };
        // People's own tenants have no row: they run, and the proxies refuse them.
        let standing = match known {
            Some(known) => {
                if known.changed {
                    self.tell(id).await;
                }
                Standing {
                    generation: known.generation,
                    account: Some(known.account),
                    bot: known.bot,
                }
            }
            None => Standing { generation: 1, account: None, bot: 0 },
        };
        self.world.with(id, |entry| entry.memory.standing = Some(standing.clone()));
        Ok(standing)
    }

    /// Has the proxies look at the tenant's row again; without Redis they do so within a minute.
    pub(super) async fn tell(&self, id: &TenantId) {
        if let Err(error) = self.bulletin.tenant_changed(id).await {
            tracing::warn!(tenant = %id, error = %chain(&error), "the proxies find out by themselves");
        }
    }
}
