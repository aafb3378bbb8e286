//! The blast radius of a change.

use std::collections::{BTreeMap, BTreeSet};

use anstyle::{AnsiColor, Style};
use oc_domain::{Fleet, Inventory, fleet::Tenant, tenant::State};
use oc_manifests::Object;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;

use super::{
    classify::{Effect, classify, removal},
    compare::differences,
};
use crate::failure::plural;

const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// Everything that a change does.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    tenants: Vec<TenantChange>,
    platform: Vec<Change>,
    revenue: Revenue,
}

/// What happens to one tenant.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TenantChange {
    id: String,
    what: What,
    irreversible: bool,
    effects: BTreeSet<Effect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    changes: Vec<Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    Added,
    Changed,
    /// The spec says `deleted`: final.
    Deleted,
    /// The file went without `deleted`: the operator holds that and alarms.
    Vanished,
}

/// One difference of one object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    object: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pointer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
    effects: Vec<Effect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// List prices of active tenants, US cents a month.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Revenue {
    before_cents: u64,
    after_cents: u64,
}

impl Report {
    pub(super) fn new(old: &Fleet, new: &Fleet) -> Self {
        let by_id = |fleet: &'_ Fleet| -> BTreeMap<String, Tenant> {
            fleet.tenants.iter().map(|t| (t.id.to_string(), t.clone())).collect()
        };
        let (before, after) = (by_id(old), by_id(new));
        let ids: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let same_cluster = old.inventory == new.inventory;
        let tenants = ids
            .into_par_iter()
            .filter_map(|id| match (before.get(id), after.get(id)) {
                (Some(a), Some(b)) if same_cluster && a.spec == b.spec => None,
                (a, b) => tenant(id, (a, &old.inventory), (b, &new.inventory)),
            })
            .collect();
        let platform = if same_cluster {
            Vec::new()
        } else {
            objects(&oc_manifests::platform(&old.inventory), &oc_manifests::platform(&new.inventory))
        };
        Self {
            tenants,
            platform,
            revenue: Revenue { before_cents: revenue(old), after_cents: revenue(new) },
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tenants.is_empty() && self.platform.is_empty()
    }

    pub(super) fn irreversible(&self) -> bool {
        let platform = self.platform.iter().flat_map(|change| &change.effects);
        self.tenants.iter().any(|tenant| tenant.irreversible)
            || platform.copied().any(Effect::irreversible)
    }
}

fn revenue(fleet: &Fleet) -> u64 {
    let active = fleet.tenants.iter().filter(|tenant| tenant.spec.state == State::Active);
    active.map(|tenant| tenant.spec.tier.get().price_cents).sum()
}

type Side<'a> = (Option<&'a Tenant>, &'a Inventory);

fn tenant(id: &str, (before, old): Side<'_>, (after, new): Side<'_>) -> Option<TenantChange> {
    let live = |tenant: Option<&Tenant>| tenant.is_some_and(|t| t.spec.state != State::Deleted);
    let rendered = |tenant: Option<&Tenant>, inventory: &Inventory| {
        let tenant = tenant.filter(|tenant| tenant.spec.state != State::Deleted);
        tenant.map_or_else(Vec::new, |t| oc_manifests::tenant(&t.id, &t.spec, inventory))
    };
    let whole = |what, effect, note| {
        Some(TenantChange {
            id: id.to_owned(),
            what,
            irreversible: what == What::Deleted,
            effects: BTreeSet::from([effect]),
            note: Some(note),
            changes: Vec::new(),
        })
    };
    match (live(before), live(after)) {
        (false, false) => None,
        (false, true) => whole(What::Added, Effect::Create, "a new namespace with its pod"),
        (true, false) if after.is_none() => {
            let note = "the file is gone without state \"deleted\": the operator holds that";
            whole(What::Vanished, Effect::Settings, note)
        }
        (true, false) => whole(What::Deleted, Effect::DataLoss, "final: the namespace goes"),
        (true, true) => {
            let changes = objects(&rendered(before, old), &rendered(after, new));
            let effects: BTreeSet<Effect> =
                changes.iter().flat_map(|change| change.effects.iter().copied()).collect();
            let irreversible = effects.iter().any(|effect| effect.irreversible());
            (!changes.is_empty()).then(|| TenantChange {
                id: id.to_owned(),
                what: What::Changed,
                irreversible,
                effects,
                note: None,
                changes,
            })
        }
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
                    changes.push(Change {
                        object: name.clone(),
                        pointer: difference.pointer,
                        before: difference.before,
                        after: difference.after,
                        effects,
                        note,
                    });
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

impl Report {
    /// Prints the report for people: tenants to whom the same happens stand together.
    pub(super) fn print(&self, against: &str) {
        if self.is_empty() {
            anstream::println!("no change against {against}");
            return;
        }
        for (group, ids) in self.groups() {
            group.print(&ids);
        }
        for change in &self.platform {
            change.print("");
        }
        self.print_summary();
    }

    /// Tenants by what happens to them, the largest group first.
    fn groups(&self) -> Vec<(&TenantChange, Vec<&str>)> {
        let mut groups: Vec<(&TenantChange, Vec<&str>)> = Vec::new();
        let mut index: BTreeMap<String, usize> = BTreeMap::new();
        for tenant in &self.tenants {
            let key = format!("{:?}{:?}{:?}", tenant.what, tenant.note, tenant.changes);
            match index.get(&key).and_then(|at| groups.get_mut(*at)) {
                Some((_, ids)) => ids.push(&tenant.id),
                None => {
                    index.insert(key, groups.len());
                    groups.push((tenant, vec![&tenant.id]));
                }
            }
        }
        groups.sort_by_key(|(first, ids)| (std::cmp::Reverse(ids.len()), &first.id));
        groups
    }

    fn print_summary(&self) {
        let mut counts: BTreeMap<Effect, usize> = BTreeMap::new();
        for effect in self.tenants.iter().flat_map(|tenant| &tenant.effects) {
            *counts.entry(*effect).or_default() += 1;
        }
        let counts: Vec<String> =
            counts.iter().rev().map(|(effect, count)| format!("{effect} {count}")).collect();
        let detail =
            if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
        let tenants = plural(self.tenants.len(), "tenant");
        let platform = plural(self.platform.len(), "platform change");
        anstream::println!("{BOLD}{tenants}{detail}, {platform}{BOLD:#}");
        let Revenue { before_cents, after_cents } = self.revenue;
        let sign = if after_cents < before_cents { '-' } else { '+' };
        anstream::println!(
            "revenue at list price: {} to {} a month ({sign}{})",
            dollars(before_cents),
            dollars(after_cents),
            dollars(after_cents.abs_diff(before_cents)),
        );
        if self.irreversible() {
            anstream::println!("{RED}some of it cannot be undone by reverting the commit{RED:#}");
        }
    }
}

impl TenantChange {
    fn print(&self, ids: &[&str]) {
        let shown = ids.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let more = ids.len().saturating_sub(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let what = match self.what {
            What::Added => "added",
            What::Changed => "changed",
            What::Deleted => "deleted",
            What::Vanished => "vanished",
        };
        let mark = if self.irreversible { format!(" {RED}cannot be undone{RED:#}") } else { String::new() };
        let note = self.note.map(|note| format!(": {note}")).unwrap_or_default();
        anstream::println!("{BOLD}{what}{BOLD:#} {shown}{more}{note}{mark}");
        for change in &self.changes {
            change.print("  ");
        }
    }
}

impl Change {
    fn print(&self, indent: &str) {
        let effects: Vec<String> = self.effects.iter().map(ToString::to_string).collect();
        let irreversible = self.effects.iter().any(|effect| effect.irreversible());
        let style = if irreversible { RED } else { BOLD };
        let values = match (&self.before, &self.after) {
            (None, None) => String::new(),
            (before, after) => format!(" {} to {}", short(before.as_ref()), short(after.as_ref())),
        };
        let note = self.note.map(|note| format!(" {DIM}({note}){DIM:#}")).unwrap_or_default();
        let Self { object, pointer, .. } = self;
        anstream::println!("{indent}{style}{}{style:#} {object} {pointer}{values}{note}", effects.join(", "));
    }
}

/// A value in a few characters: texts of many lines by their size only.
fn short(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::String(text)) if text.chars().count() > 60 => {
            format!("a text of {} characters", text.chars().count())
        }
        Some(value) => {
            let text = value.to_string();
            if text.chars().count() > 80 { "other contents".to_owned() } else { text }
        }
    }
}

/// US cents as dollars.
fn dollars(cents: u64) -> String {
    format!("${}.{:02}", cents / 100, cents % 100)
}
