//! The end of a tenant.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use oc_domain::{
    TenantId,
    tenant::{Phase, State, Tenant},
};
use oc_manifests::TENANT;
use oc_store::{renderings, tenants};
use serde_json::json;

use super::{FINALIZER, Failure, Operator, status};
use crate::{
    kind::Kind,
    source::Source,
    world::{Entry, MANAGER},
};

/// While the namespace ends: its end is told, this is for when that was missed.
const ENDING: Duration = Duration::from_secs(30);

impl Operator {
    /// Ends a tenant whose spec says so, step by step; each may be done twice. Whoever deletes the
    /// `Tenant` of another one gets it back, and loses nothing.
    pub(super) async fn finish(
        &self,
        id: &TenantId,
        entry: &Entry,
        tenant: &Tenant,
    ) -> Result<Option<Duration>, Failure> {
        if !tenant.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(None);
        }
        // Git alone says so, where it says something.
        let lives = match &entry.source {
            Source::Good(wanted) => wanted.spec.state != State::Deleted,
            _ => tenant.spec.state != State::Deleted,
        };
        if lives {
            tracing::warn!(tenant = %id, "its Tenant was deleted, its spec says that it lives");
            self.release(tenant).await?;
            return Ok(None);
        }
        let phase = tenant.status.as_ref().and_then(|status| status.phase);
        if phase != Some(Phase::Deleting) {
            // First: nobody is let in with a token that still lies somewhere. And once, since it is
            // told, and who is told looks again.
            tenants::retire(&self.store, id).await?;
            self.tell(id).await;
            self.put_status(id, tenant, status::deleting(tenant, self.clock.now())).await?;
            self.publish(tenant, "Deleting", "its access ends, its volume is kept", false).await;
        }
        let namespace = id.namespace();
        let known = (Kind::Namespace, namespace.clone());
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        // The world may not have heard of it yet.
        if !entry.children.contains_key(&known)
            && namespaces.get_metadata_opt(&namespace).await?.is_none()
        {
            renderings::remove(&self.store, id).await?;
            self.metrics.healthy(id, None);
            self.release(tenant).await?;
            tracing::info!(tenant = %id, "ended");
            return Ok(None);
        }
        self.retain(id, &namespace).await?;
        match namespaces.delete(&namespace, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {}
            outcome => drop(outcome?),
        }
        Ok(Some(ENDING))
    }

    /// Keeps the volumes of the namespace beyond their claims, under the tenant's name.
    async fn retain(&self, id: &TenantId, namespace: &str) -> Result<(), Failure> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        for claim in claims.list(&ListParams::default()).await? {
            let Some(name) = claim.spec.and_then(|spec| spec.volume_name) else { continue };
            let patch = json!({
                "metadata": { "labels": { TENANT: id } },
                "spec": { "persistentVolumeReclaimPolicy": "Retain" },
            });
            let params =
                PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
            match volumes.patch(&name, &params, &Patch::Merge(patch)).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                outcome => drop(outcome?),
            }
        }
        Ok(())
    }

    /// Lets a `Tenant` go.
    async fn release(&self, tenant: &Tenant) -> Result<(), Failure> {
        let others: Vec<&String> =
            tenant.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).collect();
        let version = tenant.resource_version();
        let patch = json!({ "metadata": { "finalizers": others, "resourceVersion": version } });
        let tenants: Api<Tenant> = Api::all(self.client.clone());
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        match tenants.patch(&tenant.name_any(), &params, &Patch::Merge(patch)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            outcome => Ok(outcome.map(drop)?),
        }
    }
}
