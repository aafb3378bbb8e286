//! A pod and its containers.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ContainerState, ContainerStatus, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::ResourceExt;
use serde::Serialize;

use super::created;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cluster) struct PodStory {
    pub name: String,
    pub phase: String,
    pub ready: bool,
    pub deleting: bool,
    pub node: Option<String>,
    pub created: Option<Timestamp>,
    pub containers: Vec<ContainerStory>,
    /// What Kubernetes says of the pod as a whole that is not as it should be.
    pub problems: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cluster) struct ContainerStory {
    pub name: String,
    pub image: String,
    pub ready: bool,
    pub restarts: i32,
    /// What it does now, and since when or why.
    pub state: String,
    pub since: Option<Timestamp>,
    /// How it ended the last time.
    pub ended: Option<String>,
    pub ended_at: Option<Timestamp>,
}

impl PodStory {
    pub(super) fn of(pod: &Pod) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let is = |condition: &str, value: &str| {
            conditions.iter().any(|found| found.type_ == condition && found.status == value)
        };
        let said = conditions.iter().filter(|condition| condition.status == "False");
        let mut problems: Vec<String> = said
            .filter_map(|condition| {
                let reason = condition.reason.as_deref()?;
                let message = condition.message.as_deref().unwrap_or_default();
                Some(joined(&format!("{} {reason}", condition.type_), message))
            })
            .collect();
        let own = [&status.reason, &status.message].map(|part| part.as_deref().unwrap_or_default());
        problems.extend(Some(joined(own[0], own[1])).filter(|text| !text.is_empty()));
        let containers = [status.init_container_statuses, status.container_statuses];
        Self {
            name: pod.name_any(),
            phase: status.phase.unwrap_or_default(),
            ready: is("Ready", "True"),
            deleting: pod.metadata.deletion_timestamp.is_some(),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            created: created(&pod.metadata),
            containers: containers.iter().flatten().flatten().map(ContainerStory::of).collect(),
            problems,
        }
    }
}

impl ContainerStory {
    fn of(status: &ContainerStatus) -> Self {
        let (state, since) = status.state.as_ref().map(described).unwrap_or_default();
        let last = status.last_state.as_ref().map(described);
        let (ended, ended_at) = last.filter(|(text, _)| !text.is_empty()).unzip();
        Self {
            name: status.name.clone(),
            image: status.image.clone(),
            ready: status.ready,
            restarts: status.restart_count,
            state,
            since,
            ended,
            ended_at: ended_at.flatten(),
        }
    }
}

/// A state in a few words, and the time that it is of. The last words of a container that ended are
/// not repeated: they may hold anything.
fn described(state: &ContainerState) -> (String, Option<Timestamp>) {
    let at = |time: &Option<Time>| time.as_ref().map(|time| time.0);
    if let Some(running) = &state.running {
        return ("running".to_owned(), at(&running.started_at));
    }
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or("no reason");
        let text = joined(reason, waiting.message.as_deref().unwrap_or_default());
        return (format!("waiting: {text}"), None);
    }
    state.terminated.as_ref().map_or_else(Default::default, |ended| {
        let reason = ended.reason.as_deref().unwrap_or("no reason");
        (format!("ended: {reason}, exit code {}", ended.exit_code), at(&ended.finished_at))
    })
}

/// A reason, and after it what there is to say.
fn joined(reason: &str, message: &str) -> String {
    match (reason, message) {
        ("", text) | (text, "") => text.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}
