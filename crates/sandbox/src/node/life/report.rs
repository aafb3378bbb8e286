//! Telling the API server how a pod is, whenever that is different.

use std::{convert::Infallible, future::pending};

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{sync::watch, time::sleep};

use super::{
    super::{NAME, pods::Watched, status::State},
    PAUSE, now,
};

/// Writes the status of one pod.
pub(super) struct Reporter<'a> {
    api: Api<Pod>,
    container: &'a str,
    image: &'a str,
    /// What was written last, and the object that it made.
    written: Option<(PodStatus, Pod)>,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(client: Client, namespace: &str, container: &'a str, image: &'a str) -> Self {
        Self { api: Api::namespaced(client, namespace), container, image, written: None }
    }

    /// Follows `states` for ever; the last one counts, also where the API server was away.
    pub(super) async fn run(
        &mut self,
        mut states: watch::Receiver<State>,
        pods: &Watched,
    ) -> Infallible {
        loop {
            let state = states.borrow_and_update().clone();
            let pod = pods.borrow().clone();
            if let Some(pod) = pod
                && self.write(&state, &pod).await.is_err()
            {
                sleep(PAUSE).await;
                continue;
            }
            if states.changed().await.is_err() {
                pending::<()>().await;
            }
        }
    }

    async fn write(&mut self, state: &State, pod: &Pod) -> kube::Result<()> {
        // The watch may be behind what we wrote ourselves.
        let known = self.written.as_ref().map_or(pod, |(_, known)| known);
        let status = state.render(known, self.container, self.image, now());
        if self.written.as_ref().is_some_and(|(written, _)| *written == status) {
            return Ok(());
        }
        // With the uid, a pod that has taken the name since is left alone.
        let patch = json!({ "metadata": { "uid": pod.metadata.uid }, "status": status });
        let params = PatchParams { field_manager: Some(NAME.to_owned()), ..Default::default() };
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        match self.api.patch_status(name, &params, &Patch::Merge(patch)).await {
            Ok(known) => self.written = Some((status, known)),
            Err(kube::Error::Api(refusal)) if [404, 409].contains(&refusal.code) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
