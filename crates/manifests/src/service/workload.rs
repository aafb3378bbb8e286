//! The pods of a service.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            Container, ContainerPort, EnvVar, PodSpec, PodTemplateSpec, TopologySpreadConstraint,
        },
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use oc_domain::Inventory;

use super::{ADMIN, Access, SCRATCH, SECRET, Service, metadata, prefer_platform_nodes};
use crate::{
    labels::{NAME, component, selector},
    pod::{self, Resources},
};

/// The user of our own images.
const USER: i64 = 65_532;
/// What a process that is done needs to send its last traces.
const LAST_WORDS_SECONDS: i64 = 5;

impl Service {
    pub(super) fn deployment(&self, inventory: &Inventory) -> Deployment {
        let spec = DeploymentSpec {
            replicas: Some(self.replicas),
            revision_history_limit: Some(3),
            selector: selector([(NAME, self.name)]),
            // A new pod is ready before an old one goes.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(component(self.name)),
                    ..ObjectMeta::default()
                }),
                spec: Some(self.pod(inventory)),
            },
            ..DeploymentSpec::default()
        };
        Deployment { metadata: metadata(self.name), spec: Some(spec), status: None }
    }

    fn pod(&self, inventory: &Inventory) -> PodSpec {
        let mut volumes = vec![pod::empty_dir("tmp", 64)];
        volumes.extend(self.secret.map(|secret| pod::secret("secret", secret)));
        volumes.extend(self.scratch_mib.map(|size| pod::empty_dir("scratch", size)));
        PodSpec {
            service_account_name: Some(self.name.to_owned()),
            automount_service_account_token: Some(!matches!(self.access, Access::None)),
            enable_service_links: Some(false),
            priority_class_name: Some("openclaw-platform".to_owned()),
            security_context: Some(pod::pod_security(USER)),
            termination_grace_period_seconds: Some(self.grace_seconds),
            affinity: Some(prefer_platform_nodes()),
            topology_spread_constraints: (self.replicas > 1).then(|| vec![self.spread()]),
            containers: vec![self.container(inventory)],
            volumes: Some(volumes),
            ..PodSpec::default()
        }
    }

    fn container(&self, inventory: &Inventory) -> Container {
        let image = &inventory.cluster.image;
        let port = |name: &str, port: u16| ContainerPort {
            name: Some(name.to_owned()),
            container_port: port.into(),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        };
        let mut ports = vec![port("admin", ADMIN)];
        ports.extend(self.port.map(|number| port("http", number)));
        let mut mounts = vec![pod::mount("tmp", "/tmp")];
        mounts.extend(self.secret.map(|_| pod::read_only("secret", SECRET)));
        mounts.extend(self.scratch_mib.map(|_| pod::mount("scratch", SCRATCH)));
        let arguments: Vec<String> = self.arguments.iter().map(|&word| word.to_owned()).collect();
        let resources = Resources {
            cpu_millis: self.cpu_millis,
            memory_mib: self.memory_mib,
            disk_mib: (64, 512 + self.scratch_mib.unwrap_or_default()),
        };
        Container {
            name: self.name.to_owned(),
            image: Some(format!("{}/{}:{}", image.registry, self.name, image.tag)),
            image_pull_policy: Some("IfNotPresent".to_owned()),
            args: Some(arguments).filter(|arguments| !arguments.is_empty()),
            env: Some(self.variables()),
            ports: Some(ports),
            startup_probe: Some(pod::http_probe("/livez", "admin", 2, 30)),
            readiness_probe: Some(pod::http_probe("/readyz", "admin", 5, 2)),
            liveness_probe: Some(pod::http_probe("/livez", "admin", 10, 3)),
            resources: Some(resources.requirements()),
            security_context: Some(pod::container_security()),
            volume_mounts: Some(mounts),
            ..Container::default()
        }
    }

    fn variables(&self) -> Vec<EnvVar> {
        let own = self.environment.iter().map(|(name, value)| pod::env(name, value));
        self.process().into_iter().chain(own).collect()
    }

    /// What the process kit of every service is told.
    fn process(&self) -> [EnvVar; 2] {
        // The process cuts itself off first, and says in its log what it cut.
        let grace = format!("{}s", self.grace_seconds.saturating_sub(LAST_WORDS_SECONDS));
        [
            pod::env("OPENCLAW_ADMIN_LISTEN", format!("0.0.0.0:{ADMIN}")),
            pod::env("OPENCLAW_GRACE", grace),
        ]
    }

    /// Pods on different nodes where there are several.
    fn spread(&self) -> TopologySpreadConstraint {
        TopologySpreadConstraint {
            max_skew: 1,
            topology_key: "kubernetes.io/hostname".to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(selector([(NAME, self.name)])),
            ..TopologySpreadConstraint::default()
        }
    }
}
