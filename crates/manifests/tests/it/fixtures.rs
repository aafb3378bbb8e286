//! Inventories and specs that the tests share.

use oc_domain::{
    Inventory, Locale, NicheId, ProviderId, TenantId, TenantSpec, TierId,
    tenant::{Channels, Hold, State, Telegram},
};
use proptest::prelude::*;
use serde_json::Value;
use strum::VariantArray;

/// The example fleet's five nodes.
pub(crate) fn five_nodes() -> Inventory {
    let bytes = include_bytes!("../../../../nodes/inventory.json");
    Inventory::parse("nodes/inventory.json", bytes).unwrap()
}

/// The same cluster on one node and the default runtime.
pub(crate) fn one_node() -> Inventory {
    let bytes = include_bytes!("../fixtures/one-node.json");
    Inventory::parse("one-node.json", bytes).unwrap()
}

pub(crate) fn id() -> TenantId {
    "c-7f3k2m9q".parse().unwrap()
}

/// A plain active tenant of a tier.
pub(crate) fn spec(tier: TierId) -> TenantSpec {
    TenantSpec {
        tier,
        niche: NicheId::Pharmacy,
        locale: Locale::PtBr,
        model: None,
        thinking: None,
        channels: Channels { telegram: Telegram { enabled: true } },
        connections: vec![ProviderId::Google, ProviderId::Notion],
        state: State::Active,
        hold: None,
    }
}

/// The objects of a tenant as plain JSON.
pub(crate) fn rendered(id: &TenantId, spec: &TenantSpec, inventory: &Inventory) -> Vec<Value> {
    let objects = oc_manifests::tenant(id, spec, inventory, &oc_manifests::Overlay::default());
    objects.iter().map(|object| serde_json::to_value(object).unwrap()).collect()
}

/// The object of a kind.
pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap()
}

/// Any id that is valid.
pub(crate) fn any_id() -> impl Strategy<Value = TenantId> {
    "[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?".prop_map(|text| text.parse().unwrap())
}

/// Any spec that `check` accepts and that renders.
pub(crate) fn any_spec() -> impl Strategy<Value = TenantSpec> {
    (
        prop::sample::select(TierId::VARIANTS),
        prop::sample::select(NicheId::VARIANTS),
        prop::sample::select(Locale::VARIANTS),
        prop::sample::subsequence(ProviderId::VARIANTS, 0..=3),
        any::<bool>(),
        prop::sample::select(&[State::Active, State::Suspended][..]),
        prop::option::of("[a-z ]{1,40}[a-z]"),
    )
        .prop_map(|(tier, niche, locale, connections, enabled, state, reason)| TenantSpec {
            tier,
            niche,
            locale,
            model: None,
            thinking: None,
            channels: Channels { telegram: Telegram { enabled } },
            connections,
            state,
            hold: reason.map(|reason| Hold { reason }),
        })
}
