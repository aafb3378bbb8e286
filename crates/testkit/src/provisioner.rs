//! Volumes for claims, which neither kwok nor the controller-manager provides.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::{Context, Result};
use futures::{StreamExt, pin_mut};
use k8s_openapi::{
    api::{
        core::v1::{
            HostPathVolumeSource, ObjectReference, PersistentVolume, PersistentVolumeClaim,
            PersistentVolumeClaimSpec, PersistentVolumeSpec,
        },
        storage::v1::StorageClass,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{
    Api, Client, Config, Resource, ResourceExt,
    api::{
        DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, WatchEvent,
        WatchParams,
    },
};
use serde_json::json;
use tokio::sync::oneshot;

use crate::tools::say;

/// Who made a volume, as in `StorageClass` and on the volume: the controller-manager leaves the end
/// of such a volume to it.
const NAME: &str = "testkit.openclaw.cloud/volumes";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// The reclaim policy of a volume that ends with its claim.
const DELETE: &str = "Delete";

/// A thread that gives each claim of one `StorageClass` a volume of the size it asks for, and
/// enlarges the volume when the claim asks for more. After the claim it deletes the volume, unless
/// somebody has changed its reclaim policy, which is `Delete`. The controller-manager does the
/// binding itself.
///
/// A thread with a runtime of its own: a task would end with the `#[tokio::test]` that started the
/// cluster.
#[derive(Debug)]
pub struct Provisioner {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Provisioner {
    /// Makes the `StorageClass` `class` and starts to serve it.
    pub async fn start(config: Config, client: &Client, class: &str) -> Result<Self> {
        let object = StorageClass {
            metadata: ObjectMeta { name: Some(class.to_owned()), ..ObjectMeta::default() },
            provisioner: NAME.to_owned(),
            reclaim_policy: Some(DELETE.to_owned()),
            allow_volume_expansion: Some(true),
            volume_binding_mode: Some("Immediate".to_owned()),
            ..StorageClass::default()
        };
        let classes: Api<StorageClass> = Api::all(client.clone());
        match classes.create(&PostParams::default(), &object).await {
            // Of an earlier cluster in the same directory.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            made => drop(made.context("making the StorageClass")?),
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let class = class.to_owned();
        let work = move || {
            runtime.block_on(async {
                let _ =
                    futures::future::select(std::pin::pin!(serve(config, &class)), stopped).await;
            });
        };
        let thread = thread::Builder::new().name("provisioner".to_owned()).spawn(work)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Provisioner {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves for ever; whatever goes wrong ends a round, and the next one lists all claims anew.
async fn serve(config: Config, class: &str) {
    let Ok(client) = Client::try_from(config) else { return };
    let mut said = String::new();
    loop {
        if let Err(error) = round(&client, class).await {
            let error = format!("volumes of {class}: {error:#}");
            // Once, not ten times a second for as long as the API server is away.
            if error != said {
                say(&error);
                said = error;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn round(client: &Client, class: &str) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
    let listed = claims.list(&ListParams::default()).await?;
    for claim in &listed.items {
        provide(client, class, claim).await?;
    }
    // Claims may have ended while nobody watched.
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    for volume in volumes.list(&ListParams::default()).await? {
        let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
        if phase == Some("Released") && is_of(class, &volume) {
            delete(&volumes, &volume).await?;
        }
    }
    let version = listed.metadata.resource_version.unwrap_or_default();
    let events = claims.watch(&WatchParams::default(), &version).await?;
    pin_mut!(events);
    while let Some(event) = events.next().await {
        match event? {
            WatchEvent::Added(claim) | WatchEvent::Modified(claim) => {
                provide(client, class, &claim).await?;
            }
            WatchEvent::Deleted(claim) => release(client, class, &claim).await?,
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => return Err(status.into()),
        }
    }
    Ok(())
}

/// Brings the volume of one claim to what the claim asks for.
async fn provide(client: &Client, class: &str, claim: &PersistentVolumeClaim) -> Result<()> {
    let Some((spec, wanted)) = request(class, claim) else { return Ok(()) };
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let Some(name) = &spec.volume_name else {
        return match volumes.create(&PostParams::default(), &volume(claim, class, wanted)).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            created => created.map(drop).map_err(Into::into),
        };
    };
    let status = claim.status.clone().unwrap_or_default();
    let size = status.capacity.as_ref().and_then(|capacity| capacity.get("storage"));
    if status.phase.as_deref() == Some("Bound") && size != Some(wanted) {
        let capacity = json!({ "storage": wanted });
        let params = PatchParams::default();
        let patch = Patch::Merge(json!({ "spec": { "capacity": capacity } }));
        volumes.patch(name, &params, &patch).await?;
        let namespace = claim.namespace().unwrap_or_default();
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
        let patch = Patch::Merge(json!({ "status": { "capacity": capacity } }));
        claims.patch_status(&claim.name_any(), &params, &patch).await?;
    }
    Ok(())
}

async fn release(client: &Client, class: &str, claim: &PersistentVolumeClaim) -> Result<()> {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let volume = volumes.get_opt(&volume_name(claim)).await?;
    match volume.filter(|volume| is_of(class, volume)) {
        Some(volume) => delete(&volumes, &volume).await,
        None => Ok(()),
    }
}

fn is_of(class: &str, volume: &PersistentVolume) -> bool {
    volume.spec.as_ref().is_some_and(|spec| spec.storage_class_name.as_deref() == Some(class))
}

/// Deletes a volume that nobody wants kept.
async fn delete(volumes: &Api<PersistentVolume>, volume: &PersistentVolume) -> Result<()> {
    let policy = |spec: &PersistentVolumeSpec| spec.persistent_volume_reclaim_policy.clone();
    if volume.spec.as_ref().and_then(policy).as_deref() != Some(DELETE) {
        return Ok(());
    }
    match volumes.delete(&volume.name_any(), &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        deleted => deleted.map(drop).map_err(Into::into),
    }
}

/// The spec of a claim of `class`, and how much storage it asks for.
fn request<'a>(
    class: &str,
    claim: &'a PersistentVolumeClaim,
) -> Option<(&'a PersistentVolumeClaimSpec, &'a Quantity)> {
    let spec =
        claim.spec.as_ref().filter(|spec| spec.storage_class_name.as_deref() == Some(class))?;
    Some((spec, spec.resources.as_ref()?.requests.as_ref()?.get("storage")?))
}

fn volume_name(claim: &PersistentVolumeClaim) -> String {
    format!("pvc-{}", claim.uid().unwrap_or_default())
}

fn volume(claim: &PersistentVolumeClaim, class: &str, size: &Quantity) -> PersistentVolume {
    let name = volume_name(claim);
    let spec = claim.spec.as_ref();
    PersistentVolume {
        spec: Some(PersistentVolumeSpec {
            access_modes: spec.and_then(|spec| spec.access_modes.clone()),
            volume_mode: spec.and_then(|spec| spec.volume_mode.clone()),
            capacity: Some(BTreeMap::from([("storage".to_owned(), size.clone())])),
            claim_ref: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("PersistentVolumeClaim".to_owned()),
                ..claim.object_ref(&())
            }),
            // Never mounted: nothing runs on a simulated node.
            host_path: Some(HostPathVolumeSource { path: format!("/nowhere/{name}"), type_: None }),
            persistent_volume_reclaim_policy: Some(DELETE.to_owned()),
            storage_class_name: Some(class.to_owned()),
            ..PersistentVolumeSpec::default()
        }),
        metadata: ObjectMeta {
            name: Some(name),
            annotations: Some(BTreeMap::from([(PROVISIONED_BY.to_owned(), NAME.to_owned())])),
            ..ObjectMeta::default()
        },
        ..PersistentVolume::default()
    }
}
