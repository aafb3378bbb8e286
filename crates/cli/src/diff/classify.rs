//! What a difference of two objects does when it is applied.

use serde::Serialize;
use serde_json::Value;
use strum::Display;

use super::compare::Difference;

/// What happens to the cluster, least first: the order is that of a reader's worry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub(super) enum Effect {
    /// Labels and other things that touch no pod.
    Settings,
    /// How much the namespace may use.
    Quota,
    /// Prompts or gateway configuration: reaches the running pod, no restart.
    Reload,
    /// Something new.
    Create,
    /// More or less CPU, memory or disk.
    Resize,
    /// Who may reach whom, or by which address.
    Network,
    /// The pod stops and a new one starts; the agent is silent meanwhile.
    Restart,
    /// A stopped agent runs again.
    Resume,
    /// The agent stops, data is kept.
    Suspend,
    /// The pod goes to nodes of another kind.
    Move,
    /// An object goes.
    Remove,
    /// Kubernetes refuses the change: the object must be removed and made again.
    Replace,
    /// Data goes.
    DataLoss,
}

impl Effect {
    /// Whether a revert of the commit does not bring back what was.
    pub(super) fn irreversible(self) -> bool {
        matches!(self, Self::DataLoss | Self::Replace)
    }

    /// Whether it happens to a pod, so to nobody where none runs.
    pub(super) fn needs_pod(self) -> bool {
        matches!(self, Self::Reload | Self::Restart | Self::Move)
    }
}

/// What happens, and what there is to know of it.
pub(super) type Outcome = (Vec<Effect>, Option<&'static str>);

/// What the difference at one place of an object of `kind` does, and what there is to know of it.
pub(super) fn classify(kind: &str, difference: &Difference) -> Outcome {
    let at = |prefix: &str| difference.pointer.starts_with(prefix);
    let within = |part: &str| difference.pointer.contains(part);
    match kind {
        "ConfigMap" => (vec![Effect::Reload], None),
        "ResourceQuota" | "LimitRange" => (vec![Effect::Quota], None),
        "Deployment" if at("/spec/replicas") => {
            let stops = difference.after.as_ref().and_then(Value::as_i64) == Some(0);
            (vec![if stops { Effect::Suspend } else { Effect::Resume }], None)
        }
        "Deployment" | "StatefulSet"
            if at("/spec/selector") || at("/spec/volumeClaimTemplates") =>
        {
            (vec![Effect::Replace], Some("immutable: the object must be removed and made again"))
        }
        "StatefulSet" if at("/spec/serviceName") => (vec![Effect::Replace], Some("immutable")),
        "Deployment" | "StatefulSet" if at("/spec/template") && within("/resources/") => {
            (vec![Effect::Resize, Effect::Restart], None)
        }
        "Deployment" | "StatefulSet"
            if within("/nodeSelector") || within("/affinity") || within("/tolerations") =>
        {
            let note = "a volume on a node's own disk does not follow its pod";
            (vec![Effect::Move, Effect::Restart], Some(note))
        }
        "Deployment" if within("/hostAliases") => (vec![Effect::Network, Effect::Restart], None),
        "Deployment" | "StatefulSet" if at("/spec/template") => (vec![Effect::Restart], None),
        "PersistentVolumeClaim" if within("/requests/storage") => claim(difference),
        "PersistentVolumeClaim" if at("/spec") => {
            (vec![Effect::DataLoss], Some("immutable: only a new, empty claim can have it"))
        }
        "Service" if at("/spec/clusterIP") => {
            (vec![Effect::Network, Effect::Replace], Some("a Service's address is immutable"))
        }
        "Service" | "NetworkPolicy" => (vec![Effect::Network], None),
        "PriorityClass" if at("/value") || at("/preemptionPolicy") => {
            (vec![Effect::Replace], Some("immutable"))
        }
        "RuntimeClass" if at("/handler") => (vec![Effect::Replace], Some("immutable")),
        "HelmChart" => (vec![Effect::Restart], Some("K3s upgrades the chart")),
        _ => (vec![Effect::Settings], None),
    }
}

fn claim(difference: &Difference) -> Outcome {
    let gibi =
        |value: &Option<Value>| value.as_ref()?.as_str()?.strip_suffix("Gi")?.parse::<u64>().ok();
    if gibi(&difference.after) < gibi(&difference.before) {
        (vec![Effect::Settings], Some("a claim cannot shrink: it keeps its size"))
    } else {
        (vec![Effect::Resize], Some("where the storage class can expand; else the claim stays"))
    }
}

/// What it does that an object of `kind` goes.
pub(super) fn removal(kind: &str) -> Outcome {
    match kind {
        "PersistentVolumeClaim" | "StatefulSet" | "Namespace" | "CustomResourceDefinition" => {
            (vec![Effect::Remove, Effect::DataLoss], Some("everything in it goes with it"))
        }
        "NetworkPolicy" => (vec![Effect::Remove, Effect::Network], None),
        _ => (vec![Effect::Remove], None),
    }
}
