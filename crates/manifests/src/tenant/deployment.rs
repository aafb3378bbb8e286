//! The pod: the agent, and the OpenClaw gateway that it supervises.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy},
        core::v1::{
            Affinity, Container, ContainerPort, EnvVar, HostAlias,
            PersistentVolumeClaimVolumeSource, PodAffinityTerm, PodAntiAffinity, PodDNSConfig,
            PodSpec, PodTemplateSpec, Toleration, Volume,
        },
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use oc_domain::{
    catalog::Isolation,
    inventory::{POOL_LABEL, Pool, Taint},
};

use super::{CLAIM, Context, GATEWAY, SECRET, WORKSPACE, data_plane};
use crate::{
    labels::{self, ISOLATION, NAME, TENANT, selector},
    pod,
};

/// The user of the gateway image.
const USER: i64 = 10_001;
/// Where the agent answers probes.
const PROBES: u16 = 9090;
/// The gateway drains for up to 315 s (measured), then it takes its 2 s to leave.
const GRACE_SECONDS: i64 = 330;

const STATE: &str = "/var/lib/openclaw";

impl Context<'_> {
    pub(super) fn deployment(self) -> Deployment {
        let spec = DeploymentSpec {
            replicas: Some(i32::from(self.spec.runs())),
            revision_history_limit: Some(2),
            progress_deadline_seconds: Some(600),
            selector: selector([(NAME, GATEWAY)]),
            // The state volume has one writer, and so has a bot's queue of updates.
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".to_owned()),
                rolling_update: None,
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels::labels([
                        (NAME, GATEWAY),
                        (TENANT, self.id.as_str()),
                        (ISOLATION, self.isolation_name()),
                    ])),
                    ..ObjectMeta::default()
                }),
                spec: Some(self.pod()),
            },
            ..DeploymentSpec::default()
        };
        Deployment { metadata: self.metadata(GATEWAY), spec: Some(spec), status: None }
    }

    fn pod(self) -> PodSpec {
        let dedicated = self.tier.isolation == Isolation::Dedicated;
        let pool = if dedicated { Pool::Dedicated } else { Pool::Shared };
        PodSpec {
            automount_service_account_token: Some(false),
            // Else every Service of the namespace would be in the environment.
            enable_service_links: Some(false),
            service_account_name: Some(GATEWAY.to_owned()),
            // OpenClaw tells the model its host's name: let it be the same dull one everywhere.
            hostname: Some("agent".to_owned()),
            // Nothing listens there: names come from `hostAliases`, and DNS is no way out for data.
            dns_policy: Some("None".to_owned()),
            dns_config: Some(PodDNSConfig {
                nameservers: Some(vec!["127.0.0.1".to_owned()]),
                ..PodDNSConfig::default()
            }),
            host_aliases: Some(self.host_aliases()),
            priority_class_name: Some(format!("openclaw-{}", self.tier.family)),
            runtime_class_name: self.inventory.cluster.tenant_runtime_class.clone(),
            node_selector: Some(labels::labels([(POOL_LABEL, &pool.to_string())])),
            tolerations: dedicated.then(|| vec![toleration(&Taint::dedicated())]),
            affinity: dedicated.then(alone_on_its_node),
            security_context: Some(pod::pod_security(USER)),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            containers: vec![self.container()],
            volumes: Some(vec![
                Volume {
                    name: "state".to_owned(),
                    persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                        claim_name: CLAIM.to_owned(),
                        read_only: None,
                    }),
                    ..Volume::default()
                },
                pod::empty_dir("tmp", 512),
                pod::config_map("workspace", WORKSPACE),
                pod::secret("secret", SECRET),
            ]),
            ..PodSpec::default()
        }
    }

    fn container(self) -> Container {
        let image = &self.inventory.cluster.image;
        Container {
            name: GATEWAY.to_owned(),
            image: Some(format!("{}/gateway:{}", image.registry, image.tag)),
            image_pull_policy: Some("IfNotPresent".to_owned()),
            env: Some(self.environment()),
            ports: Some(vec![ContainerPort {
                name: Some("probes".to_owned()),
                container_port: PROBES.into(),
                protocol: Some("TCP".to_owned()),
                ..ContainerPort::default()
            }]),
            // A cold start took up to 70 s on a busy machine (measured); five minutes and more are
            // allowed, then the other two take over.
            startup_probe: Some(pod::http_probe("/readyz", "probes", 5, 72)),
            readiness_probe: Some(pod::http_probe("/readyz", "probes", 5, 3)),
            liveness_probe: Some(pod::http_probe("/livez", "probes", 10, 6)),
            resources: Some(self.resources().requirements()),
            security_context: Some(pod::container_security()),
            volume_mounts: Some(vec![
                pod::mount("state", STATE),
                pod::mount("tmp", "/tmp"),
                pod::read_only("workspace", "/etc/openclaw/workspace"),
                pod::read_only("secret", "/etc/openclaw/secret"),
            ]),
            ..Container::default()
        }
    }

    /// What never changes in a pod's life; all else comes by volumes, so that it can change.
    fn environment(self) -> Vec<EnvVar> {
        // Half of the limit for V8: measured, the other half is native memory of the gateway's
        // three processes.
        let heap = self.tier.memory_mib.limit / 2;
        let mut environment = vec![
            pod::env("OPENCLAW_TENANT_ID", self.id.as_str()),
            pod::env("OPENCLAW_STATE_DIR", format!("{STATE}/state")),
            pod::env("OPENCLAW_WORKSPACE_DIR", format!("{STATE}/workspace")),
            pod::env("HOME", format!("{STATE}/home")),
            pod::env("TMPDIR", "/tmp"),
            pod::env("NODE_OPTIONS", format!("--max-old-space-size={heap}")),
            pod::env("MALLOC_ARENA_MAX", "2"),
            pod::env("OPENCLAW_CONFIG_READONLY", "1"),
            pod::env("OPENCLAW_NO_AUTO_UPDATE", "1"),
            pod::env("OPENCLAW_DISABLE_BONJOUR", "1"),
            pod::env("OPENCLAW_SUPERVISOR_MODE", "external"),
        ];
        let services = data_plane(&self.inventory.cluster.data_plane);
        environment
            .extend(services.iter().map(|service| pod::env(service.variable, service.url())));
        environment
    }

    fn host_aliases(self) -> Vec<HostAlias> {
        data_plane(&self.inventory.cluster.data_plane)
            .iter()
            .map(|service| HostAlias {
                ip: service.address.to_string(),
                hostnames: Some(vec![service.host()]),
            })
            .collect()
    }

    fn isolation_name(self) -> &'static str {
        match self.tier.isolation {
            Isolation::Shared => "shared",
            Isolation::Dedicated => "dedicated",
        }
    }
}

fn toleration(taint: &Taint) -> Toleration {
    Toleration {
        key: Some(taint.key.clone()),
        operator: Some("Equal".to_owned()),
        value: Some(taint.value.clone()),
        effect: Some(taint.effect.to_string()),
        ..Toleration::default()
    }
}

/// The taint keeps shared tenants away; this keeps dedicated ones away from each other.
fn alone_on_its_node() -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(selector([(ISOLATION, "dedicated")])),
        // The empty selector: every namespace.
        namespace_selector: Some(LabelSelector::default()),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: Some(vec![term]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}
