//! What can be wrong, in words for machines and for people.

use std::fmt;

use jiff::Timestamp;
use strum::IntoStaticStr;

/// Why a tenant's agent does not answer. `Display` is the message for people: what is wrong, and
/// what to do where that is theirs.
#[derive(Clone, Debug, PartialEq, Eq, IntoStaticStr)]
pub enum Problem {
    /// Nothing is wrong yet: it takes its time.
    Starting,
    /// No pod came.
    NoPod,
    /// The API server refuses the pod, for its quota or a policy.
    PodRefused {
        /// The Deployment's words.
        message: String,
    },
    /// No node takes the pod.
    Unschedulable {
        /// The scheduler's words.
        message: String,
    },
    /// The image does not come.
    ImageNotPulled {
        /// The kubelet's words.
        message: String,
    },
    /// The volume does not come, as far as can be told.
    VolumeNotMounted {
        /// The kubelet's words; none where the container is not created for another reason.
        message: Option<String>,
    },
    /// The container is not created or not started.
    ContainerRefused {
        /// The kubelet's words.
        message: String,
    },
    /// The container ends again and again.
    CrashLoop {
        /// How often it was started again.
        restarts: u32,
        /// Its last exit code.
        exit_code: i32,
    },
    /// The container was killed at its memory limit.
    OutOfMemory {
        /// How often it was started again.
        restarts: u32,
    },
    /// It answered, and does not any more.
    NotReady,
    /// It was started and never answered, for longer than a start may take.
    NeverReady,
    /// The pod is ready, and its gateway has not been heard of.
    Silent {
        /// When it was.
        last: Timestamp,
    },
    /// The node does not answer.
    NodeLost,
}

impl Problem {
    /// The reason in a condition, and a metric's label: one word of a fixed list.
    pub fn reason(&self) -> &'static str {
        self.into()
    }

    /// Whether the container ends by itself: the kubelet starts it again, and ops should know.
    pub(super) fn is_of_the_container(&self) -> bool {
        matches!(self, Self::CrashLoop { .. } | Self::OutOfMemory { .. })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("the agent starts; this takes up to 6 minutes"),
            Self::NoPod => f.write_str(
                "there is no pod though one should run: see the Deployment's conditions, and \
                 whether the controller manager runs",
            ),
            Self::PodRefused { message } => write!(
                f,
                "the pod is refused ({message}): compare the ResourceQuota with the tier, or mend \
                 the policy that is named"
            ),
            Self::Unschedulable { message } => write!(
                f,
                "no node takes the pod ({message}): add a node to the pool or free room in it"
            ),
            Self::ImageNotPulled { message } => write!(
                f,
                "the image cannot be pulled ({message}): see that the tag exists and the registry \
                 answers"
            ),
            Self::VolumeNotMounted { message: Some(message) } => write!(
                f,
                "a volume cannot be mounted ({message}): see the claim, its volume and which node \
                 holds it"
            ),
            Self::VolumeNotMounted { message: None } => f.write_str(
                "the container is not created: its volume cannot be mounted, or the image takes \
                 long; see the pod's events",
            ),
            Self::ContainerRefused { message } => write!(
                f,
                "the container cannot be started ({message}): see the image and the Secret and \
                 ConfigMap that it reads"
            ),
            Self::CrashLoop { restarts, exit_code } => write!(
                f,
                "the container keeps ending, last with exit code {exit_code} after {restarts} \
                 restarts: read the log of its last run"
            ),
            Self::OutOfMemory { restarts } => write!(
                f,
                "the container was killed at its memory limit ({restarts} restarts so far): see \
                 what it did, or move the tenant to a larger tier"
            ),
            Self::NotReady => {
                f.write_str("the agent has stopped answering; its pod is replaced if it stays so")
            }
            Self::NeverReady => f.write_str(
                "the agent has not answered since its start, for more than 6 minutes: read its log",
            ),
            Self::Silent { last } => write!(
                f,
                "the gateway was last heard of at {last:.0}; its pod is replaced if it stays silent"
            ),
            Self::NodeLost => f.write_str(
                "the pod's node does not answer: bring it back, or remove the node so that the \
                 pod moves",
            ),
        }
    }
}
