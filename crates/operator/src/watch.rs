//! What the API server tells, into the [`World`]; what is news, into the [`Queue`].

use std::{collections::HashSet, sync::Arc};

use futures::{Stream, StreamExt as _, future::join_all, pin_mut};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{
        ConfigMap, LimitRange, Namespace, PersistentVolumeClaim, Pod, ResourceQuota, Secret,
        ServiceAccount,
    },
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use oc_domain::TenantId;
use oc_manifests::{MANAGED_BY, TENANT};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::{kind::Kind, queue::Queue, world::World};

mod shelf;

pub(crate) use shelf::gib;
use shelf::{Children, Claims, Namespaces, Pods, Shelf, Tenants};

/// The watches of one leader.
pub(crate) struct Watches {
    pub(crate) client: Client,
    pub(crate) world: Arc<World>,
    pub(crate) queue: Arc<Queue>,
}

/// Told once, when everything that exists is known.
type Listed = oneshot::Sender<()>;

impl Watches {
    /// Watches for ever; `complete` is told when all that exists is in the world.
    pub(crate) async fn run(self, complete: Listed) {
        let (mut senders, mut receivers) = (Vec::new(), Vec::new());
        for _ in 0..11 {
            let (sender, receiver) = oneshot::channel();
            senders.push(sender);
            receivers.push(receiver);
        }
        let mut listed = || senders.pop();
        let tenants = watcher(Api::all(self.client.clone()), watcher::Config::default());
        let namespaces =
            watcher(Api::<PartialObjectMeta<Namespace>>::all(self.client.clone()), ours());
        let claims = watcher(Api::<PersistentVolumeClaim>::all(self.client.clone()), ours());
        let pods = watcher(
            Api::<Pod>::all(self.client.clone()),
            watcher::Config::default().labels(TENANT),
        );
        futures::join!(
            self.follow(tenants, Tenants, listed()),
            self.follow(namespaces, Namespaces, listed()),
            self.children::<ResourceQuota>(Kind::ResourceQuota, listed()),
            self.children::<LimitRange>(Kind::LimitRange, listed()),
            self.children::<NetworkPolicy>(Kind::NetworkPolicy, listed()),
            self.children::<ServiceAccount>(Kind::ServiceAccount, listed()),
            self.children::<ConfigMap>(Kind::ConfigMap, listed()),
            self.children::<Secret>(Kind::Secret, listed()),
            self.follow(claims, Claims, listed()),
            self.children::<Deployment>(Kind::Deployment, listed()),
            self.follow(pods, Pods, listed()),
            async {
                join_all(receivers).await;
                let _ = complete.send(());
            },
        );
    }

    /// Children are told of by their metadata alone: what of them is ours stands in it.
    async fn children<K>(&self, kind: Kind, listed: Option<Listed>)
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    {
        let stream = watcher(Api::<PartialObjectMeta<K>>::all(self.client.clone()), ours());
        self.follow(stream, Children(kind), listed).await;
    }

    async fn follow<K: Resource<DynamicType = ()>>(
        &self,
        stream: impl Stream<Item = watcher::Result<Event<K>>>,
        place: impl Shelf<K>,
        mut listed: Option<Listed>,
    ) {
        let stream = stream.default_backoff();
        pin_mut!(stream);
        let mut present = HashSet::new();
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init) => present.clear(),
                Ok(Event::InitApply(object)) => {
                    if let Some(id) = place.owner(&object) {
                        present.insert((id.clone(), object.name_any()));
                        self.put(&place, &id, object);
                    }
                }
                Ok(Event::InitDone) => {
                    self.sweep(&place, &std::mem::take(&mut present));
                    if let Some(listed) = listed.take() {
                        let _ = listed.send(());
                    }
                }
                Ok(Event::Apply(object)) => {
                    if let Some(id) = place.owner(&object) {
                        self.put(&place, &id, object);
                    }
                }
                Ok(Event::Delete(object)) => {
                    if let Some(id) = place.owner(&object) {
                        let version = crate::world::version(object.meta());
                        self.take(&place, &id, &object.name_any(), version);
                    }
                }
                Err(error) => {
                    tracing::warn!(kind = %K::kind(&()), %error, "a watch is begun again");
                }
            }
        }
    }

    fn put<K: Resource>(&self, place: &impl Shelf<K>, id: &TenantId, object: K) {
        if self.world.with(id, |entry| place.put(entry, object)) {
            self.queue.add(id);
        }
    }

    fn take<K: Resource>(&self, place: &impl Shelf<K>, id: &TenantId, name: &str, version: u64) {
        if self.world.with(id, |entry| place.take(entry, name, version)) {
            self.queue.add(id);
        }
    }

    /// Forgets what was not listed: it is gone, and nobody told.
    fn sweep<K: Resource>(&self, place: &impl Shelf<K>, present: &HashSet<(TenantId, String)>) {
        let mut gone = Vec::new();
        self.world.each(|id, entry| {
            let names = place.names(entry).into_iter();
            let lost = names.map(|name| (id.clone(), name)).filter(|it| !present.contains(it));
            gone.extend(lost);
        });
        for (id, name) in gone {
            self.take(place, &id, &name, u64::MAX);
        }
    }
}

/// Selects what we rendered.
fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("{TENANT},{MANAGED_BY}=openclaw-cloud"))
}
