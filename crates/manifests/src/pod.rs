//! What every pod of ours has in common, tenants' and platform's: it obeys the Pod Security Standard
//! `restricted` and a little more.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, ConfigMapVolumeSource, EmptyDirVolumeSource, EnvVar, ExecAction,
        HTTPGetAction, PodSecurityContext, Probe, ResourceRequirements, SeccompProfile,
        SecretVolumeSource, SecurityContext, Volume, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};

use crate::quantity::{mebi, millis};

/// Runs as `user` without root anywhere, files of volumes owned by the same group.
pub(crate) fn pod_security(user: i64) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(user),
        run_as_group: Some(user),
        fs_group: Some(user),
        // A large state volume would otherwise be walked file by file at every start.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

/// No privilege, no capability, nothing writable but volumes.
pub(crate) fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}

/// Thousandths of a CPU and mebibytes, each as (request, limit), with local disk beside them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resources {
    pub cpu_millis: (u32, u32),
    pub memory_mib: (u32, u32),
    pub disk_mib: (u32, u32),
}

impl Resources {
    pub(crate) fn requests(self) -> BTreeMap<String, Quantity> {
        Self::list(self.cpu_millis.0, self.memory_mib.0, self.disk_mib.0)
    }

    pub(crate) fn limits(self) -> BTreeMap<String, Quantity> {
        Self::list(self.cpu_millis.1, self.memory_mib.1, self.disk_mib.1)
    }

    fn list(cpu_millis: u32, memory_mib: u32, disk_mib: u32) -> BTreeMap<String, Quantity> {
        BTreeMap::from([
            ("cpu".to_owned(), millis(cpu_millis)),
            ("memory".to_owned(), mebi(memory_mib)),
            ("ephemeral-storage".to_owned(), mebi(disk_mib)),
        ])
    }

    pub(crate) fn requirements(self) -> ResourceRequirements {
        ResourceRequirements {
            requests: Some(self.requests()),
            limits: Some(self.limits()),
            ..ResourceRequirements::default()
        }
    }
}

pub(crate) fn env(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.into()), ..EnvVar::default() }
}

pub(crate) fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

pub(crate) fn read_only(name: &str, path: &str) -> VolumeMount {
    VolumeMount { read_only: Some(true), ..mount(name, path) }
}

pub(crate) fn empty_dir(name: &str, size_mib: u32) -> Volume {
    let source = EmptyDirVolumeSource { size_limit: Some(mebi(size_mib)), ..Default::default() };
    Volume { name: name.to_owned(), empty_dir: Some(source), ..Volume::default() }
}

pub(crate) fn config_map(name: &str, config_map: &str) -> Volume {
    let source = ConfigMapVolumeSource {
        name: config_map.to_owned(),
        default_mode: Some(0o440),
        ..ConfigMapVolumeSource::default()
    };
    Volume { name: name.to_owned(), config_map: Some(source), ..Volume::default() }
}

pub(crate) fn secret(name: &str, secret: &str) -> Volume {
    let source = SecretVolumeSource {
        secret_name: Some(secret.to_owned()),
        default_mode: Some(0o440),
        ..SecretVolumeSource::default()
    };
    Volume { name: name.to_owned(), secret: Some(source), ..Volume::default() }
}

/// Asks `path` on the port named `port`; `failures` in a row, `period` seconds apart, decide.
pub(crate) fn http_probe(path: &str, port: &str, period: i32, failures: i32) -> Probe {
    let get = HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::String(port.to_owned()),
        ..HTTPGetAction::default()
    };
    Probe { http_get: Some(get), ..probe(period, failures) }
}

/// Runs `command` in the container.
pub(crate) fn exec_probe(command: &[&str], period: i32, failures: i32) -> Probe {
    let command = command.iter().map(|&word| word.to_owned()).collect();
    Probe { exec: Some(ExecAction { command: Some(command) }), ..probe(period, failures) }
}

fn probe(period: i32, failures: i32) -> Probe {
    Probe {
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}
