//! Carries rollouts out: what [`crate::rollout`] decides, from what the world looks like.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Result;
use arc_swap::ArcSwapOption;
use oc_domain::{TenantId, TenantSpec, tenant::State};
use oc_service::{Clock, chain};
use oc_store::{
    Store, renderings,
    rollouts::{self, Rollout, Status},
};
use tokio::time::sleep;

use crate::{
    digest::Digest,
    fleetwide::Fleetwide,
    metrics::{Metrics, StateLabel},
    orders::{Order, Orders},
    queue::Queue,
    rollout::{Applied, Health, Member, Policy, Refusal, due, plan},
    world::{Entry, Kept, World},
};

/// Between two looks at the fleet.
const PERIOD: Duration = Duration::from_secs(1);

/// Carries rollouts out.
pub(crate) struct Conductor {
    pub(crate) store: Store,
    pub(crate) world: Arc<World>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) fleetwide: Arc<ArcSwapOption<Fleetwide>>,
    pub(crate) orders: Arc<Orders>,
    pub(crate) policy: Policy,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
}

impl Conductor {
    /// Remembers which renderings are kept, however long Postgres is away.
    pub(crate) async fn load(&self) {
        loop {
            match renderings::list(&self.store).await {
                Ok(known) => {
                    for one in known {
                        self.world.with(&one.tenant, |entry| {
                            let kept =
                                Kept { revision: one.revision, spec: one.spec, digest: one.digest };
                            entry.memory.keep(kept);
                        });
                    }
                    return;
                }
                Err(error) => tracing::warn!(error = %chain(&error), "waits for Postgres"),
            }
            sleep(PERIOD).await;
        }
    }

    /// Looks for ever.
    pub(crate) async fn run(self) {
        loop {
            if let Some(fleetwide) = self.fleetwide.load_full()
                && let Err(error) = self.step(&fleetwide).await
            {
                tracing::warn!(error = %chain(&*error), "the rollout waits");
            }
            sleep(PERIOD).await;
        }
    }

    async fn step(&self, fleetwide: &Fleetwide) -> Result<()> {
        let now = self.clock.now();
        let Some(rollout) = self.current(fleetwide).await? else { return Ok(()) };
        let members = members(&self.world, &rollout.revision);
        let plan = plan(&rollout, &members, &self.policy, now);
        if let Some(next) = plan.next {
            let (expected, new) = ((rollout.status, rollout.wave), (next.status, next.wave));
            let reason = next.reason.as_deref();
            if rollouts::advance(&self.store, rollout.id, expected, new, reason, now).await? {
                tracing::info!(
                    revision = rollout.revision, status = %next.status, wave = next.wave, reason, "the rollout goes on"
                );
            }
        }
        self.tell(&rollout);
        let join = |id| (id, Order::Join(rollout.revision.clone()));
        let mut orders: HashMap<TenantId, Order> = plan.admit.into_iter().map(join).collect();
        for id in plan.rollback {
            let back = self.world.with(&id, |entry| {
                let spec = spec(&entry.tenant.as_ref()?.spec)?;
                entry.memory.before(&rollout.revision, &spec)
            });
            if let Some(revision) = back {
                orders.insert(id, Order::Back(revision));
            }
        }
        for id in self.orders.replace(orders) {
            self.queue.add(&id);
        }
        Ok(())
    }

    /// The rollout of the running binary's revision; begun where it is due.
    async fn current(&self, fleetwide: &Fleetwide) -> Result<Option<Rollout>> {
        let last = rollouts::current(&self.store).await?;
        let Some(start) = due(last.as_ref(), &fleetwide.revision) else { return Ok(last) };
        let now = self.clock.now();
        if let Some(last) = last.filter(|_| start.supersedes) {
            let new = (Status::Aborted, last.wave);
            let reason = Some("another revision came");
            let expected = (last.status, last.wave);
            rollouts::advance(&self.store, last.id, expected, new, reason, now).await?;
        }
        let from = start.from.as_deref();
        let begun = rollouts::begin(&self.store, &fleetwide.revision, from, now).await?;
        tracing::info!(revision = begun.revision, from, "a rollout begins");
        Ok(Some(begun))
    }

    fn tell(&self, rollout: &Rollout) {
        self.metrics.rollout_wave.set(rollout.wave.into());
        for status in
            [Status::Running, Status::Paused, Status::Done, Status::RolledBack, Status::Aborted]
        {
            let label = StateLabel { state: status.to_string() };
            let is = i64::from(status == rollout.status);
            self.metrics.rollout_state.get_or_create(&label).set(is);
        }
    }
}

/// The digest of a spec, as it stands with a rendering that is kept.
fn spec(spec: &TenantSpec) -> Option<String> {
    Some(Digest::of(&serde_json::to_vec(spec).ok()?).to_string())
}

/// The fleet, as a rollout of `revision` sees it.
pub(crate) fn members(world: &World, revision: &str) -> Vec<Member> {
    let mut members = Vec::new();
    world.each(|id, entry| members.extend(member(id, entry, revision)));
    members
}

fn member(id: &TenantId, entry: &Entry, revision: &str) -> Option<Member> {
    let tenant = entry.tenant.as_ref().filter(|tenant| tenant.spec.state != State::Deleted)?;
    let status = tenant.status.as_ref();
    let condition = |type_| {
        status
            .and_then(|status| status.conditions.iter().find(|condition| condition.type_ == type_))
    };
    let since = tenant.metadata.creation_timestamp.as_ref().map(|at| at.0).unwrap_or_default();
    let health = match condition("Ready") {
        _ if !tenant.spec.runs() => Health::Suspended,
        Some(ready) if ready.status == "True" => {
            Health::Ready { since: ready.last_transition_time.0 }
        }
        Some(ready) => {
            Health::Unready { since: ready.last_transition_time.0, reason: ready.reason.clone() }
        }
        None => Health::Unready { since, reason: "Pending".to_owned() },
    };
    let refused = condition("Applied").filter(|applied| applied.reason == "Refused");
    let spec = spec(&tenant.spec)?;
    Some(Member {
        id: id.clone(),
        applied: status.and_then(|status| {
            let at = status.revised_at.as_ref().map_or(since, |at| at.0);
            Some(Applied { revision: status.revision.clone()?, at })
        }),
        health,
        joined: !entry
            .memory
            .kept
            .iter()
            .any(|kept| kept.revision != revision && kept.spec == spec),
        refused: refused.map(|refused| Refusal {
            since: refused.last_transition_time.0,
            reason: refused.reason.clone(),
        }),
    })
}
