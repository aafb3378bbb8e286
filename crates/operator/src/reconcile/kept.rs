//! Renderings that were healthy, so that a tenant can stay on one, or go back to it, after the
//! program that made it is gone.

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use oc_domain::{TenantId, tenant::Tenant};
use oc_store::renderings::{self, Rendering};

use super::{Failure, Operator, desired::Desired};
use crate::{
    digest::Digest,
    kind::Kind,
    piece::{Piece, Unreadable},
    world::Kept,
};

/// A tenant's objects have about 30 KiB; more than this is no rendering of ours.
const MOST_BYTES: u64 = 16 << 20;

impl Operator {
    /// The objects that the tenant had on that revision, with the spec that it has now.
    pub(super) async fn kept(
        &self,
        id: &TenantId,
        tenant: &Tenant,
        revision: &str,
    ) -> Result<Option<Vec<Piece>>, Failure> {
        let spec = digest(tenant)?;
        let kept = renderings::get(&self.store, id, revision).await?;
        let Some(kept) = kept.filter(|kept| kept.spec == spec) else {
            tracing::warn!(tenant = %id, revision, "nothing was kept of it");
            return Ok(None);
        };
        let mut json = Vec::new();
        let mut decoder = DeflateDecoder::new(kept.objects.as_slice()).take(MOST_BYTES);
        decoder.read_to_end(&mut json).map_err(serde_json::Error::io).map_err(Unreadable::from)?;
        Ok(Some(Piece::split(&json)?))
    }

    /// Keeps what the tenant is healthy with, unless it is kept.
    pub(super) async fn keep(
        &self,
        id: &TenantId,
        tenant: &Tenant,
        desired: &Desired,
    ) -> Result<(), Failure> {
        let kept = Kept {
            revision: desired.revision.clone(),
            spec: digest(tenant)?,
            digest: desired.objects.to_string(),
        };
        if self.world.with(id, |entry| entry.memory.kept.last() == Some(&kept)) {
            return Ok(());
        }
        let is_open = |piece: &&Piece| piece.key.0 != Kind::Secret;
        let open: Vec<Piece> = desired.pieces.iter().filter(is_open).cloned().collect();
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        let written = encoder.write_all(&Piece::join(&open)).and_then(|()| encoder.finish());
        let rendering = Rendering {
            tenant: id.clone(),
            revision: kept.revision.clone(),
            spec: kept.spec.clone(),
            digest: kept.digest.clone(),
            objects: written.map_err(serde_json::Error::io).map_err(Unreadable::from)?,
        };
        renderings::put(&self.store, &rendering, self.clock.now()).await?;
        self.world.with(id, |entry| entry.memory.keep(kept));
        Ok(())
    }
}

/// The digest of the tenant's spec.
fn digest(tenant: &Tenant) -> Result<String, Unreadable> {
    Ok(Digest::of(&serde_json::to_vec(&tenant.spec)?).to_string())
}
