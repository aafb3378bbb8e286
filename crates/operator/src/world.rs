//! What the cluster looks like, as far as the operator has to know: a few hundred bytes for each
//! object, however large it is.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use oc_domain::{TenantId, tenant::Tenant};
use parking_lot::Mutex;
use serde_json::Value;

use crate::{
    digest::Digest,
    health,
    kind::{Key, Kind},
    reconcile::{COMMIT, Standing},
    source::Source,
};

/// Who we are in `managedFields`.
pub(crate) const MANAGER: &str = "openclaw-operator";

/// All tenants.
#[derive(Debug, Default)]
pub(crate) struct World {
    entries: Mutex<HashMap<TenantId, Entry>>,
    /// Whether what git says of each tenant is known.
    read: AtomicBool,
}

/// One tenant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    /// The object of kind `Tenant`.
    pub(crate) tenant: Option<Arc<Tenant>>,
    /// What fields of that are ours.
    pub(crate) specified: Digest,
    /// What git says.
    pub(crate) source: Source,
    /// The objects that carry our labels.
    pub(crate) children: BTreeMap<Key, Child>,
    pub(crate) pods: Vec<health::Pod>,
    /// The size of the state volume, in GiB.
    pub(crate) claim_gib: Option<u32>,
    /// What the namespace says was bought.
    pub(crate) tier: Option<String>,
    /// The revision of which an apply has begun: the namespace, which says it, comes first.
    pub(crate) revision: Option<String>,
    pub(crate) memory: Memory,
}

/// What is remembered from one look to the next. All of it may be lost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// What each object was after our last apply.
    pub(crate) applied: Option<BTreeMap<Key, Applied>>,
    /// What fields of the `Tenant` were ours after our last apply.
    pub(crate) specified: Option<Digest>,
    /// Failures in a row.
    pub(crate) attempts: u32,
    pub(crate) standing: Option<Standing>,
    pub(crate) budget: health::Budget,
    /// Since when a pod should run.
    pub(crate) expected_since: Option<Timestamp>,
    pub(crate) pod_was_there: bool,
    /// A time in which the agent should answer and does not.
    pub(crate) episode: Option<health::Episode>,
    /// The renderings that are stored of it, the newest last.
    pub(crate) kept: Vec<Kept>,
    /// What pods have in their volumes was applied, and not all of them have been told.
    pub(crate) stale_files: bool,
    /// The Deployment was applied, and nobody has seen that its controller knows.
    pub(crate) unsettled: bool,
    /// When the commit was made that is on its way, until it is applied, and until it is ready.
    pub(crate) to_apply: Option<Timestamp>,
    pub(crate) to_ready: Option<Timestamp>,
}

/// A rendering that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) revision: String,
    /// Digests of the spec and of the objects.
    pub(crate) spec: String,
    pub(crate) digest: String,
}

/// An object as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    /// Its resource version, which grows.
    pub(crate) version: u64,
    /// What fields of it are ours.
    pub(crate) fields: Digest,
    /// It is on its way out.
    pub(crate) leaving: bool,
}

/// An object as our apply left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) manifest: Digest,
    pub(crate) fields: Digest,
}

impl Memory {
    /// Notes that a rendering is stored, in the place of the one of its revision. Of those of other
    /// revisions the newest stays, as in the store.
    pub(crate) fn keep(&mut self, kept: Kept) {
        self.kept.retain(|known| known.revision != kept.revision);
        let older = self.kept.len().saturating_sub(1);
        self.kept.drain(..older);
        self.kept.push(kept);
    }

    /// The revision that the tenant was healthy with before that one, with the same spec.
    pub(crate) fn before(&self, revision: &str, spec: &str) -> Option<String> {
        let other = |kept: &&Kept| kept.revision != revision && kept.spec == spec;
        Some(self.kept.iter().rev().find(other)?.revision.clone())
    }

    /// Notes since when a pod should run: since its Deployment was applied, or since it was lost.
    pub(crate) fn expect_pod(
        &mut self,
        runs: bool,
        applied: &[Key],
        pods: &[health::Pod],
        now: Timestamp,
    ) {
        let changed = applied.iter().any(|(kind, _)| *kind == Kind::Deployment);
        let waits = self.expected_since.is_some() && pods.is_empty() && !self.pod_was_there;
        self.pod_was_there = !pods.is_empty();
        // A pod of before is still there, and still ready.
        self.unsettled |= changed && !pods.is_empty();
        if !runs {
            self.expected_since = None;
        } else if changed || !waits {
            self.expected_since = Some(now);
        }
    }
}

impl Child {
    pub(crate) fn of(metadata: &ObjectMeta) -> Self {
        Self {
            version: version(metadata),
            fields: ours(metadata),
            leaving: metadata.deletion_timestamp.is_some(),
        }
    }
}

/// The resource version: a number, as Kubernetes promises since 1.35.
pub(crate) fn version(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|it| it.parse().ok()).unwrap_or_default()
}

/// The fields that our applies own. Whoever changes the value of one takes it away from us.
fn ours(metadata: &ObjectMeta) -> Digest {
    our_fields(metadata).map_or(Digest::NONE, |fields| Digest::of(fields.to_string().as_bytes()))
}

/// The same of a `Tenant`: nothing where the commit that it names is not ours.
pub(crate) fn specified(metadata: &ObjectMeta) -> Digest {
    let commit = format!("f:{COMMIT}");
    let annotations =
        our_fields(metadata).map(|fields| fields.pointer("/f:metadata/f:annotations"));
    let named = annotations.flatten().is_some_and(|it| it.get(&commit).is_some());
    if named { ours(metadata) } else { Digest::NONE }
}

fn our_fields(metadata: &ObjectMeta) -> Option<&Value> {
    let is_ours = |entry: &&ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    };
    let entry = metadata.managed_fields.iter().flatten().find(is_ours)?;
    Some(&entry.fields_v1.as_ref()?.0)
}

impl Entry {
    /// Whether nothing is known that would be missed.
    fn is_empty(&self) -> bool {
        self.tenant.is_none()
            && self.children.is_empty()
            && self.pods.is_empty()
            && matches!(self.source, Source::Unknown)
    }

    /// Notes an object; whether that is news.
    pub(crate) fn see(&mut self, key: Key, child: Child) -> bool {
        match self.children.get_mut(&key) {
            // Of what we wrote ourselves we know before we hear of it.
            Some(known) if known.version >= child.version => false,
            Some(known) => {
                let before = std::mem::replace(known, child);
                (before.fields, before.leaving) != (child.fields, child.leaving)
            }
            None => {
                self.children.insert(key, child);
                true
            }
        }
    }

    /// Notes that an object of that version was the last one; whether that is news.
    pub(crate) fn lose(&mut self, key: &Key, version: u64) -> bool {
        let lost = self.children.get(key).is_some_and(|known| known.version <= version);
        if lost {
            self.children.remove(key);
        }
        lost
    }

    /// The digest of all that our applies own of the objects of `keys`.
    pub(crate) fn fields<'a>(&self, keys: impl Iterator<Item = &'a Key>) -> Digest {
        let fields = keys.map(|key| match self.children.get(key) {
            Some(child) if !child.leaving => child.fields,
            _ => Digest::NONE,
        });
        Digest::all(fields)
    }
}

impl World {
    /// A copy of what is known of a tenant.
    pub(crate) fn entry(&self, id: &TenantId) -> Entry {
        self.entries.lock().get(id).cloned().unwrap_or_default()
    }

    /// Changes what is known of a tenant.
    pub(crate) fn with<T>(&self, id: &TenantId, change: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entries = self.entries.lock();
        let result = change(entries.entry(id.clone()).or_default());
        if entries.get(id).is_some_and(Entry::is_empty) {
            entries.remove(id);
        }
        result
    }

    /// What git says of each tenant is known from now on.
    pub(crate) fn read_git(&self) {
        self.read.store(true, Ordering::Release);
    }

    /// Whether a tenant of which git says nothing has no file.
    pub(crate) fn git_is_read(&self) -> bool {
        self.read.load(Ordering::Acquire)
    }

    /// Looks at every tenant.
    pub(crate) fn each(&self, mut look: impl FnMut(&TenantId, &Entry)) {
        for (id, entry) in &*self.entries.lock() {
            look(id, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(value: Value) -> ObjectMeta {
        serde_json::from_value(value).unwrap_or_default()
    }

    fn entry(manager: &str, operation: &str, fields: &Value) -> Value {
        json!({ "manager": manager, "operation": operation, "fieldsV1": fields,
            "apiVersion": "v1", "fieldsType": "FieldsV1", "time": "2026-11-21T00:00:00Z" })
    }

    #[test]
    fn only_the_fields_of_our_applies_count() {
        let (a, b) = (json!({ "f:data": { "f:a": {} } }), json!({ "f:data": {} }));
        let with = |entries: &[Value]| {
            let all = metadata(json!({ "resourceVersion": "7", "managedFields": entries }));
            Child::of(&all).fields
        };
        let mine = with(&[entry(MANAGER, "Apply", &a)]);
        assert_eq!(mine, with(&[entry("kubectl", "Apply", &b), entry(MANAGER, "Apply", &a)]));
        assert_ne!(mine, with(&[entry(MANAGER, "Apply", &b)]));
        assert_eq!(Digest::NONE, with(&[entry(MANAGER, "Update", &a)]));
        assert_eq!(Digest::NONE, with(&[]));
    }

    #[test]
    fn what_we_wrote_is_no_news_and_what_is_older_is_not_believed() {
        let mut known = Entry::default();
        let child =
            |version, fields: &[u8]| Child { version, fields: Digest::of(fields), leaving: false };
        let key = (Kind::ConfigMap, "a".to_owned());
        assert!(known.see(key.clone(), child(5, b"x")));
        assert!(!known.see(key.clone(), child(5, b"x")));
        assert!(!known.see(key.clone(), child(4, b"older")));
        assert!(!known.see(key.clone(), child(6, b"x")), "nothing of ours is other");
        assert!(known.see(key.clone(), child(7, b"drift")));
        assert!(!known.lose(&key, 6), "it was made again since");
        assert!(known.lose(&key, 8));
    }
}
