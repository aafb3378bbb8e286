//! What a pod's status says, made from what is known of its one container.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
        ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use super::register::ADDRESS;

/// What this node decides of a pod's conditions; the others are somebody else's.
const CONDITIONS: [&str; 4] = ["PodScheduled", "Initialized", "ContainersReady", "Ready"];

/// Where a pod is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) accepted: Timestamp,
    pub(super) address: Option<Ipv4Addr>,
    pub(super) now: Now,
    /// The end before `now`.
    pub(super) last: Option<End>,
    pub(super) restarts: i32,
    /// The container has passed its startup probe.
    pub(super) started: bool,
    pub(super) ready: bool,
    /// Why the node does not run it at all: reason and message.
    pub(super) refused: Option<(&'static str, String)>,
}

/// What the container does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Now {
    Waiting { reason: &'static str, message: Option<String> },
    Running { since: Timestamp },
    Ended(End),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) code: i32,
    pub(super) reason: String,
    pub(super) message: Option<String>,
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Timestamp,
}

impl State {
    /// The state of a pod that was just taken. Whatever of it ran under an earlier node has ended.
    pub(super) fn new(pod: &Pod, now: Timestamp) -> Self {
        let before = pod.status.as_ref();
        let container = before.and_then(|it| it.container_statuses.as_ref()?.first());
        let running = container.and_then(|it| it.state.as_ref()?.running.as_ref());
        let lost = running.map(|running| End {
            code: 137,
            reason: "ContainerStatusUnknown".to_owned(),
            message: Some("The node was started again.".to_owned()),
            started: running.started_at.as_ref().map(|at| at.0),
            finished: now,
        });
        let accepted = before.and_then(|it| it.start_time.as_ref()).map_or(now, |at| at.0);
        Self {
            accepted,
            address: None,
            now: Now::waiting("ContainerCreating", None),
            restarts: container.map_or(0, |it| it.restart_count + i32::from(lost.is_some())),
            last: lost.or_else(|| End::read(container?.last_state.as_ref()?.terminated.as_ref()?)),
            started: false,
            ready: false,
            refused: None,
        }
    }

    /// The container runs.
    pub(super) fn run(&mut self, now: Timestamp) {
        self.now = Now::Running { since: now };
        (self.started, self.ready) = (false, false);
    }

    /// The container has ended.
    pub(super) fn end(&mut self, code: i32, reason: &str, message: Option<String>, now: Timestamp) {
        let started = match self.now {
            Now::Running { since } => Some(since),
            _ => None,
        };
        let end = End { code, reason: reason.to_owned(), message, started, finished: now };
        (self.last, self.now) = (Some(end.clone()), Now::Ended(end));
        (self.started, self.ready) = (false, false);
    }

    /// As the API has it. `pod` is the object as it is now: conditions of others stay, and ours keep
    /// the time of their last change.
    pub(super) fn render(
        &self,
        pod: &Pod,
        container: &str,
        image: &str,
        now: Timestamp,
    ) -> PodStatus {
        let before = pod.status.clone().unwrap_or_default();
        let address = self.address.map(|it| it.to_string());
        PodStatus {
            phase: Some(self.phase().to_owned()),
            reason: self.refused.as_ref().map(|(reason, _)| (*reason).to_owned()),
            message: self.refused.as_ref().map(|(_, message)| message.clone()),
            conditions: Some(self.conditions(&before, container, now)),
            container_statuses: self
                .refused
                .is_none()
                .then(|| vec![self.container(pod, container, image)]),
            start_time: Some(Time(self.accepted)),
            host_ip: Some(ADDRESS.to_string()),
            host_ips: Some(vec![HostIP { ip: ADDRESS.to_string() }]),
            pod_ips: address.clone().map(|ip| vec![PodIP { ip }]),
            pod_ip: address,
            ..PodStatus::default()
        }
    }

    fn phase(&self) -> &'static str {
        match (&self.refused, &self.now) {
            (Some(_), _) => "Failed",
            (None, Now::Waiting { .. }) if self.last.is_none() => "Pending",
            _ => "Running",
        }
    }

    fn conditions(&self, before: &PodStatus, container: &str, now: Timestamp) -> Vec<PodCondition> {
        let before = before.conditions.clone().unwrap_or_default();
        let ours = CONDITIONS.map(|name| {
            let holds = match name {
                "PodScheduled" => true,
                "Initialized" => self.refused.is_none(),
                _ => self.ready,
            };
            let status = if holds { "True" } else { "False" };
            let old = before.iter().find(|old| old.type_ == name && old.status == status);
            let unready = !holds && self.refused.is_none();
            PodCondition {
                type_: name.to_owned(),
                status: status.to_owned(),
                reason: (!holds).then(|| {
                    self.refused
                        .as_ref()
                        .map_or("ContainersNotReady", |(reason, _)| reason)
                        .to_owned()
                }),
                message: unready.then(|| format!("containers with unready status: [{container}]")),
                last_transition_time: old
                    .and_then(|old| old.last_transition_time.clone())
                    .or(Some(Time(now))),
                ..PodCondition::default()
            }
        });
        let others = before.iter().filter(|it| !CONDITIONS.contains(&it.type_.as_str())).cloned();
        others.chain(ours).collect()
    }

    fn container(&self, pod: &Pod, name: &str, image: &str) -> ContainerStatus {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let last = match self.now {
            // What has just ended is no state before.
            Now::Ended(_) => None,
            _ => self.last.as_ref().map(End::state),
        };
        ContainerStatus {
            name: name.to_owned(),
            image: image.to_owned(),
            image_id: image.to_owned(),
            container_id: (!matches!(self.now, Now::Waiting { .. }))
                .then(|| format!("oc-node://{uid}-{}", self.restarts)),
            state: Some(self.now.state()),
            last_state: last,
            restart_count: self.restarts,
            started: Some(self.started),
            ready: self.ready,
            ..ContainerStatus::default()
        }
    }
}

impl Now {
    pub(super) fn waiting(reason: &'static str, message: Option<String>) -> Self {
        Self::Waiting { reason, message }
    }

    fn state(&self) -> ContainerState {
        match self {
            Self::Waiting { reason, message } => ContainerState {
                waiting: Some(ContainerStateWaiting {
                    reason: Some((*reason).to_owned()),
                    message: message.clone(),
                }),
                ..ContainerState::default()
            },
            Self::Running { since } => ContainerState {
                running: Some(ContainerStateRunning { started_at: Some(Time(*since)) }),
                ..ContainerState::default()
            },
            Self::Ended(end) => end.state(),
        }
    }
}

impl End {
    fn read(terminated: &ContainerStateTerminated) -> Option<Self> {
        Some(Self {
            code: terminated.exit_code,
            reason: terminated.reason.clone()?,
            message: terminated.message.clone(),
            started: terminated.started_at.as_ref().map(|at| at.0),
            finished: terminated.finished_at.as_ref()?.0,
        })
    }

    fn state(&self) -> ContainerState {
        let terminated = ContainerStateTerminated {
            exit_code: self.code,
            reason: Some(self.reason.clone()),
            message: self.message.clone(),
            started_at: self.started.map(Time),
            finished_at: Some(Time(self.finished)),
            ..ContainerStateTerminated::default()
        };
        ContainerState { terminated: Some(terminated), ..ContainerState::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + second).unwrap()
    }

    #[test]
    fn a_condition_keeps_the_time_of_its_last_change() {
        let mut pod = Pod::default();
        let mut state = State::new(&pod, at(0));
        state.run(at(1));
        pod.status = Some(state.render(&pod, "gateway", "image", at(1)));
        (state.started, state.ready) = (true, true);
        let status = state.render(&pod, "gateway", "image", at(5));
        let changed = |name: &str| {
            let conditions = status.conditions.as_ref().unwrap();
            let condition = conditions.iter().find(|it| it.type_ == name).unwrap();
            (condition.status.as_str(), condition.last_transition_time.as_ref().unwrap().0)
        };
        assert_eq!(changed("Initialized"), ("True", at(1)));
        assert_eq!(changed("Ready"), ("True", at(5)));
        assert_eq!(status.phase.as_deref(), Some("Running"));
    }

    #[test]
    fn what_ran_under_an_earlier_node_has_ended() {
        let mut pod = Pod::default();
        let mut state = State::new(&pod, at(0));
        state.run(at(1));
        pod.status = Some(state.render(&pod, "gateway", "image", at(1)));
        let again = State::new(&pod, at(9));
        assert_eq!((again.restarts, again.accepted), (1, at(0)));
        assert_eq!(again.last.unwrap().code, 137);
    }
}
