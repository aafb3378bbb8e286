//! The objects of a tenant, made what they should be.

use std::collections::BTreeMap;

use futures::future::join_all;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use oc_domain::{TenantId, catalog::TierId, tenant::Tenant};
use oc_manifests::{MANAGED_BY, TENANT};
use serde_json::json;

use super::{Failure, Operator, desired::Desired};
use crate::{
    api::apply,
    kind::{Key, Kind},
    piece::Piece,
    watch::gib,
    world::{Applied, Entry, MANAGER},
};

/// What the API says of a Deployment that selects other pods, or replaces them in another way, which
/// an apply cannot take from it.
const OTHERS: [&str; 2] = ["field is immutable", "spec.strategy.rollingUpdate: Forbidden"];

/// What was done to a tenant's objects.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Objects that were applied.
    pub(super) applied: Vec<Key>,
    /// Those of them that somebody had changed.
    pub(super) repaired: Vec<Key>,
    /// Objects that did not belong there any more.
    pub(super) pruned: Vec<Key>,
    /// Why the volume claim is not as it should be.
    pub(super) refused_volume: Option<Failure>,
}

impl Operator {
    /// Applies what differs, in order, and removes what does not belong.
    pub(super) async fn converge(
        &self,
        id: &TenantId,
        entry: &Entry,
        tenant: &Tenant,
        desired: &Desired,
    ) -> Result<Done, Failure> {
        let expected = expected(entry, tenant, desired);
        let mut done = Done::default();
        let mut todo: Vec<&Piece> = Vec::new();
        for piece in &desired.pieces {
            let was = expected.get(&piece.key);
            let is = entry.children.get(&piece.key);
            if is.is_some_and(|child| child.leaving) {
                // A claim stays for as long as a pod uses it, and keeps nothing else back.
                if piece.key.0 == Kind::PersistentVolumeClaim {
                    continue;
                }
                return Err(Failure::Conflict);
            }
            let same = was.is_some_and(|was| was.manifest == piece.digest);
            if same && was.map(|was| was.fields) == is.map(|is| is.fields) {
                continue;
            }
            if same {
                done.repaired.push(piece.key.clone());
            }
            todo.push(piece);
        }
        // What is applied now is not known until it is answered.
        let rests = |key: &Key| !todo.iter().any(|piece| piece.key == *key);
        let rest = expected.into_iter().filter(|(key, _)| rests(key)).collect();
        self.world.with(id, |entry| entry.memory.applied = Some(rest));
        for step in steps(todo, shrinks(entry, tenant)) {
            let applies = step.iter().map(|piece| self.apply(id, piece));
            let mut refused = None;
            for (outcome, piece) in join_all(applies).await.into_iter().zip(&step) {
                match outcome {
                    Ok(()) => done.applied.push(piece.key.clone()),
                    // A volume that cannot be as it should keeps nothing else back.
                    Err(failure @ Failure::Refused { .. })
                        if piece.key.0 == Kind::PersistentVolumeClaim =>
                    {
                        done.refused_volume = Some(failure);
                    }
                    Err(failure) => refused = refused.or(Some(failure)),
                }
            }
            if let Some(failure) = refused {
                return Err(failure);
            }
        }
        self.prune(id, entry, desired, &mut done).await?;
        self.metrics.converged(done.applied.len(), done.pruned.len(), &done.repaired);
        Ok(done)
    }

    async fn apply(&self, id: &TenantId, piece: &Piece) -> Result<(), Failure> {
        let outcome = apply(&self.client, &id.namespace(), piece).await;
        let child = match outcome.map_err(|error| Failure::of(error, piece.key.clone())) {
            Ok(child) => child,
            Err(failure) => return Err(self.unblock(id, piece, failure).await),
        };
        let applied = Applied { manifest: piece.digest, fields: child.fields };
        let is_claim = piece.key.0 == Kind::PersistentVolumeClaim;
        let claim = is_claim.then(|| serde_json::from_slice(&piece.body));
        self.world.with(id, |entry| {
            if let Some(Ok(claim)) = claim {
                entry.claim_gib = gib(&claim);
            }
            entry.memory.stale_files |= matches!(piece.key.0, Kind::ConfigMap | Kind::Secret);
            entry.see(piece.key.clone(), child);
            entry.memory.applied.get_or_insert_default().insert(piece.key.clone(), applied);
        });
        Ok(())
    }

    /// Somebody else's object is in the way: a Deployment that cannot become ours makes place, and
    /// a claim is taken as it is.
    async fn unblock(&self, id: &TenantId, piece: &Piece, failure: Failure) -> Failure {
        let Failure::Refused { message, .. } = &failure else { return failure };
        let is_known = || self.world.with(id, |entry| entry.children.contains_key(&piece.key));
        let outcome = match piece.key.0 {
            Kind::Deployment if OTHERS.iter().any(|words| message.contains(words)) => {
                tracing::warn!(tenant = %id, message, "the Deployment is made anew");
                self.delete(id, &piece.key).await
            }
            Kind::PersistentVolumeClaim if !is_known() => self.label(id, &piece.key).await,
            _ => return failure,
        };
        outcome.map_or_else(|failure| failure, |()| Failure::Conflict)
    }

    /// Puts our labels on an object: from then on it is known, and a claim's size with it.
    async fn label(&self, id: &TenantId, (kind, name): &Key) -> Result<(), Failure> {
        let objects: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &id.namespace(), &kind.resource());
        let labels = json!({ TENANT: id, MANAGED_BY: "openclaw-cloud" });
        let patch = Patch::Merge(json!({ "metadata": { "labels": labels } }));
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        Ok(objects.patch(name, &params, &patch).await.map(drop)?)
    }

    /// Removes objects that carry our labels and are rendered no more. Never a volume claim, which
    /// holds what cannot be rendered.
    async fn prune(
        &self,
        id: &TenantId,
        entry: &Entry,
        desired: &Desired,
        done: &mut Done,
    ) -> Result<(), Failure> {
        for (key, child) in &entry.children {
            let kept = matches!(key.0, Kind::Namespace | Kind::PersistentVolumeClaim);
            let wanted = desired.pieces.iter().any(|piece| piece.key == *key);
            if kept || wanted || child.leaving {
                continue;
            }
            self.delete(id, key).await?;
            done.pruned.push(key.clone());
        }
        Ok(())
    }

    async fn delete(&self, id: &TenantId, (kind, name): &Key) -> Result<(), Failure> {
        let objects: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &id.namespace(), &kind.resource());
        match objects.delete(name, &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            outcome => Ok(outcome.map(drop)?),
        }
    }
}

/// What each object was when all was well: as remembered or, after a restart, as the status says.
fn expected(entry: &Entry, tenant: &Tenant, desired: &Desired) -> BTreeMap<Key, Applied> {
    if let Some(applied) = &entry.memory.applied {
        return applied.clone();
    }
    let status = tenant.status.clone().unwrap_or_default();
    let fields = entry.fields(desired.pieces.iter().map(|piece| &piece.key)).to_string();
    // Whoever was killed between an apply and its status has left other values in the same fields.
    let cut_off = status.observed_generation != tenant.metadata.generation
        || entry.revision.as_ref() != Some(&desired.revision);
    let same = status.rendered.as_ref() == Some(&desired.rendered);
    if cut_off || !same || status.applied != Some(fields) {
        return BTreeMap::new();
    }
    let applied = desired.pieces.iter().filter_map(|piece| {
        let fields = entry.children.get(&piece.key)?.fields;
        Some((piece.key.clone(), Applied { manifest: piece.digest, fields }))
    });
    applied.collect()
}

/// Whether the tenant's pod becomes smaller than the one that may still be there.
fn shrinks(entry: &Entry, tenant: &Tenant) -> bool {
    let before = entry.tier.as_ref().and_then(|tier| tier.parse::<TierId>().ok());
    let size = |tier: TierId| (tier.get().memory_mib.limit, tier.get().cpu_millis.limit);
    before.is_some_and(|before| {
        let (before, now) = (size(before), size(tenant.spec.tier));
        now.0 < before.0 || now.1 < before.1
    })
}

/// What is applied at once, in order: what encloses the pod before it, and the quota before the claim
/// that it counts; but a smaller room only after the smaller pod.
fn steps(todo: Vec<&Piece>, shrinks: bool) -> [Vec<&Piece>; 5] {
    let mut steps = [const { Vec::new() }; 5];
    let [namespace, rules, claim, workload, room] = &mut steps;
    for piece in todo {
        match piece.key.0 {
            Kind::Namespace => namespace.push(piece),
            Kind::PersistentVolumeClaim => claim.push(piece),
            Kind::Deployment => workload.push(piece),
            Kind::ResourceQuota | Kind::LimitRange if shrinks => room.push(piece),
            _ => rules.push(piece),
        }
    }
    steps
}
