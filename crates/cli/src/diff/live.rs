//! The tenants of the cluster against what the working copy renders.
//!
//! The API fills in defaults and other programs add fields of theirs, so a live object differs only
//! where something that we render is another. What isolates a tenant is compared whole: there a field
//! too many opens what we closed.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api,
    api::{DynamicObject, ListParams},
    core::ApiResource,
};
use oc_domain::{Fleet, TenantSpec, diagnostic::child, fleet::Tenant, tenant::State};
use oc_manifests::{MANAGED_BY, Overlay};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::{
    classify::{Effect, removal},
    compare::{Difference, Key, differences, keyed},
    report::{
        Change, DELETED, Plan, Report, Revenue, TenantChange, VANISHED, What, added, brief, revenue,
    },
};
use crate::{
    cluster::{self, Cluster, all, kinds, plain},
    failure::Failure,
    quantity,
};

/// What the names of tenants' namespaces begin with.
const PREFIX: &str = "customer-";

/// What of the cluster is the tenants'.
pub(super) struct Live {
    /// The custom resources' specs by id.
    specs: BTreeMap<String, Value>,
    /// The objects by the namespace that they are in, or are.
    objects: BTreeMap<String, Objects>,
}

/// Objects of one namespace by kind and name.
type Objects = BTreeMap<(String, String), Value>;

impl Live {
    /// Asks the cluster, which is changed by others meanwhile: what is in between is in between.
    pub(super) fn read() -> Result<Self, Failure> {
        let cluster = Cluster::new()?;
        let spec =
            |tenant: &Value| (key(tenant).1, tenant.get("spec").cloned().unwrap_or_default());
        let specs = cluster::tenants(&cluster)?.iter().map(spec).collect();
        let mut live = Self { specs, objects: BTreeMap::new() };
        for kind in [kinds().as_slice(), &[ApiResource::erase::<Namespace>(&())]].concat() {
            let api: Api<DynamicObject> = Api::all_with(cluster.client(), &kind);
            let what = format!("list {}", kind.plural);
            let objects = cluster
                .wait(&what, all(ListParams::default(), async |page| api.list(page).await))?;
            live.add(objects.into_iter().map(|object| plain(object, &kind)));
        }
        // What a Secret holds does not leave the cluster.
        let api: Api<Secret> = Api::all(cluster.client());
        let secrets = all(ListParams::default(), async |page| api.list_metadata(page).await);
        let secrets = cluster.wait("list secrets", secrets)?;
        live.add(secrets.into_iter().map(
            |secret| json!({"apiVersion": "v1", "kind": "Secret", "metadata": secret.metadata}),
        ));
        Ok(live)
    }

    /// Takes those of `objects` that are in a tenant's namespace, or are one.
    fn add(&mut self, objects: impl Iterator<Item = Value>) {
        for object in objects {
            let key = key(&object);
            let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
            let namespace = namespace.unwrap_or(if key.0 == "Namespace" { &key.1 } else { "" });
            if namespace.starts_with(PREFIX) {
                let namespace = namespace.to_owned();
                self.objects.entry(namespace).or_default().insert(key, object);
            }
        }
    }

    /// The ids of all tenants that the cluster has something of.
    fn ids(&self) -> impl Iterator<Item = &str> {
        let ours = |(namespace, objects): (&'_ String, &Objects)| {
            objects.get(&("Namespace".to_owned(), namespace.clone())).is_some_and(is_ours)
        };
        let namespaces = self.objects.iter().filter(move |entry| ours(*entry));
        let ids = namespaces.filter_map(|(namespace, _)| namespace.strip_prefix(PREFIX));
        self.specs.keys().map(String::as_str).chain(ids)
    }

    fn namespace(&self, id: &str) -> Option<&Objects> {
        let namespace = format!("{PREFIX}{id}");
        let objects = self.objects.get(&namespace)?;
        objects.contains_key(&("Namespace".to_owned(), namespace)).then_some(objects)
    }
}

impl Report {
    /// What makes the cluster's tenants those of `fleet`.
    pub(super) fn live(live: &Live, fleet: &Fleet) -> Result<Self, Failure> {
        let files: BTreeMap<&str, &Tenant> =
            fleet.tenants.iter().map(|tenant| (tenant.id.as_str(), tenant)).collect();
        let ids: BTreeSet<&str> = live.ids().chain(files.keys().copied()).collect();
        let tenants: Vec<TenantChange> = ids
            .into_par_iter()
            .filter_map(|id| tenant(id, live, files.get(id).copied(), fleet))
            .collect();
        let specs: BTreeMap<&str, TenantSpec> =
            live.specs.iter().filter_map(|(id, spec)| Some((id.as_str(), parsed(spec)?))).collect();
        // The operator keeps these, and billing goes on.
        let vanished = specs.iter().filter(|(id, _)| !files.contains_key(*id));
        let kept: Vec<&TenantSpec> = vanished.map(|(_, spec)| spec).collect();
        let new_specs = || files.values().map(|tenant| &tenant.spec).chain(kept.iter().copied());
        let plan = Plan {
            before: brief(&fleet.inventory, specs.values())?,
            after: brief(&fleet.inventory, new_specs())?,
        };
        Ok(Self {
            inventory: Vec::new(),
            platform: Vec::new(),
            revenue: Revenue {
                before_cents: revenue(specs.values()),
                after_cents: revenue(new_specs()),
            },
            plan,
            tenants,
        })
    }
}

fn tenant(id: &str, live: &Live, file: Option<&Tenant>, fleet: &Fleet) -> Option<TenantChange> {
    let (spec, namespace) = (live.specs.get(id), live.namespace(id));
    let known = spec.is_some() || namespace.is_some();
    let (what, effect, note) = match (file, namespace) {
        (None, _) => (What::Vanished, None, VANISHED),
        (Some(file), _) if file.spec.state == State::Deleted => {
            (What::Deleted, Some(Effect::DataLoss), DELETED)
        }
        (Some(file), None) => (What::Added, Some(Effect::Create), added(&file.spec)),
        (Some(file), Some(objects)) => return changed(file, spec, objects, fleet),
    };
    (known || what == What::Added).then(|| TenantChange::whole(id, what, effect, note))
}

fn changed(
    file: &Tenant,
    spec: Option<&Value>,
    live: &Objects,
    fleet: &Fleet,
) -> Option<TenantChange> {
    let wanted = serde_json::to_value(&file.spec).unwrap_or_default();
    let spec = differences(spec.unwrap_or(&wanted), &wanted);
    let changes = changes(live, &rendered(file, live, fleet));
    let runs = live.iter().any(|((kind, _), object)| {
        kind == "Deployment" && object.pointer("/spec/replicas") != Some(&json!(0))
    });
    TenantChange::changed(file.id.as_str(), spec, changes, runs && file.spec.runs())
}

/// The tenant's objects as the operator would apply them: a claim never shrinks.
fn rendered(file: &Tenant, live: &Objects, fleet: &Fleet) -> Objects {
    let claims = live.iter().filter(|((kind, _), _)| kind == "PersistentVolumeClaim");
    let asked = claims.filter_map(|(_, claim)| {
        quantity::gibi(claim.pointer("/spec/resources/requests/storage")?.as_str()?)
    });
    let storage_gib = asked.max().filter(|asked| *asked > file.spec.tier.get().storage_gib);
    let overlay = Overlay { storage_gib, ..Overlay::default() };
    let objects = oc_manifests::tenant(&file.id, &file.spec, &fleet.inventory, &overlay);
    let mut objects: Vec<Value> =
        objects.iter().map(|object| serde_json::to_value(object).unwrap_or_default()).collect();
    let secret = oc_manifests::secret(&file.id, "", "");
    objects.push(json!({"apiVersion": "v1", "kind": "Secret", "metadata": secret.metadata}));
    objects.into_iter().map(|object| (key(&object), object)).collect()
}

fn changes(live: &Objects, rendered: &Objects) -> Vec<Change> {
    let keys: BTreeSet<&(String, String)> = live.keys().chain(rendered.keys()).collect();
    let mut changes = Vec::new();
    for key in keys {
        let (kind, name) = key;
        let title = if kind == "Namespace" { kind.clone() } else { format!("{kind} {name}") };
        match (live.get(key), rendered.get(key)) {
            (Some(live), Some(rendered)) => {
                let mut found = Vec::new();
                compare("", Some(live), rendered, kind == "NetworkPolicy", &mut found);
                changes.extend(found.into_iter().map(|found| Change::at(&title, kind, found)));
            }
            (Some(live), None) if is_ours(live) => {
                changes.push(Change::whole(&title, removal(kind)));
            }
            (Some(_) | None, None) => {}
            (None, Some(_)) => changes.push(Change::whole(&title, (vec![Effect::Create], None))),
        }
    }
    changes
}

/// Every place where something that is rendered is another, live; with `whole` also what is there
/// without being rendered, in `spec`.
fn compare(
    pointer: &str,
    live: Option<&Value>,
    rendered: &Value,
    whole: bool,
    found: &mut Vec<Difference>,
) {
    match (live, rendered) {
        (Some(Value::Object(live)), Value::Object(fields)) if !fields.is_empty() => {
            for (name, value) in fields {
                compare(&child(pointer, name), live.get(name), value, whole, found);
            }
            let more = live.iter().filter(|(name, _)| !fields.contains_key(*name));
            found.extend(more.filter(|_| whole && pointer.starts_with("/spec")).map(
                |(name, value)| Difference {
                    pointer: child(pointer, name),
                    before: Some(value.clone()),
                    after: None,
                },
            ));
        }
        (Some(Value::Array(live)), Value::Array(items)) if comparable(live, items) => {
            let live = keyed(live);
            for (key, value) in keyed(items) {
                let pointer = child(pointer, &key.token());
                compare(&pointer, live.get(&key).copied(), value, whole, found);
            }
        }
        (live, rendered) if is_same(pointer, live, rendered) => {}
        (live, rendered) => found.push(Difference {
            pointer: pointer.to_owned(),
            before: live.cloned(),
            after: Some(rendered.clone()),
        }),
    }
}

/// Whether two lists are compared by their entries: by name, where others may have added some, or by
/// position, where they may not.
fn comparable(live: &[Value], rendered: &[Value]) -> bool {
    let named = |items: &[Value]| !items.is_empty() && keyed(items).keys().all(Key::is_name);
    live.len() == rendered.len() || named(live) && named(rendered)
}

fn is_same(pointer: &str, live: Option<&Value>, rendered: &Value) -> bool {
    let empty = match rendered {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    let amount = |value: &Value| value.as_str().and_then(quantity::nanos);
    match live {
        None => empty,
        Some(live) if live == rendered => true,
        Some(live) => {
            let amount = quantity::is_at(pointer).then(|| (amount(live), amount(rendered)));
            amount.is_some_and(|(live, rendered)| live.is_some() && live == rendered)
        }
    }
}

fn key(object: &Value) -> (String, String) {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    (text("/kind").to_owned(), text("/metadata/name").to_owned())
}

fn is_ours(object: &Value) -> bool {
    let labels = object.pointer("/metadata/labels");
    labels.is_some_and(|labels| labels[MANAGED_BY] == "openclaw-cloud")
}

fn parsed(spec: &Value) -> Option<TenantSpec> {
    serde_json::from_value(spec.clone()).ok()
}
