//! The life of one pod: taken or refused, prepared, run again and again, ended.

use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{DeleteParams, Preconditions},
};
use oc_service::Clock;
use tokio::{fs, sync::watch, time::sleep};

use self::{report::Reporter, running::Running};
use super::{
    Image, Shared,
    back_off::BackOff,
    events::{Events, Tone},
    plan::{self, Plan},
    pods::Watched,
    root::Places,
    status::{Now, State},
};

mod prepare;
mod report;
mod running;
mod supervise;

/// How soon what did not work is tried again.
const PAUSE: Duration = Duration::from_secs(1);
const REFUSED: &str = "UnsupportedPod";
/// How long a refused pod is left as it is: a ReplicaSet makes another one as soon as it has failed.
const REFUSAL: Duration = Duration::from_secs(5);

/// Lives until the pod's object is gone, or the node ends.
pub(super) async fn live(shared: Arc<Shared>, mut pods: Watched) {
    let Some(pod) = pods.borrow().clone() else { return };
    let options = &shared.options;
    let events = Events::new(options.client.clone(), &options.name, &pod);
    let (states, _) = watch::channel(State::new(&pod, now()));
    let places = Places::new(shared.pod(pod.metadata.uid.as_deref().unwrap_or_default()));
    let over = pod.status.as_ref().and_then(|it| it.phase.as_deref()) == Some("Failed");
    let fate = match plan::read(&pod) {
        _ if over => fate(&mut pods).await,
        Ok(plan) => {
            let life = Life { shared: &shared, pods: pods.clone(), events, states, places, plan };
            life.run(&mut pods).await
        }
        Err(complaints) => {
            let refusal = Refusal { events, states, message: complaints.join("; ") };
            refusal.tell(options.client.clone(), &pod, &mut pods).await
        }
    };
    if fate == Fate::Deleted {
        delete(&shared, &pod, &pods).await;
    }
}

/// Why a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Somebody has deleted the pod: it has its grace.
    Deleted,
    /// Its object is gone.
    Gone,
    /// The node ends.
    Stopped,
}

async fn fate(pods: &mut Watched) -> Fate {
    loop {
        match &*pods.borrow_and_update() {
            None => return Fate::Gone,
            Some(pod) if pod.metadata.deletion_timestamp.is_some() => return Fate::Deleted,
            Some(_) => {}
        }
        if pods.changed().await.is_err() {
            return Fate::Stopped;
        }
    }
}

/// A pod that the node does not take.
struct Refusal {
    events: Events,
    states: watch::Sender<State>,
    message: String,
}

impl Refusal {
    /// Says why, and waits for the pod's end.
    async fn tell(self, client: Client, pod: &Pod, pods: &mut Watched) -> Fate {
        let Self { events, states, message } = self;
        let mut reporter = Reporter::new(client, namespace(pod), "", "");
        let fail = async {
            events.tell(Tone::Warning, REFUSED, &message).await;
            sleep(REFUSAL).await;
            states.send_modify(|state| state.refused = Some((REFUSED, message.clone())));
            pending::<Infallible>().await
        };
        let (told, seen) = (states.subscribe(), pods.clone());
        tokio::select! {
            fate = fate(pods) => fate,
            never = reporter.run(told, &seen) => match never {},
            never = fail => match never {},
        }
    }
}

/// A pod that the node has taken.
struct Life<'a> {
    shared: &'a Shared,
    pods: Watched,
    events: Events,
    states: watch::Sender<State>,
    places: Places,
    plan: Plan,
}

impl Life<'_> {
    async fn run(&self, pods: &mut Watched) -> Fate {
        let mut running = Running::default();
        let Plan { namespace, container, image, .. } = &self.plan;
        let client = self.shared.options.client.clone();
        let mut reporter = Reporter::new(client, namespace, container, image);
        let states = self.states.subscribe();
        let fate = tokio::select! {
            // First of all, since a pod may be on its way out already.
            biased;
            fate = fate(pods) => fate,
            never = self.work(&mut running) => match never {},
            never = reporter.run(states.clone(), &self.pods) => match never {},
        };
        if fate == Fate::Deleted {
            tokio::select! {
                () = self.stop(&mut running, pods) => {}
                never = reporter.run(states, &self.pods) => match never {},
            }
        }
        running.end().await;
        let _ = fs::remove_dir_all(&self.places.folder).await;
        fate
    }

    /// Has the pod run for ever.
    async fn work(&self, running: &mut Running) -> Infallible {
        let image = self.image().await;
        let mut back_off = BackOff::default();
        loop {
            let (parts, slot) = self.prepare(&image, running).await;
            tokio::select! {
                // Ends only with the namespaces, which are made anew then.
                () = self.containers(&image, parts, slot, &mut back_off) => {}
                never = self.refresh(parts) => match never {},
            }
        }
    }

    /// What stands in for the pod's image. Where there is nothing, there never will be.
    async fn image(&self) -> Image {
        let reference = &self.plan.image;
        let name = reference.rsplit('/').next().unwrap_or_default();
        let name = name.split([':', '@']).next().unwrap_or_default();
        if let Some(image) = self.shared.options.images.iter().find(|image| image.name == name) {
            return image.clone();
        }
        let message = format!("no image {name} on this node, which {reference} asks for");
        self.events.tell(Tone::Warning, "Failed", &message).await;
        self.wait("ErrImagePull", message);
        sleep(PAUSE).await;
        let message = format!("Back-off pulling image {reference:?}");
        self.events.tell(Tone::Normal, "BackOff", &message).await;
        self.wait("ImagePullBackOff", message);
        pending().await
    }

    fn wait(&self, reason: &'static str, message: String) {
        self.states.send_modify(|state| state.now = Now::waiting(reason, Some(message)));
    }

    /// Asks the container to end, and kills it when the pod's grace is over; that may be made
    /// shorter on the way.
    async fn stop(&self, running: &mut Running, pods: &mut Watched) {
        let Some(container) = &mut running.container else { return };
        container.ask_to_end();
        let code = loop {
            let left = grace_left(pods.borrow_and_update().as_deref(), Clock::system().now());
            tokio::select! {
                code = container.ended() => break code,
                () = sleep(left) => break container.kill().await,
                changed = pods.changed() => {
                    if changed.is_err() {
                        break container.kill().await;
                    }
                }
            }
        };
        let code = code.unwrap_or(-1);
        self.states.send_modify(|state| state.end(code, supervise::reason(code), None, now()));
    }
}

/// How long a deleted pod has; nothing where its object is gone.
fn grace_left(pod: Option<&Pod>, now: Timestamp) -> Duration {
    let until = pod.and_then(|pod| pod.metadata.deletion_timestamp.as_ref());
    let left = until.map(|until| until.0.duration_since(now));
    left.and_then(|left| Duration::try_from(left).ok()).unwrap_or_default()
}

/// Has the API server forget a pod that has ended, and none of the same name.
async fn delete(shared: &Shared, pod: &Pod, pods: &Watched) {
    let api: Api<Pod> = Api::namespaced(shared.options.client.clone(), namespace(pod));
    let only = Preconditions { uid: pod.metadata.uid.clone(), ..Preconditions::default() };
    let params = DeleteParams::default().preconditions(only).grace_period(0);
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    // As long as the node lives: while the API server is away, the pod stays in its memory.
    while pods.has_changed().is_ok() {
        match api.delete(name, &params).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => return,
            Err(_) => sleep(PAUSE).await,
        }
    }
}

fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// What time it is, in the whole seconds of a pod's status.
fn now() -> Timestamp {
    let now = Clock::system().now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
