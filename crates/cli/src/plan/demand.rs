//! What pods ask for, read from the objects that we render, so that the plan cannot disagree with
//! them.

use std::collections::BTreeMap;

use oc_domain::{
    Inventory, Locale, NicheId, TenantId, TenantSpec, TierId,
    catalog::Isolation,
    inventory::Pool,
    tenant::{Channels, State, Telegram},
};
use oc_manifests::{Object, Overlay};
use serde_json::Value;
use strum::VariantArray;

use super::{
    amount::Amount,
    data::{Assumptions, StorageClass},
};
use crate::{failure::Failure, quantity};

/// What all pods of a fleet ask for.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    /// By tier.
    pub tiers: BTreeMap<TierId, TierDemand>,
    /// The platform's, ours and what the cluster brings.
    pub platform: Vec<Load>,
    /// Pods that come and go: scheduled jobs.
    pub occasional: Vec<Load>,
}

/// What a tenant of a tier asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TierDemand {
    /// Where its pod goes.
    pub pool: Pool,
    /// With its pod.
    pub running: Amount,
    /// Without: its volume may lie on a node's disk.
    pub resting: Amount,
}

/// Pods that are alike.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub name: String,
    pub count: u64,
    pub each: Amount,
}

impl Demand {
    /// What the renderer asks for on this cluster, and measured working sets where they are larger.
    pub(crate) fn new(
        inventory: &Inventory,
        assumptions: &Assumptions,
        class: StorageClass,
    ) -> Result<Self, Failure> {
        let mut tiers = BTreeMap::new();
        for tier in TierId::VARIANTS {
            tiers.insert(*tier, TierDemand::new(*tier, inventory, assumptions, class)?);
        }
        let packaged = assumptions.packaged().iter().map(|pod| Load {
            name: pod.name.clone(),
            count: pod.count,
            each: Amount([pod.cpu_millis, pod.memory_mib, 0, 1, 0]),
        });
        let mut demand = Self { tiers, platform: packaged.collect(), occasional: Vec::new() };
        for object in oc_manifests::platform(inventory) {
            let name = object.name().to_owned();
            let value = json(&object)?;
            match object.kind() {
                "Deployment" | "StatefulSet" => {
                    let count = value.pointer("/spec/replicas").and_then(Value::as_u64);
                    let claims = list(&value, "/spec/volumeClaimTemplates");
                    let each = pod(&value, "/spec/template/spec")?.plus(volumes(claims, class)?);
                    demand.platform.push(Load { name, count: count.unwrap_or(1), each });
                }
                "CronJob" => {
                    let each = pod(&value, "/spec/jobTemplate/spec/template/spec")?;
                    demand.occasional.push(Load { name, count: 1, each });
                }
                _ => {}
            }
        }
        Ok(demand)
    }

    /// What a tenant of the tier asks for.
    pub(crate) fn tier(&self, tier: TierId) -> TierDemand {
        #[expect(clippy::expect_used, reason = "`new` puts every tier in")]
        *self.tiers.get(&tier).expect("every tier")
    }
}

impl TierDemand {
    fn new(
        tier: TierId,
        inventory: &Inventory,
        assumptions: &Assumptions,
        class: StorageClass,
    ) -> Result<Self, Failure> {
        let mut asked = Amount::default();
        let mut kept = Amount::default();
        for object in oc_manifests::tenant(
            &TenantId::draw([0; 5]),
            &sample(tier),
            inventory,
            &Overlay::default(),
        ) {
            match object.kind() {
                "Deployment" => asked = asked.plus(pod(&json(&object)?, "/spec/template/spec")?),
                "PersistentVolumeClaim" => {
                    kept = kept.plus(volumes(&[json(&object)?], class)?);
                }
                _ => {}
            }
        }
        let measured = Amount([0, assumptions.working_set_mib(), 0, 0, 0]);
        let pool = match tier.get().isolation {
            Isolation::Shared => Pool::Shared,
            Isolation::Dedicated => Pool::Dedicated,
        };
        let [.., disk, _, _] = kept.0;
        let resting = Amount([0, 0, disk, 0, 0]);
        Ok(Self { pool, running: asked.max(measured).plus(kept), resting })
    }
}

/// A tenant of the tier that runs; what its pod asks for depends on nothing else.
fn sample(tier: TierId) -> TenantSpec {
    TenantSpec {
        tier,
        niche: NicheId::Pharmacy,
        locale: Locale::En,
        model: None,
        thinking: None,
        channels: Channels { telegram: Telegram { enabled: true } },
        connections: Vec::new(),
        state: State::Active,
        hold: None,
    }
}

fn json(object: &Object) -> Result<Value, Failure> {
    serde_json::to_value(object).map_err(|error| Failure::Outside(format!("JSON: {error}")))
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What the scheduler reserves for a pod: its containers together, or the largest of those that run
/// before them.
fn pod(object: &Value, pointer: &str) -> Result<Amount, Failure> {
    let mut together = Amount::default();
    for container in list(object, &format!("{pointer}/containers")) {
        together = together.plus(container_requests(container)?);
    }
    for container in list(object, &format!("{pointer}/initContainers")) {
        together = together.max(container_requests(container)?);
    }
    Ok(together.plus(Amount([0, 0, 0, 1, 0])))
}

fn container_requests(container: &Value) -> Result<Amount, Failure> {
    let request = |name: &str, read: fn(&str) -> Option<u64>| match container
        .pointer("/resources/requests")
        .and_then(|requests| requests.get(name))
    {
        None => Ok(0),
        Some(found) => found.as_str().and_then(read).ok_or_else(|| no_quantity(found)),
    };
    Ok(Amount([
        request("cpu", quantity::millis)?,
        request("memory", quantity::mebi)?,
        request("ephemeral-storage", quantity::mebi)?,
        0,
        0,
    ]))
}

/// What claims take from the node that their pod is on.
fn volumes(claims: &[Value], class: StorageClass) -> Result<Amount, Failure> {
    let mut together = Amount::default();
    for claim in claims {
        let size = claim.pointer("/spec/resources/requests/storage").unwrap_or(&Value::Null);
        let size_mib = size.as_str().and_then(quantity::mebi).ok_or_else(|| no_quantity(size))?;
        let disk_mib = if class.on_node { size_mib } else { 0 };
        together = together.plus(Amount([0, 0, disk_mib, 0, 1]));
    }
    Ok(together)
}

fn no_quantity(found: &Value) -> Failure {
    Failure::Outside(format!("the renderer wrote {found}, which is no quantity"))
}
