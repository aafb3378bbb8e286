//! Everything that the cluster knows of one tenant, gathered in one place. What Secrets hold is never
//! asked for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, Namespace, PersistentVolume, PersistentVolumeClaim, Pod, Secret},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams},
    core::ApiResource,
};
use oc_domain::{TenantId, tenant::Tenant};
use oc_manifests::{MANAGED_BY, REVISION, TENANT};
use serde::Serialize;
use serde_json::Value;

use super::{all, kinds::kinds, plain};

mod event;
mod pod;

pub(super) use event::Told;
pub(super) use pod::{ContainerStory, PodStory};

/// How many events are told, the newest ones.
const EVENTS: usize = 20;

/// What there is of one tenant.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Story {
    pub id: TenantId,
    /// The custom resource: spec and status.
    pub tenant: Option<Value>,
    pub namespace: Option<NamespaceStory>,
    pub objects: Vec<Named>,
    pub pods: Vec<PodStory>,
    pub claims: Vec<ClaimStory>,
    /// Also those that outlived the namespace.
    pub volumes: Vec<VolumeStory>,
    /// Newest first.
    pub events: Vec<Told>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NamespaceStory {
    pub name: String,
    pub phase: String,
    /// The renderer's revision that was applied.
    pub revision: Option<String>,
    pub created: Option<Timestamp>,
}

/// An object of ours.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Named {
    pub kind: String,
    pub name: String,
    pub created: Option<Timestamp>,
    pub deleting: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClaimStory {
    pub name: String,
    pub phase: String,
    pub asked: String,
    pub given: String,
    pub class: String,
    pub volume: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VolumeStory {
    pub name: String,
    pub phase: String,
    pub size: String,
    pub reclaim_policy: String,
    pub claim: String,
}

impl Story {
    /// Asks the cluster for everything at once.
    pub(super) async fn read(client: Client, id: &TenantId) -> kube::Result<Self> {
        let namespace = id.namespace();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
        let (tenant, namespace, objects, pods, claims, events) = tokio::try_join!(
            tenant(&client, id),
            namespaces.get_opt(&namespace),
            objects(&client, &namespace),
            all(ListParams::default(), async |page| pods.list(page).await),
            all(ListParams::default(), async |page| claims.list(page).await),
            events(&client, id),
        )?;
        let volumes = volumes(&client, id, &claims).await?;
        Ok(Self {
            id: id.clone(),
            tenant,
            namespace: namespace.as_ref().map(NamespaceStory::of),
            objects,
            pods: pods.iter().map(PodStory::of).collect(),
            claims: claims.iter().map(ClaimStory::of).collect(),
            volumes: volumes.iter().map(VolumeStory::of).collect(),
            events,
        })
    }

    /// Whether the cluster knows nothing of such a tenant.
    pub(super) fn is_empty(&self) -> bool {
        self.tenant.is_none() && self.namespace.is_none() && self.volumes.is_empty()
    }
}

async fn tenant(client: &Client, id: &TenantId) -> kube::Result<Option<Value>> {
    let kind = ApiResource::erase::<Tenant>(&());
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    Ok(api.get_opt(id.as_str()).await?.map(|tenant| plain(tenant, &kind)))
}

/// Our objects in the namespace, by kind in the order in which they are applied, the Secret last.
async fn objects(client: &Client, namespace: &str) -> kube::Result<Vec<Named>> {
    let ours = ListParams::default().labels(&format!("{MANAGED_BY}=openclaw-cloud"));
    let mut found = Vec::new();
    for kind in [kinds().as_slice(), &[ApiResource::erase::<Secret>(&())]].concat() {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
        let listed = api.list_metadata(&ours).await?;
        found.extend(listed.items.iter().map(|object| Named::of(&kind.kind, &object.metadata)));
    }
    Ok(found)
}

/// The volumes that carry the tenant's label or that its claims name.
async fn volumes(
    client: &Client,
    id: &TenantId,
    claims: &[PersistentVolumeClaim],
) -> kube::Result<Vec<PersistentVolume>> {
    let api: Api<PersistentVolume> = Api::all(client.clone());
    let labelled = ListParams::default().labels(&format!("{TENANT}={id}"));
    let mut volumes = all(labelled, async |page| api.list(page).await).await?;
    for name in claims.iter().filter_map(|claim| claim.spec.as_ref()?.volume_name.as_deref()) {
        if volumes.iter().all(|volume| volume.name_any() != name) {
            volumes.extend(api.get_opt(name).await?);
        }
    }
    Ok(volumes)
}

/// What was last told of the tenant and of the objects in its namespace.
async fn events(client: &Client, id: &TenantId) -> kube::Result<Vec<Told>> {
    let inside: Api<Event> = Api::namespaced(client.clone(), &id.namespace());
    // A tenant is in no namespace; whoever tells of it chooses one.
    let about: Api<Event> = Api::all(client.clone());
    let tenant = format!("involvedObject.kind=Tenant,involvedObject.name={id}");
    let tenant = ListParams::default().fields(&tenant);
    let mut events = all(ListParams::default(), async |page| inside.list(page).await).await?;
    events.extend(all(tenant, async |page| about.list(page).await).await?);
    let mut told: Vec<Told> = events.iter().map(Told::of).collect();
    told.sort_by_key(|event| std::cmp::Reverse(event.at));
    told.truncate(EVENTS);
    Ok(told)
}

impl NamespaceStory {
    fn of(namespace: &Namespace) -> Self {
        let status = namespace.status.as_ref();
        Self {
            name: namespace.name_any(),
            phase: status.and_then(|status| status.phase.clone()).unwrap_or_default(),
            revision: namespace.annotations().get(REVISION).cloned(),
            created: created(&namespace.metadata),
        }
    }
}

impl Named {
    fn of(kind: &str, metadata: &ObjectMeta) -> Self {
        Self {
            kind: kind.to_owned(),
            name: metadata.name.clone().unwrap_or_default(),
            created: created(metadata),
            deleting: metadata.deletion_timestamp.is_some(),
        }
    }
}

impl ClaimStory {
    fn of(claim: &PersistentVolumeClaim) -> Self {
        let spec = claim.spec.clone().unwrap_or_default();
        let status = claim.status.clone().unwrap_or_default();
        let asked = spec.resources.and_then(|resources| resources.requests);
        Self {
            name: claim.name_any(),
            phase: status.phase.unwrap_or_default(),
            asked: storage(asked),
            given: storage(status.capacity),
            class: spec.storage_class_name.unwrap_or_default(),
            volume: spec.volume_name.unwrap_or_default(),
        }
    }
}

impl VolumeStory {
    fn of(volume: &PersistentVolume) -> Self {
        let spec = volume.spec.clone().unwrap_or_default();
        let claim = spec.claim_ref.unwrap_or_default();
        let claim = [claim.namespace, claim.name].map(Option::unwrap_or_default).join("/");
        Self {
            name: volume.name_any(),
            phase: volume.status.as_ref().and_then(|s| s.phase.clone()).unwrap_or_default(),
            size: storage(spec.capacity),
            reclaim_policy: spec.persistent_volume_reclaim_policy.unwrap_or_default(),
            claim: if claim == "/" { String::new() } else { claim },
        }
    }
}

fn created(metadata: &ObjectMeta) -> Option<Timestamp> {
    metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// The size that a claim or a volume is written with.
fn storage(resources: Option<BTreeMap<String, Quantity>>) -> String {
    resources.and_then(|mut resources| resources.remove("storage")).unwrap_or_default().0
}
