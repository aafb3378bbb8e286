//! The blast radius of a change.

use std::collections::{BTreeMap, BTreeSet};

use oc_domain::{Fleet, Inventory, TenantSpec, fleet::Tenant, tenant::State};
use oc_manifests::{Object, Overlay};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;
use strum::Display;

use super::{
    classify::{Effect, Outcome, classify, removal},
    compare::{Difference, differences},
};
use crate::{
    failure::Failure,
    plan::{Brief, Planner, Subject},
};

/// Everything that a change does, and the fields of the inventory that it comes from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub inventory: Vec<Difference>,
    pub tenants: Vec<TenantChange>,
    pub platform: Vec<Change>,
    pub revenue: Revenue,
    pub plan: Plan,
}

/// What the plan says of both sides: costs, margin and room for more tenants.
#[derive(Debug, Serialize)]
pub(super) struct Plan {
    pub before: Brief,
    pub after: Brief,
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

/// What becomes of a tenant whose file is gone.
pub(super) const VANISHED: &str = "the file is gone without state \"deleted\": the operator keeps \
                                   the tenant as it is and raises an alarm";
/// What becomes of a tenant that is said to be deleted.
pub(super) const DELETED: &str = "the namespace goes with all its data, finally";

impl Report {
    pub(super) fn new(old: &Fleet, new: &Fleet) -> Result<Self, Failure> {
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
        let kept: Vec<&TenantSpec> =
            vanished.filter_map(|tenant| Some(&before.get(&tenant.id)?.spec)).collect();
        let new_specs = || after.values().map(|tenant| &tenant.spec).chain(kept.iter().copied());
        let plan = Plan {
            before: brief(&old.inventory, before.values().map(|tenant| &tenant.spec))?,
            after: brief(&new.inventory, new_specs())?,
        };
        Ok(Self {
            inventory: fields(&old.inventory, &new.inventory),
            platform,
            revenue: Revenue {
                before_cents: revenue(before.values().map(|tenant| &tenant.spec)),
                after_cents: revenue(new_specs()),
            },
            plan,
            tenants,
        })
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

/// The list prices of the active ones of `specs`, US cents a month.
pub(super) fn revenue<'a>(specs: impl Iterator<Item = &'a TenantSpec>) -> u64 {
    let active = specs.filter(|spec| spec.state == State::Active);
    active.map(|spec| spec.tier.get().price_cents).sum()
}

/// What the plan says of a fleet, at the prices and with the assumptions compiled in.
pub(super) fn brief<'a>(
    inventory: &Inventory,
    specs: impl Iterator<Item = &'a TenantSpec>,
) -> Result<Brief, Failure> {
    Ok(Planner::plain(inventory)?.brief(&Subject::new(inventory, specs)))
}

/// The differences of two documents, field by field.
fn fields<T: Serialize>(before: &T, after: &T) -> Vec<Difference> {
    let value = |document: &T| serde_json::to_value(document).unwrap_or_default();
    differences(&value(before), &value(after))
}

type Side<'a> = (Option<&'a Tenant>, &'a Inventory);

fn tenant(id: &str, (before, old): Side<'_>, (after, new): Side<'_>) -> Option<TenantChange> {
    let whole = |what, effect, note| Some(TenantChange::whole(id, what, effect, note));
    let live = |tenant: &Tenant| tenant.spec.state != State::Deleted;
    match (before.filter(|t| live(t)), after.filter(|t| live(t))) {
        (None, None) => None,
        (None, Some(_)) if before.is_some() => {
            let note = "it was deleted, which is final: the cluster refuses it, make a new tenant";
            whole(What::Revived, None, note)
        }
        (None, Some(tenant)) => whole(What::Added, Some(Effect::Create), added(&tenant.spec)),
        (Some(_), None) if after.is_none() => whole(What::Vanished, None, VANISHED),
        (Some(_), None) => whole(What::Deleted, Some(Effect::DataLoss), DELETED),
        (Some(before), Some(after)) => changed((before, old), (after, new)),
    }
}

/// What becomes of a new tenant.
pub(super) fn added(spec: &TenantSpec) -> &'static str {
    if spec.runs() {
        "a new namespace with its pod"
    } else {
        "a new namespace, in which nothing runs"
    }
}

fn changed(
    (before, old): (&Tenant, &Inventory),
    (after, new): (&Tenant, &Inventory),
) -> Option<TenantChange> {
    let rendered = |tenant: &Tenant, inventory| {
        oc_manifests::tenant(&tenant.id, &tenant.spec, inventory, &Overlay::default())
    };
    let changes = objects(&rendered(before, old), &rendered(after, new));
    let spec = fields(&before.spec, &after.spec);
    let runs = before.spec.runs() && after.spec.runs();
    TenantChange::changed(after.id.as_str(), spec, changes, runs)
}

impl TenantChange {
    /// What happens to a tenant as a whole.
    pub(super) fn whole(id: &str, what: What, effect: Option<Effect>, note: &'static str) -> Self {
        Self {
            id: id.to_owned(),
            what,
            irreversible: what == What::Deleted,
            effects: effect.into_iter().collect(),
            note: Some(note),
            spec: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// What happens to a tenant that was there and stays; `runs`: with its pod, before and after.
    pub(super) fn changed(
        id: &str,
        spec: Vec<Difference>,
        mut changes: Vec<Change>,
        runs: bool,
    ) -> Option<Self> {
        if !runs {
            // No pod is there to be restarted.
            for change in &mut changes {
                change.effects.retain(|effect| !effect.needs_pod());
                if change.effects.is_empty() {
                    change.effects.push(Effect::Settings);
                }
            }
        }
        let effects: BTreeSet<Effect> =
            changes.iter().flat_map(|change| change.effects.iter().copied()).collect();
        (!changes.is_empty() || !spec.is_empty()).then(|| Self {
            id: id.to_owned(),
            what: What::Changed,
            irreversible: effects.iter().any(|effect| effect.irreversible()),
            effects,
            note: changes.is_empty().then_some("nothing changes in the cluster"),
            spec,
            changes,
        })
    }
}

impl Change {
    /// An object that comes or goes.
    pub(super) fn whole(object: &str, (effects, note): Outcome) -> Self {
        let object = object.to_owned();
        Self { object, pointer: String::new(), before: None, after: None, effects, note }
    }

    /// One place where an object of `kind` is another.
    pub(super) fn at(object: &str, kind: &str, difference: Difference) -> Self {
        let (effects, note) = classify(kind, &difference);
        let Difference { pointer, before, after } = difference;
        Self { object: object.to_owned(), pointer, before, after, effects, note }
    }
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
        match (before.get(name), after.get(name)) {
            (Some((kind, a)), Some((_, b))) => {
                let differences = differences(a, b).into_iter();
                changes.extend(differences.map(|difference| Change::at(name, kind, difference)));
            }
            (Some((kind, _)), None) => changes.push(Change::whole(name, removal(kind))),
            (None, _) => changes.push(Change::whole(name, (vec![Effect::Create], None))),
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
