//! The blast radius of a change.

use std::collections::{BTreeMap, BTreeSet};

use oc_domain::{Fleet, Inventory, fleet::Tenant, tenant::State};
use oc_manifests::{Object, Overlay};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;
use strum::Display;

use super::{
    classify::{Effect, classify, removal},
    compare::{Difference, differences},
};

/// Everything that a change does, and the fields of the inventory that it comes from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub inventory: Vec<Difference>,
    pub tenants: Vec<TenantChange>,
    pub platform: Vec<Change>,
    pub revenue: Revenue,
}

/// What happens to one tenant, and the fields of its spec that it comes from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TenantChange {
    pub id: String,
    pub what: What,
    pub irreversible: bool,
    pub effects: BTreeSet<Effect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
    pub spec: Vec<Difference>,
    pub changes: Vec<Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub(super) enum What {
    Added,
    Changed,
    /// The spec says `deleted`: final.
    Deleted,
    /// The spec said `deleted` and does no more, which the cluster refuses.
    Revived,
    /// The file went without `deleted`: the operator holds that and alarms.
    Vanished,
}

/// One difference of one object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    pub object: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pointer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    pub effects: Vec<Effect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

/// List prices of active tenants, US cents a month.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Revenue {
    pub before_cents: u64,
    pub after_cents: u64,
}

impl Report {
    pub(super) fn new(old: &Fleet, new: &Fleet) -> Self {
        let by_id = |fleet: &'_ Fleet| -> BTreeMap<String, Tenant> {
            fleet.tenants.iter().map(|t| (t.id.to_string(), t.clone())).collect()
        };
        let (before, after) = (by_id(old), by_id(new));
        let ids: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let same_cluster = old.inventory == new.inventory;
        let tenants: Vec<TenantChange> = ids
            .into_par_iter()
            .filter_map(|id| match (before.get(id), after.get(id)) {
                (Some(a), Some(b)) if same_cluster && a.spec == b.spec => None,
                (a, b) => tenant(id, (a, &old.inventory), (b, &new.inventory)),
            })
            .collect();
        let platform = if same_cluster {
            Vec::new()
        } else {
            objects(
                &oc_manifests::platform(&old.inventory),
                &oc_manifests::platform(&new.inventory),
            )
        };
        // The operator keeps these, and billing goes on.
        let vanished = tenants.iter().filter(|tenant| tenant.what == What::Vanished);
        let kept = revenue(vanished.filter_map(|tenant| before.get(&tenant.id)));
        Self {
            inventory: fields(&old.inventory, &new.inventory),
            platform,
            revenue: Revenue {
                before_cents: revenue(before.values()),
                after_cents: revenue(after.values()) + kept,
            },
            tenants,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inventory.is_empty() && self.tenants.is_empty() && self.platform.is_empty()
    }

    pub(super) fn irreversible(&self) -> bool {
        let platform = self.platform.iter().flat_map(|change| &change.effects);
        self.tenants.iter().any(|tenant| tenant.irreversible)
            || platform.copied().any(Effect::irreversible)
    }
}

fn revenue<'a>(tenants: impl Iterator<Item = &'a Tenant>) -> u64 {
    let active = tenants.filter(|tenant| tenant.spec.state == State::Active);
    active.map(|tenant| tenant.spec.tier.get().price_cents).sum()
}

/// The differences of two documents, field by field.
fn fields<T: Serialize>(before: &T, after: &T) -> Vec<Difference> {
    let value = |document: &T| serde_json::to_value(document).unwrap_or_default();
    differences(&value(before), &value(after))
}

type Side<'a> = (Option<&'a Tenant>, &'a Inventory);

fn tenant(id: &str, (before, old): Side<'_>, (after, new): Side<'_>) -> Option<TenantChange> {
    let whole = |what, effect: Option<Effect>, note| {
        Some(TenantChange {
            id: id.to_owned(),
            what,
            irreversible: what == What::Deleted,
            effects: effect.into_iter().collect(),
            note: Some(note),
            spec: Vec::new(),
            changes: Vec::new(),
        })
    };
    let live = |tenant: &Tenant| tenant.spec.state != State::Deleted;
    match (before.filter(|t| live(t)), after.filter(|t| live(t))) {
        (None, None) => None,
        (None, Some(_)) if before.is_some() => {
            let note = "it was deleted, which is final: the cluster refuses it, make a new tenant";
            whole(What::Revived, None, note)
        }
        (None, Some(tenant)) if tenant.spec.runs() => {
            whole(What::Added, Some(Effect::Create), "a new namespace with its pod")
        }
        (None, Some(_)) => {
            whole(What::Added, Some(Effect::Create), "a new namespace, in which nothing runs")
        }
        (Some(_), None) if after.is_none() => {
            let note = "the file is gone without state \"deleted\": the operator keeps the tenant \
                        as it is and raises an alarm";
            whole(What::Vanished, None, note)
        }
        (Some(_), None) => {
            let note = "the namespace goes with all its data, finally";
            whole(What::Deleted, Some(Effect::DataLoss), note)
        }
        (Some(before), Some(after)) => changed((before, old), (after, new)),
    }
}

fn changed(
    (before, old): (&Tenant, &Inventory),
    (after, new): (&Tenant, &Inventory),
) -> Option<TenantChange> {
    let rendered = |tenant: &Tenant, inventory| {
        oc_manifests::tenant(&tenant.id, &tenant.spec, inventory, &Overlay::default())
    };
    let mut changes = objects(&rendered(before, old), &rendered(after, new));
    if !(before.spec.runs() && after.spec.runs()) {
        // No pod is there to be restarted, before or after.
        for change in &mut changes {
            change.effects.retain(|effect| !effect.needs_pod());
            if change.effects.is_empty() {
                change.effects.push(Effect::Settings);
            }
        }
    }
    let spec = fields(&before.spec, &after.spec);
    let effects: BTreeSet<Effect> =
        changes.iter().flat_map(|change| change.effects.iter().copied()).collect();
    (!changes.is_empty() || !spec.is_empty()).then(|| TenantChange {
        id: after.id.to_string(),
        what: What::Changed,
        irreversible: effects.iter().any(|effect| effect.irreversible()),
        effects,
        note: changes.is_empty().then_some("nothing changes in the cluster"),
        spec,
        changes,
    })
}

/// What differs between two lists of objects.
fn objects(before: &[Object], after: &[Object]) -> Vec<Change> {
    let by_name = |objects: &'_ [Object]| -> BTreeMap<String, (&'static str, Value)> {
        let entry = |object: &Object| {
            let value = serde_json::to_value(object).unwrap_or_default();
            (name(object), (object.kind(), value))
        };
        objects.iter().map(entry).collect()
    };
    let (before, after) = (by_name(before), by_name(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        let whole = |effects, note| Change {
            object: name.clone(),
            pointer: String::new(),
            before: None,
            after: None,
            effects,
            note,
        };
        match (before.get(name), after.get(name)) {
            (Some((kind, a)), Some((_, b))) => {
                for difference in differences(a, b) {
                    let (effects, note) = classify(kind, &difference);
                    let Difference { pointer, before, after } = difference;
                    let object = name.clone();
                    changes.push(Change { object, pointer, before, after, effects, note });
                }
            }
            (Some((kind, _)), None) => {
                let (effects, note) = removal(kind);
                changes.push(whole(effects, note));
            }
            (None, _) => changes.push(whole(vec![Effect::Create], None)),
        }
    }
    changes
}

/// `Deployment openclaw-gateway`: the name within a tenant, with the namespace on the platform.
fn name(object: &Object) -> String {
    let namespace = object.namespace().filter(|namespace| !namespace.starts_with("customer-"));
    match namespace {
        Some(namespace) => format!("{} {namespace}/{}", object.kind(), object.name()),
        None if object.kind() == "Namespace" && object.name().starts_with("customer-") => {
            object.kind().to_owned()
        }
        None => format!("{} {}", object.kind(), object.name()),
    }
}
