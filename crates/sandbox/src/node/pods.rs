//! The pods that the scheduler has given to the node, each a task of its own.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
};

use super::{Shared, life};

/// A pod as it is now; `None` once its object is gone. The end of the channel is the node's.
pub(super) type Watched = watch::Receiver<Option<Arc<Pod>>>;

/// Follows the API server until `stopped` ends, and then ends every pod. Without the API server, pods
/// go on.
pub(super) async fn run(shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let pods: Api<Pod> = Api::all(shared.options.client.clone());
    let ours = watcher::Config::default().fields(&format!("spec.nodeName={}", shared.options.name));
    let stream = watcher(pods, ours).default_backoff();
    pin_mut!(stream);
    let mut crowd =
        Crowd { shared, lives: HashMap::new(), listed: HashSet::new(), tasks: JoinSet::new() };
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(event) = stream.next() => crowd.hear(event),
            Some(ended) = crowd.tasks.join_next() => {
                if let Ok(uid) = ended {
                    crowd.lives.remove(&uid);
                }
            }
        }
    }
    crowd.lives.clear();
    while crowd.tasks.join_next().await.is_some() {}
}

struct Crowd {
    shared: Arc<Shared>,
    /// By uid.
    lives: HashMap<String, watch::Sender<Option<Arc<Pod>>>>,
    /// Those that a list in progress has named.
    listed: HashSet<String>,
    tasks: JoinSet<String>,
}

impl Crowd {
    fn hear(&mut self, event: watcher::Result<Event<Pod>>) {
        match event {
            Ok(Event::Init) => self.listed.clear(),
            Ok(Event::InitApply(pod)) => {
                self.listed.extend(pod.uid());
                self.put(pod);
            }
            Ok(Event::InitDone) => {
                for (uid, life) in &self.lives {
                    if !self.listed.contains(uid) {
                        life.send_replace(None);
                    }
                }
            }
            Ok(Event::Apply(pod)) => self.put(pod),
            Ok(Event::Delete(pod)) => {
                if let Some(life) = pod.uid().and_then(|uid| self.lives.get(&uid)) {
                    life.send_replace(None);
                }
            }
            // The stream begins anew.
            Err(_) => {}
        }
    }

    fn put(&mut self, pod: Pod) {
        let Some(uid) = pod.uid() else { return };
        let pod = Some(Arc::new(pod));
        if let Some(life) = self.lives.get(&uid) {
            life.send_replace(pod);
            return;
        }
        let (sender, receiver) = watch::channel(pod);
        self.lives.insert(uid.clone(), sender);
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            life::live(shared, receiver).await;
            uid
        });
    }
}
