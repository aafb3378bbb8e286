//! What the objects of a tenant should be.

use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use oc_domain::{TenantId, tenant::Tenant};
use oc_manifests::Overlay;
use oc_platform_token::Claims;

use super::{Failure, Operator, Standing};
use crate::{digest::Digest, fleetwide::Fleetwide, orders::Order, piece::Piece, world::Entry};

/// What the objects of a tenant should be.
pub(super) struct Desired {
    /// In the order in which they can be applied.
    pub(super) pieces: Vec<Piece>,
    pub(super) revision: String,
    /// The digest of all but the Secret.
    pub(super) objects: Digest,
    /// That, and the Secret's.
    pub(super) rendered: String,
    /// The size in GiB that the state volume has and the one that was bought, where it cannot grow.
    pub(super) too_small: Option<(u32, u32)>,
}

impl Desired {
    fn new(mut pieces: Vec<Piece>, revision: String, secret: Piece) -> Self {
        let objects = Digest::all(pieces.iter().map(|piece| piece.digest));
        let rendered = format!("{objects}{}", secret.digest);
        // Before the workload, which does not start without it.
        let place = pieces.iter().position(|piece| piece.key > secret.key);
        pieces.insert(place.unwrap_or(pieces.len()), secret);
        Self { pieces, revision, objects, rendered, too_small: None }
    }

    /// The image of the gateway.
    pub(super) fn image(&self) -> Option<String> {
        let workload = self.pieces.last()?;
        workload.text("/spec/template/spec/containers/0/image")
    }
}

impl Operator {
    /// What the tenant's objects should be: rendered now, or as they were kept while the tenant
    /// waits for its wave of a rollout or goes back from one.
    pub(super) async fn desired(
        &self,
        id: &TenantId,
        entry: &Entry,
        tenant: &Tenant,
        fleetwide: &Fleetwide,
        standing: &Standing,
    ) -> Result<Desired, Failure> {
        let claims = Claims { tenant: id.clone(), generation: standing.generation };
        let secret = oc_manifests::secret(id, &self.key.sign(&claims), &standing.bot.to_string());
        let secret = Piece::new("Secret", "openclaw-config", &secret)?;
        let bought = tenant.spec.tier.get().storage_gib;
        if let Some(revision) = self.stays_on(id, entry, tenant, fleetwide)
            && let Some(pieces) = self.kept(id, tenant, &revision).await?
        {
            let mut desired = Desired::new(pieces, revision, secret);
            let has = entry.claim_gib.filter(|size| *size < bought);
            desired.too_small = has.map(|size| (size, bought));
            return Ok(desired);
        }
        let size = match entry.claim_gib {
            Some(size) if size < bought && !self.can_grow(fleetwide).await? => size,
            Some(size) => size.max(bought),
            None => bought,
        };
        let overlay = Overlay {
            revision: Some(fleetwide.revision.clone()),
            storage_gib: Some(size).filter(|size| *size != bought),
        };
        let objects = oc_manifests::tenant(id, &tenant.spec, &fleetwide.inventory, &overlay);
        let pieces = objects.iter().map(|it| Piece::new(it.kind(), it.name(), it));
        let pieces = pieces.collect::<Result<Vec<_>, _>>()?;
        let mut desired = Desired::new(pieces, fleetwide.revision.clone(), secret);
        desired.too_small = (size < bought).then_some((size, bought));
        Ok(desired)
    }

    /// The revision other than the fleet's that the tenant is to be on.
    fn stays_on(
        &self,
        id: &TenantId,
        entry: &Entry,
        tenant: &Tenant,
        fleetwide: &Fleetwide,
    ) -> Option<String> {
        // A Tenant that was made again says nothing: its namespace knows.
        let (current, respecified) = match &tenant.status {
            Some(status) => {
                let same = status.observed_generation == tenant.metadata.generation;
                (status.revision.clone()?, !same)
            }
            None => (entry.revision.clone()?, false),
        };
        // A new binary cannot render what an old one did, so a changed spec joins.
        if respecified {
            return None;
        }
        match self.orders.of(id) {
            Some(Order::Back(revision)) => Some(revision),
            Some(Order::Join(revision)) if revision == fleetwide.revision => None,
            // What an earlier rollout admitted is not admitted to this one.
            Some(Order::Join(_)) | None => Some(current).filter(|it| *it != fleetwide.revision),
        }
    }

    async fn can_grow(&self, fleetwide: &Fleetwide) -> Result<bool, Failure> {
        let classes: Api<StorageClass> = Api::all(self.client.clone());
        let class = classes.get_opt(&fleetwide.inventory.cluster.storage_class).await?;
        Ok(class.and_then(|class| class.allow_volume_expansion).unwrap_or_default())
    }
}
