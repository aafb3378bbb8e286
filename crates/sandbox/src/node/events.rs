//! What a node says about a pod to people.

use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, Client, Resource as _,
    api::{ObjectMeta, PostParams},
};
use oc_service::Clock;

use super::NAME;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Normal,
    Warning,
}

/// Writes Events about one pod.
#[derive(Clone, Debug)]
pub(super) struct Events {
    api: Api<Event>,
    about: ObjectReference,
    node: String,
}

impl Events {
    pub(super) fn new(client: Client, node: &str, pod: &Pod) -> Self {
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            ..pod.object_ref(&())
        };
        let namespace = about.namespace.clone().unwrap_or_default();
        Self { api: Api::namespaced(client, &namespace), about, node: node.to_owned() }
    }

    /// Writes one, if the API server takes it: an Event is no more than that.
    pub(super) async fn tell(&self, tone: Tone, reason: &str, message: &str) {
        let now = Clock::system().now();
        let name = self.about.name.as_deref().unwrap_or_default();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: self.about.namespace.clone(),
                ..ObjectMeta::default()
            },
            involved_object: self.about.clone(),
            type_: Some(format!("{tone:?}")),
            reason: Some(reason.to_owned()),
            message: Some(message.chars().take(1024).collect()),
            source: Some(EventSource {
                component: Some(NAME.to_owned()),
                host: Some(self.node.clone()),
            }),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            count: Some(1),
            ..Event::default()
        };
        let _ = self.api.create(&PostParams::default(), &event).await;
    }
}
