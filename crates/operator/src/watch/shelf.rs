//! Where in a tenant's [`Entry`] each kind of object goes.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod};
use kube::{Resource, ResourceExt as _, core::PartialObjectMeta};
use oc_domain::{TenantId, tenant::Tenant};
use oc_manifests::{REVISION, TIER};

use crate::{
    health,
    kind::Kind,
    world::{Child, Entry, specified, version},
};

/// A place for objects of one kind.
pub(super) trait Shelf<K: Resource> {
    /// Whose an object is: by its namespace, since labels can be edited and copied.
    fn owner(&self, object: &K) -> Option<TenantId> {
        tenant_of(object.meta().namespace.as_deref()?)
    }

    /// Notes an object; whether it is news.
    fn put(&self, entry: &mut Entry, object: K) -> bool;

    /// Notes that an object ended at that version; whether it is news.
    fn take(&self, entry: &mut Entry, name: &str, version: u64) -> bool;

    /// The names of those that are known.
    fn names(&self, entry: &Entry) -> Vec<String>;
}

pub(super) struct Tenants;
pub(super) struct Namespaces;
pub(super) struct Claims;
pub(super) struct Children(pub(super) Kind);
pub(super) struct Pods;

impl Shelf<Tenant> for Tenants {
    fn owner(&self, tenant: &Tenant) -> Option<TenantId> {
        tenant.name_any().parse().ok()
    }

    fn put(&self, entry: &mut Entry, mut tenant: Tenant) -> bool {
        let known = entry.tenant.as_ref().map(|known| version(&known.metadata));
        if known >= Some(version(&tenant.metadata)) {
            return false;
        }
        entry.specified = specified(&tenant.metadata);
        // Half of its size, and nobody else reads it.
        tenant.metadata.managed_fields = None;
        entry.tenant = Some(Arc::new(tenant));
        true
    }

    fn take(&self, entry: &mut Entry, _: &str, ended: u64) -> bool {
        let known = entry.tenant.as_ref().map(|known| version(&known.metadata));
        let lost = known.is_some_and(|known| known <= ended);
        if lost {
            entry.tenant = None;
        }
        lost
    }

    fn names(&self, entry: &Entry) -> Vec<String> {
        entry.tenant.iter().map(|tenant| tenant.name_any()).collect()
    }
}

impl<K: Resource> Shelf<K> for Children {
    fn put(&self, entry: &mut Entry, object: K) -> bool {
        let child = Child::of(object.meta());
        entry.see((self.0, object.name_any()), child)
    }

    fn take(&self, entry: &mut Entry, name: &str, version: u64) -> bool {
        entry.lose(&(self.0, name.to_owned()), version)
    }

    fn names(&self, entry: &Entry) -> Vec<String> {
        let keys = entry.children.keys().filter(|(kind, _)| *kind == self.0);
        keys.map(|(_, name)| name.clone()).collect()
    }
}

impl Shelf<PartialObjectMeta<Namespace>> for Namespaces {
    fn owner(&self, namespace: &PartialObjectMeta<Namespace>) -> Option<TenantId> {
        tenant_of(&namespace.name_any())
    }

    fn put(&self, entry: &mut Entry, object: PartialObjectMeta<Namespace>) -> bool {
        // Which way a resize goes.
        entry.tier = object.labels().get(TIER).cloned();
        entry.revision = object.annotations().get(REVISION).cloned();
        Children(Kind::Namespace).put(entry, object)
    }

    fn take(&self, entry: &mut Entry, name: &str, version: u64) -> bool {
        Shelf::<PartialObjectMeta<Namespace>>::take(&CHILD_NAMESPACE, entry, name, version)
    }

    fn names(&self, entry: &Entry) -> Vec<String> {
        Shelf::<PartialObjectMeta<Namespace>>::names(&CHILD_NAMESPACE, entry)
    }
}

const CHILD_NAMESPACE: Children = Children(Kind::Namespace);
const CHILD_CLAIM: Children = Children(Kind::PersistentVolumeClaim);

impl Shelf<PersistentVolumeClaim> for Claims {
    fn put(&self, entry: &mut Entry, claim: PersistentVolumeClaim) -> bool {
        // Of what we wrote ourselves we know the size before we hear of it.
        let key = (Kind::PersistentVolumeClaim, claim.name_any());
        let known = entry.children.get(&key).map(|known| known.version);
        if known >= Some(version(claim.meta())) {
            return false;
        }
        let gib = gib(&claim);
        let resized = std::mem::replace(&mut entry.claim_gib, gib) != gib;
        CHILD_CLAIM.put(entry, claim) || resized
    }

    fn take(&self, entry: &mut Entry, name: &str, version: u64) -> bool {
        let lost = Shelf::<PersistentVolumeClaim>::take(&CHILD_CLAIM, entry, name, version);
        if lost {
            entry.claim_gib = None;
        }
        lost
    }

    fn names(&self, entry: &Entry) -> Vec<String> {
        Shelf::<PersistentVolumeClaim>::names(&CHILD_CLAIM, entry)
    }
}

impl Shelf<Pod> for Pods {
    fn put(&self, entry: &mut Entry, pod: Pod) -> bool {
        let pod = health::Pod::of(&pod);
        match entry.pods.iter_mut().find(|known| known.name == pod.name) {
            Some(known) if *known == pod => return false,
            Some(known) => *known = pod,
            None => entry.pods.push(pod),
        }
        true
    }

    fn take(&self, entry: &mut Entry, name: &str, _: u64) -> bool {
        let before = entry.pods.len();
        entry.pods.retain(|pod| pod.name != name);
        entry.pods.len() < before
    }

    fn names(&self, entry: &Entry) -> Vec<String> {
        entry.pods.iter().map(|pod| pod.name.clone()).collect()
    }
}

/// Whose namespace that is.
fn tenant_of(namespace: &str) -> Option<TenantId> {
    let id: TenantId = namespace.strip_prefix("customer-")?.parse().ok()?;
    (id.namespace() == namespace).then_some(id)
}

/// What a claim asks for.
pub(crate) fn gib(claim: &PersistentVolumeClaim) -> Option<u32> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    let text = &requests.get("storage")?.0;
    let gib = text.strip_suffix("Gi").and_then(|gib| gib.parse().ok());
    // Somebody else's claim, that was adopted, may say it in bytes.
    gib.or_else(|| u32::try_from(text.parse::<u64>().ok()? >> 30).ok())
}
