//! A pod as it is kept in memory, for thousands of tenants.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{self, ContainerState, ContainerStatus, PodCondition, PodStatus};

/// What is kept of a message: the rest is in the cluster.
const MESSAGE: usize = 300;

/// What matters of a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its identity: another pod of the same name has another one.
    pub uid: String,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it has a node.
    pub placement: Placement,
    /// Where in its life it is.
    pub phase: Phase,
    /// Whether the kubelet says so.
    pub ready: bool,
    /// Since when `ready` is what it is; of a pod that no kubelet has accepted, since when it waits.
    pub since: Timestamp,
    /// Whether it has been ready once.
    pub was_ready: bool,
    /// By when it is to be gone, its grace included.
    pub terminating: Option<Timestamp>,
    /// Its node does not answer.
    pub lost: bool,
    /// Since when the container that runs now does.
    pub running_since: Option<Timestamp>,
    /// What a container waits for; of several the worst.
    pub waiting: Option<Waiting>,
    /// How often containers were started again.
    pub restarts: u32,
    /// The last end of a container.
    pub last_end: Option<Ended>,
    /// What the scheduler or the kubelet says about it, cut short.
    pub message: Option<Box<str>>,
}

/// Whether a pod has a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The scheduler has not looked at it.
    Pending,
    /// The scheduler finds none.
    Unschedulable,
    /// It has.
    Assigned,
}

/// Where in its life a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not all of its containers have been started.
    Pending,
    /// Its containers have been started.
    Running,
    /// Its containers have ended for good, or it was evicted: it comes back no more.
    Finished,
}

/// What a container waits for, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waiting {
    /// To be created: volumes, network, image.
    Creating,
    /// The runtime or the kubelet refuses to create or start it.
    Refused,
    /// Its image.
    Image,
    /// The end of a pause after it ended again.
    CrashLoop,
}

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub end: End,
    /// Its exit code; 128 and more is a signal.
    pub exit_code: i32,
    /// When.
    pub at: Timestamp,
}

/// Why a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was killed at its memory limit.
    OutOfMemory,
    /// By an error or a signal.
    Error,
    /// By itself, with exit code 0.
    Completed,
}

impl Pod {
    /// The compact view of a Pod.
    pub fn of(pod: &v1::Pod) -> Self {
        let (metadata, none) = (&pod.metadata, PodStatus::default());
        let status = pod.status.as_ref().unwrap_or(&none);
        let created = metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0);
        let scheduled = condition(status, "PodScheduled");
        let ready = condition(status, "Ready");
        let since = [ready, scheduled].into_iter().flatten().find_map(changed).unwrap_or(created);
        let unschedulable = scheduled
            .filter(|one| one.status == "False" && one.reason.as_deref() == Some("Unschedulable"));
        let containers = || containers(status);
        let waiting = containers().filter_map(waiting).max_by_key(|(waiting, _)| *waiting);
        let message = unschedulable
            .and_then(|one| one.message.as_deref())
            .or(waiting.and_then(|(_, message)| message));
        let is_ready = ready.is_some_and(|one| one.status == "True");
        // The kubelet's first "not ready" is not younger than its acceptance.
        let accepted = status.start_time.as_ref().map_or(created, |time| time.0);
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            created,
            placement: match pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) {
                Some(_) => Placement::Assigned,
                None if unschedulable.is_some() => Placement::Unschedulable,
                None => Placement::Pending,
            },
            phase: phase(status),
            ready: is_ready,
            since,
            was_ready: is_ready || ready.is_some() && since > accepted,
            terminating: metadata.deletion_timestamp.as_ref().map(|time| time.0),
            lost: lost(status),
            running_since: containers().filter_map(running_since).max(),
            waiting: waiting.map(|(waiting, _)| waiting),
            restarts: containers()
                .map(|one| u32::try_from(one.restart_count).unwrap_or_default())
                .sum(),
            last_end: containers().filter_map(last_end).max_by_key(|ended| ended.at),
            message: message.map(shortened),
        }
    }

    /// Whether it could still serve: it has not ended, and nobody wants it gone.
    pub(super) fn lives(&self) -> bool {
        self.terminating.is_none() && self.phase != Phase::Finished
    }
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status.conditions.iter().flatten().find(|one| one.type_ == kind)
}

fn changed(condition: &PodCondition) -> Option<Timestamp> {
    condition.last_transition_time.as_ref().map(|time| time.0)
}

fn phase(status: &PodStatus) -> Phase {
    match status.phase.as_deref() {
        Some("Succeeded" | "Failed") => Phase::Finished,
        // Unknown, too: it ran when its node was heard of last.
        Some("Running" | "Unknown") => Phase::Running,
        _ => Phase::Pending,
    }
}

/// When a node is silent, the node controller says "not ready" of its pods; their containers stay
/// as the kubelet saw them last, and a kubelet never says the one without the other.
fn lost(status: &PodStatus) -> bool {
    let is = |kind, value: &str| condition(status, kind).is_some_and(|one| one.status == value);
    status.phase.as_deref() == Some("Unknown")
        || status.reason.as_deref() == Some("NodeLost")
        || is("Ready", "Unknown")
        || is("Ready", "False") && is("ContainersReady", "True")
}

fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    status.container_statuses.iter().chain(&status.init_container_statuses).flatten()
}

fn running_since(container: &ContainerStatus) -> Option<Timestamp> {
    Some(container.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0)
}

fn waiting(container: &ContainerStatus) -> Option<(Waiting, Option<&str>)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let kind = match waiting.reason.as_deref().unwrap_or_default() {
        "CrashLoopBackOff" => Waiting::CrashLoop,
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => Waiting::Image,
        "CreateContainerConfigError"
        | "CreateContainerError"
        | "RunContainerError"
        | "PreCreateHookError"
        | "PreStartHookError"
        | "PostStartHookError" => Waiting::Refused,
        _ => Waiting::Creating,
    };
    Some((kind, waiting.message.as_deref().or(waiting.reason.as_deref())))
}

fn last_end(container: &ContainerStatus) -> Option<Ended> {
    let ended = |state: &Option<ContainerState>| state.as_ref()?.terminated.clone();
    let ended = ended(&container.state).or_else(|| ended(&container.last_state))?;
    let end = match ended.reason.as_deref() {
        Some("OOMKilled") => End::OutOfMemory,
        _ if ended.exit_code == 0 => End::Completed,
        _ => End::Error,
    };
    Some(Ended { end, exit_code: ended.exit_code, at: ended.finished_at?.0 })
}

fn shortened(message: &str) -> Box<str> {
    message.get(..message.floor_char_boundary(MESSAGE)).unwrap_or_default().into()
}
