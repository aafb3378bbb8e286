//! The object of kind `Tenant`, from git.

use std::{collections::BTreeMap, sync::Arc};

use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use oc_domain::{
    TenantId, TenantSpec,
    tenant::{API_VERSION, State, Tenant},
};
use oc_store::tenants;
use serde_json::{Map, Value, json};

use super::{Failure, Operator};
use crate::{
    digest::Digest,
    kind::Kind,
    piece::Unreadable,
    source::{Source, Wanted},
    world::{Entry, MANAGER, specified, version},
};

/// Keeps a `Tenant` until nothing is left of it.
pub(crate) const FINALIZER: &str = "openclaw.cloud/cleanup";
/// Annotations of a `Tenant`: the commit that its spec came with, and the trace of that.
pub(crate) const COMMIT: &str = "openclaw.cloud/commit";
pub(super) const TRACE: &str = "openclaw.cloud/trace";

impl Operator {
    /// The `Tenant`, as git wants it where git says something; nothing where there is to be none.
    pub(super) async fn object(
        &self,
        id: &TenantId,
        entry: &Entry,
    ) -> Result<Option<Arc<Tenant>>, Failure> {
        let known = entry.tenant.clone();
        let wanted = match &entry.source {
            Source::Good(wanted) => wanted,
            Source::Unknown | Source::Bad(_) | Source::Missing => {
                return match known {
                    Some(tenant) if is_unguarded(&tenant) => self.guard(&tenant).await.map(Some),
                    other => Ok(other),
                };
            }
        };
        let lives = wanted.spec.state != State::Deleted;
        if let Some(tenant) = &known
            && lives
            && tenant.spec.state == State::Deleted
        {
            // The API takes no other state after that one: the object is made again.
            return self.removed(tenant).await.map(|()| Some(Arc::clone(tenant)));
        }
        let known = known.filter(|tenant| !is_other(tenant, entry, wanted));
        match known {
            Some(tenant) => {
                self.world.with(id, |it| *it.memory.specified.get_or_insert(entry.specified));
                self.removed(&tenant).await.map(|()| Some(tenant))
            }
            // Somebody took away what git wants: it comes back when it is gone.
            None if is_leaving(entry) => Ok(entry.tenant.clone()),
            None if !lives && is_gone(entry) => {
                // One that ended before it began has a row and secrets all the same.
                if tenants::retire_unborn(&self.store, id).await?.is_some() {
                    self.tell(id).await;
                    tracing::info!(tenant = %id, "ended before it began");
                }
                Ok(None)
            }
            None => {
                let tenant = self.put(id, wanted).await?;
                self.removed(&tenant).await?;
                Ok(Some(tenant))
            }
        }
    }

    /// Makes the `Tenant` what git says.
    async fn put(&self, id: &TenantId, wanted: &Wanted) -> Result<Arc<Tenant>, Failure> {
        let origin = &wanted.origin;
        let commit = Some((COMMIT, origin.commit.to_string()));
        let trace = origin.trace.clone().map(|trace| (TRACE, trace));
        let annotations: BTreeMap<&str, String> = commit.into_iter().chain(trace).collect();
        let object = json!({
            "apiVersion": API_VERSION,
            "kind": "Tenant",
            "metadata": {
                "name": id,
                "finalizers": [FINALIZER],
                "annotations": annotations,
            },
            "spec": wanted.spec,
        });
        tracing::info!(tenant = %id, commit = %origin.commit, trace = origin.trace, "specified");
        let params = PatchParams::apply(MANAGER).force();
        let tenants: Api<Tenant> = Api::all(self.client.clone());
        let mut tenant = tenants.patch(id.as_str(), &params, &Patch::Apply(object)).await?;
        // What others have added to a spec is no apply's to remove.
        let (is, should) = (spec(&tenant.spec)?, spec(&wanted.spec)?);
        if let Some(change) = difference(&is, &should) {
            let params =
                PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
            let patch = Patch::Merge(json!({ "spec": change }));
            tenant = tenants.patch(id.as_str(), &params, &patch).await?;
        }
        let fields = specified(&tenant.metadata);
        self.world.with(id, |entry| {
            entry.memory.to_apply = Some(origin.committed_at);
            entry.memory.to_ready = Some(origin.committed_at);
            entry.memory.specified = Some(fields);
        });
        Ok(self.seen(id, tenant))
    }

    /// Notes an answer of the API.
    pub(super) fn seen(&self, id: &TenantId, mut tenant: Tenant) -> Arc<Tenant> {
        let fields = specified(&tenant.metadata);
        tenant.metadata.managed_fields = None;
        let tenant = Arc::new(tenant);
        self.world.with(id, |entry| {
            let known = entry.tenant.as_ref().map(|known| version(&known.metadata));
            if known < Some(version(&tenant.metadata)) {
                entry.tenant = Some(Arc::clone(&tenant));
                entry.specified = fields;
            }
        });
        tenant
    }

    /// Deletes the `Tenant` that git calls deleted.
    async fn removed(&self, tenant: &Tenant) -> Result<(), Failure> {
        if tenant.spec.state != State::Deleted || tenant.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let tenants: Api<Tenant> = Api::all(self.client.clone());
        tenants.delete(&tenant.name_any(), &DeleteParams::default()).await?;
        Ok(())
    }

    /// Sees to it that a `Tenant` that somebody made by hand does not leave anything behind.
    async fn guard(&self, tenant: &Tenant) -> Result<Arc<Tenant>, Failure> {
        let mut finalizers = tenant.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        let version = tenant.resource_version();
        let patch = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": version } });
        let tenants: Api<Tenant> = Api::all(self.client.clone());
        let name = tenant.name_any();
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let guarded = tenants.patch(&name, &params, &Patch::Merge(patch)).await?;
        Ok(match name.parse() {
            Ok(id) => self.seen(&id, guarded),
            Err(_) => Arc::new(guarded),
        })
    }
}

fn is_unguarded(tenant: &Tenant) -> bool {
    tenant.metadata.deletion_timestamp.is_none()
        && !tenant.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

fn is_leaving(entry: &Entry) -> bool {
    entry.tenant.as_ref().is_some_and(|tenant| tenant.metadata.deletion_timestamp.is_some())
}

/// Whether nothing is left of the tenant in the cluster.
fn is_gone(entry: &Entry) -> bool {
    entry.tenant.is_none() && !entry.children.keys().any(|(kind, _)| *kind == Kind::Namespace)
}

fn is_other(tenant: &Tenant, entry: &Entry, wanted: &Wanted) -> bool {
    let taken = match entry.memory.specified {
        Some(fields) => fields != entry.specified,
        None => entry.specified == Digest::NONE,
    };
    tenant.spec != wanted.spec || is_unguarded(tenant) || taken
}

fn spec(spec: &TenantSpec) -> Result<Value, Failure> {
    Ok(serde_json::to_value(spec).map_err(Unreadable::from)?)
}

/// The merge patch that makes one value the other; nothing where they are the same.
fn difference(is: &Value, should: &Value) -> Option<Value> {
    let (Value::Object(is_fields), Value::Object(fields)) = (is, should) else {
        return (is != should).then(|| should.clone());
    };
    let removed = is_fields.keys().filter(|key| !fields.contains_key(*key));
    let mut patch: Map<String, Value> = removed.map(|key| (key.clone(), Value::Null)).collect();
    for (key, value) in fields {
        if let Some(change) = difference(is_fields.get(key).unwrap_or(&Value::Null), value) {
            patch.insert(key.clone(), change);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}
