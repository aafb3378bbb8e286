//! What every tenant's objects depend on beside its own spec.

use oc_domain::{
    Inventory, TenantId, TenantSpec,
    catalog::{Locale, NicheId, TierId},
    tenant::State,
};
use oc_manifests::Overlay;
use strum::VariantArray as _;

use crate::{digest::Digest, piece::Unreadable};

/// What every tenant's objects depend on beside its own spec, and the name of that.
#[derive(Debug)]
pub(crate) struct Fleetwide {
    pub(crate) inventory: Inventory,
    /// Another renderer, catalog, image or constant of the cluster has another one: it is taken
    /// from what is rendered and not from a version that somebody may forget to raise.
    pub(crate) revision: String,
}

impl Fleetwide {
    pub(crate) fn new(inventory: Inventory) -> Result<Self, Unreadable> {
        let mut digests = Vec::new();
        for tier in TierId::VARIANTS {
            for niche in NicheId::VARIANTS {
                for locale in Locale::VARIANTS {
                    digests.push(probe(*tier, *niche, *locale, &inventory)?);
                }
            }
        }
        let digest = Digest::all(digests.into_iter()).to_string();
        let revision = digest.chars().take(12).collect();
        Ok(Self { inventory, revision })
    }
}

/// What is rendered for a tenant that does not exist.
fn probe(
    tier: TierId,
    niche: NicheId,
    locale: Locale,
    inventory: &Inventory,
) -> Result<Digest, Unreadable> {
    let spec = TenantSpec {
        tier,
        niche,
        locale,
        model: None,
        thinking: None,
        channels: oc_domain::tenant::Channels::default(),
        connections: Vec::new(),
        state: State::Active,
        hold: None,
    };
    let id = TenantId::draw([0; 5]);
    let objects = oc_manifests::tenant(&id, &spec, inventory, &Overlay::default());
    Ok(Digest::of(&serde_json::to_vec(&objects)?))
}
