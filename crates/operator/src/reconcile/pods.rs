//! The pods of a tenant: told of new files at once, replaced when they do not come right.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use oc_domain::TenantId;
use serde_json::json;

use super::{Failure, Operator, converge::Done, desired::Desired};
use crate::{
    digest::Digest,
    kind::Kind,
    world::{Entry, MANAGER},
};

/// What a pod's volumes hold. On the pod and not in its template, it restarts nothing, but the
/// kubelet looks at a pod that has changed, and refreshes its volumes.
const FILES: &str = "openclaw.cloud/files";

/// What a pod that does not answer has to end its work. Its own grace is longer than five minutes,
/// and the next pod would share the volume with it for so long.
const GRACE_SECONDS: u32 = 30;

impl Operator {
    /// Has the kubelet put what was applied into running pods now, and not within two minutes.
    pub(super) async fn refresh(
        &self,
        id: &TenantId,
        entry: &Entry,
        desired: &Desired,
        done: &Done,
    ) -> Result<(), Failure> {
        let is_file = |kind: Kind| matches!(kind, Kind::ConfigMap | Kind::Secret);
        let replaced = done.applied.iter().any(|(kind, _)| *kind == Kind::Deployment);
        if replaced || !entry.memory.stale_files {
            self.world.with(id, |entry| entry.memory.stale_files = false);
            return Ok(());
        }
        let files = desired.pieces.iter().filter(|piece| is_file(piece.key.0));
        let files = Digest::all(files.map(|piece| piece.digest)).to_string();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &id.namespace());
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        for pod in entry.pods.iter().filter(|pod| pod.terminating.is_none()) {
            let patch = json!({ "metadata": { "annotations": { FILES: files } } });
            match pods.patch(&pod.name, &params, &Patch::Merge(patch)).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                outcome => drop(outcome?),
            }
        }
        self.world.with(id, |entry| entry.memory.stale_files = false);
        Ok(())
    }

    /// Deletes a pod, so that its Deployment makes another one.
    pub(super) async fn replace(
        &self,
        id: &TenantId,
        name: &str,
        uid: &str,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &id.namespace());
        let only = Preconditions { uid: Some(uid.to_owned()), ..Preconditions::default() };
        let params = DeleteParams::default().preconditions(only).grace_period(GRACE_SECONDS);
        match pods.delete(name, &params).await {
            // It is another one by now, or none.
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => return Ok(()),
            outcome => drop(outcome?),
        }
        self.world.with(id, |entry| entry.memory.budget.take(now));
        self.metrics.replaced_pods.inc();
        tracing::warn!(tenant = %id, pod = name, "replaced");
        Ok(())
    }
}
