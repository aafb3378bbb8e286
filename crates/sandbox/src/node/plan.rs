//! What a node has to do for one pod.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::core::v1::{Container, Pod, PodSpec, Volume, VolumeMount},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::ResourceExt as _;

use super::{
    quantity::{thousandths, units},
    shape,
};

/// A pod, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) container: String,
    /// The image's full reference.
    pub(super) image: String,
    pub(super) env: Vec<(String, String)>,
    pub(super) user: u32,
    pub(super) group: u32,
    /// Who owns files of volumes.
    pub(super) fs_group: u32,
    pub(super) hostname: String,
    /// Names of each address.
    pub(super) hosts: Vec<(String, Vec<String>)>,
    pub(super) nameservers: Vec<String>,
    pub(super) mounts: Vec<Mount>,
    pub(super) startup: Option<Probe>,
    pub(super) readiness: Option<Probe>,
    pub(super) liveness: Option<Probe>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) cpu_millis: Option<u64>,
    pub(super) grace: Duration,
}

/// A volume, and where the container sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) volume: String,
    pub(super) target: String,
    pub(super) read_only: bool,
    pub(super) source: Source,
}

/// What a volume is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Claim(String),
    Empty { bytes: u64 },
    Files(Files),
}

/// Keys of an object as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) mode: u32,
}

/// Which kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ConfigMap,
    Secret,
}

/// What is asked how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) path: String,
    pub(super) port: u16,
    pub(super) period: Duration,
    pub(super) timeout: Duration,
    /// So many failures in a row decide.
    pub(super) failures: u32,
}

/// What is to be done for `pod`, or everything why this node does not do it.
pub(super) fn read(pod: &Pod) -> Result<Plan, Vec<String>> {
    let spec = pod.spec.clone().unwrap_or_default();
    let value = serde_json::to_value(&spec).unwrap_or_default();
    let complaints = shape::complaints(&value);
    if !complaints.is_empty() {
        return Err(complaints);
    }
    plan(pod, &spec).map_err(|complaint| vec![complaint])
}

fn plan(pod: &Pod, spec: &PodSpec) -> Result<Plan, String> {
    let container = spec.containers.first().ok_or("spec.containers is empty")?;
    let security = spec.security_context.clone().unwrap_or_default();
    let id = |id: Option<i64>, name: &str| {
        let id = id.and_then(|id| u32::try_from(id).ok()).filter(|&id| id > 0);
        id.ok_or_else(|| format!("spec.securityContext.{name} must be a number above 0"))
    };
    let limits = container.resources.clone().and_then(|it| it.limits).unwrap_or_default();
    let env = container.env.iter().flatten();
    let probe = |probe: &Option<_>| probe.as_ref().map(|it| read_probe(it, container)).transpose();
    let volumes = spec.volumes.iter().flatten();
    let mounts = container.volume_mounts.iter().flatten();
    Ok(Plan {
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        uid: pod.uid().ok_or("metadata.uid is missing")?,
        container: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        env: env.map(|it| (it.name.clone(), it.value.clone().unwrap_or_default())).collect(),
        user: id(security.run_as_user, "runAsUser")?,
        group: id(security.run_as_group, "runAsGroup")?,
        fs_group: id(security.fs_group, "fsGroup")?,
        hostname: spec.hostname.clone().unwrap_or_else(|| pod.name_any()),
        hosts: spec
            .host_aliases
            .iter()
            .flatten()
            .map(|alias| (alias.ip.clone(), alias.hostnames.clone().unwrap_or_default()))
            .collect(),
        nameservers: spec.dns_config.clone().and_then(|dns| dns.nameservers).unwrap_or_default(),
        mounts: read_mounts(mounts, &volumes.map(|it| (it.name.as_str(), it)).collect())?,
        startup: probe(&container.startup_probe)?,
        readiness: probe(&container.readiness_probe)?,
        liveness: probe(&container.liveness_probe)?,
        memory_bytes: limits.get("memory").and_then(units),
        cpu_millis: limits.get("cpu").and_then(thousandths),
        grace: seconds(spec.termination_grace_period_seconds, 30),
    })
}

fn read_mounts<'a>(
    mounts: impl Iterator<Item = &'a VolumeMount>,
    volumes: &BTreeMap<&str, &Volume>,
) -> Result<Vec<Mount>, String> {
    mounts
        .map(|mount| {
            let volume = volumes.get(mount.name.as_str());
            let volume = volume.ok_or_else(|| format!("no volume {}", mount.name))?;
            Ok(Mount {
                volume: mount.name.clone(),
                target: mount.mount_path.clone(),
                read_only: mount.read_only.unwrap_or_default(),
                source: source(volume)?,
            })
        })
        .collect()
}

fn source(volume: &Volume) -> Result<Source, String> {
    let mode = |mode: Option<i32>| mode.and_then(|it| u32::try_from(it).ok()).unwrap_or(0o644);
    if let Some(claim) = &volume.persistent_volume_claim {
        return Ok(Source::Claim(claim.claim_name.clone()));
    }
    if let Some(empty) = &volume.empty_dir {
        let bytes = empty.size_limit.as_ref().and_then(units);
        let bytes = bytes.ok_or_else(|| format!("volume {} has no size limit", volume.name))?;
        return Ok(Source::Empty { bytes });
    }
    let files = match (&volume.config_map, &volume.secret) {
        (Some(map), _) => {
            Files { kind: Kind::ConfigMap, name: map.name.clone(), mode: mode(map.default_mode) }
        }
        (_, Some(secret)) => {
            let name = secret.secret_name.clone().unwrap_or_default();
            Files { kind: Kind::Secret, name, mode: mode(secret.default_mode) }
        }
        _ => return Err(format!("volume {} is of no supported kind", volume.name)),
    };
    Ok(Source::Files(files))
}

fn read_probe(
    probe: &k8s_openapi::api::core::v1::Probe,
    container: &Container,
) -> Result<Probe, String> {
    let get = probe.http_get.as_ref().ok_or("a probe without httpGet")?;
    let port = match &get.port {
        IntOrString::Int(port) => Some(*port),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_ref() == Some(name))
            .map(|port| port.container_port),
    };
    let port = port.and_then(|port| u16::try_from(port).ok());
    Ok(Probe {
        path: get.path.clone().unwrap_or_else(|| "/".to_owned()),
        port: port.ok_or("a probe of an unknown port")?,
        period: seconds(probe.period_seconds.map(i64::from), 10),
        timeout: seconds(probe.timeout_seconds.map(i64::from), 1),
        failures: probe.failure_threshold.and_then(|it| u32::try_from(it).ok()).unwrap_or(3).max(1),
    })
}

fn seconds(seconds: Option<i64>, default: u64) -> Duration {
    Duration::from_secs(seconds.and_then(|it| u64::try_from(it).ok()).unwrap_or(default))
}
