//! A tenant and its pod, steered from outside.

use std::{
    fs,
    path::{Path, PathBuf},
};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, PersistentVolumeClaim, Pod},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use oc_domain::{
    Locale, NicheId, TenantId, TenantSpec, TierId,
    tenant::{Channels, State, Telegram},
};
use oc_manifests::Overlay;
use oc_testkit::{apply_strict, wait_for};
use serde_json::{Value, json};

use crate::support::{MANAGER, PATIENCE, inventory, is_ready};

/// A tenant whose pod is bound to one node.
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    pub(crate) client: Client,
    node: String,
    folder: PathBuf,
}

impl Tenant {
    pub(crate) fn new(client: Client, node: &str, folder: &Path, id: &str) -> Self {
        Self { id: id.parse().unwrap(), client, node: node.to_owned(), folder: folder.to_owned() }
    }

    /// Applies all that is rendered, and the Secret.
    pub(crate) async fn apply(&self) {
        self.apply_changed(|_| {}).await;
        self.apply_secret("oc_token", "1").await;
    }

    /// Applies all that is rendered, the Deployment changed.
    pub(crate) async fn apply_changed(&self, change: impl Fn(&mut Value)) {
        let spec = TenantSpec {
            tier: TierId::Starter,
            niche: NicheId::Pharmacy,
            locale: Locale::PtBr,
            model: None,
            thinking: None,
            channels: Channels { telegram: Telegram { enabled: true } },
            connections: Vec::new(),
            state: State::Active,
            hold: None,
        };
        let objects = oc_manifests::tenant(&self.id, &spec, &inventory(), &Overlay::default());
        let mut objects: Vec<Value> =
            objects.iter().map(|object| serde_json::to_value(object).unwrap()).collect();
        let pod = objects.iter_mut().find(|it| it["kind"] == "Deployment").unwrap();
        let pod = &mut pod["spec"]["template"]["spec"];
        // In place of the scheduler: other tests have nodes too.
        pod["nodeName"] = json!(self.node);
        pod["nodeSelector"].take();
        change(pod);
        apply_strict(&self.client, &objects, MANAGER).await.unwrap().clean().unwrap();
    }

    pub(crate) async fn apply_secret(&self, token: &str, number: &str) {
        let secret = oc_manifests::secret(&self.id, token, number);
        let secret = serde_json::to_value(secret).unwrap();
        apply_strict(&self.client, &[secret], MANAGER).await.unwrap().clean().unwrap();
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.id.namespace())
    }

    /// The newest pod as soon as `wanted`.
    pub(crate) async fn pod(&self, what: &str, wanted: impl Fn(&Pod) -> bool) -> Pod {
        self.one_of(what, |mut pods| pods.pop().filter(|pod| wanted(pod))).await
    }

    /// The newest of the pods that are `wanted`, as soon as there is one.
    pub(crate) async fn any_pod(&self, what: &str, wanted: impl Fn(&Pod) -> bool) -> Pod {
        self.one_of(what, |pods| pods.into_iter().rfind(|pod| wanted(pod))).await
    }

    /// What `choose` takes of the pods, the oldest first.
    async fn one_of(&self, what: &str, choose: impl Fn(Vec<Pod>) -> Option<Pod>) -> Pod {
        let pods = self.pods();
        let mut last = None;
        let found = wait_for(PATIENCE, what, async || {
            let mut pods = pods.list(&ListParams::default()).await?.items;
            pods.sort_by_key(|pod| pod.creation_timestamp().map(|at| at.0));
            last = pods.last().cloned();
            Ok(choose(pods))
        });
        match found.await {
            Ok(pod) => pod,
            Err(error) => panic!("{error:#}; {}", self.story(last).await),
        }
    }

    pub(crate) async fn ready(&self) -> Pod {
        self.pod("a ready pod", is_ready).await
    }

    async fn story(&self, pod: Option<Pod>) -> String {
        let status = pod.and_then(|pod| pod.status);
        let events: Vec<String> = self
            .events()
            .await
            .into_iter()
            .map(|(reason, text)| format!("{reason}: {text}"))
            .collect();
        format!("the pod: {}\nevents: {events:#?}", serde_json::to_string_pretty(&status).unwrap())
    }

    /// Reason and message of each.
    pub(crate) async fn events(&self) -> Vec<(String, String)> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.id.namespace());
        let events = events.list(&ListParams::default()).await.unwrap();
        let ours = events.items.into_iter().filter(|it| {
            it.source.as_ref().and_then(|it| it.component.as_deref()) == Some("oc-node")
        });
        ours.map(|it| (it.reason.unwrap_or_default(), it.message.unwrap_or_default())).collect()
    }

    pub(crate) async fn volume(&self) -> String {
        let claims: Api<PersistentVolumeClaim> =
            Api::namespaced(self.client.clone(), &self.id.namespace());
        let bound = wait_for(PATIENCE, "a bound claim", async || {
            let claim = claims.get_opt("openclaw-state").await?;
            Ok(claim.and_then(|claim| claim.spec?.volume_name))
        });
        bound.await.unwrap()
    }

    /// The folder of the state volume.
    pub(crate) async fn state(&self) -> PathBuf {
        let folder = self.folder.join("volumes").join(self.volume().await);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Writes a file into the state volume, which steers the pod.
    pub(crate) async fn set(&self, name: &str, text: &str) {
        fs::write(self.state().await.join(name), text).unwrap();
    }

    pub(crate) async fn unset(&self, name: &str) {
        fs::remove_file(self.state().await.join(name)).unwrap();
    }

    /// Runs a script inside the pod, as the pod: `name` ends in `.sh` or `.py`.
    pub(crate) async fn inside(&self, name: &str, script: &str) -> String {
        let state = self.state().await;
        let (stem, _) = name.split_once('.').unwrap();
        // In one step, or it would be run half-written.
        fs::write(state.join("errand"), script).unwrap();
        fs::rename(state.join("errand"), state.join(name)).unwrap();
        let out = state.join(format!("{stem}.out"));
        let done = async || {
            let text = fs::read_to_string(&out).ok();
            if text.is_some() {
                fs::remove_file(&out)?;
            }
            Ok(text)
        };
        wait_for(PATIENCE, name, done).await.unwrap()
    }

    pub(crate) async fn delete_pod(&self, name: &str, grace_seconds: u32) {
        let params = DeleteParams::default().grace_period(grace_seconds);
        self.pods().delete(name, &params).await.unwrap();
    }

    /// Waits until the pod is no more.
    pub(crate) async fn gone(&self, pod: &Pod) {
        let pods = self.pods();
        let gone = wait_for(PATIENCE, "the pod to be gone", async || {
            let left = pods.get_opt(&pod.name_any()).await?;
            Ok(left.is_none_or(|left| left.uid() != pod.uid()).then_some(()))
        });
        gone.await.unwrap();
    }

    pub(crate) async fn scale(&self, replicas: i32) {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &self.id.namespace());
        let patch = json!({ "spec": { "replicas": replicas } });
        api.patch("openclaw-gateway", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }
}
