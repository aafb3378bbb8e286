//! One platform service: the objects that each of ours needs, from the few facts in which they
//! differ.

use std::net::Ipv4Addr;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            Affinity, Container, ContainerPort, EnvVar, NodeAffinity, NodeSelectorRequirement,
            NodeSelectorTerm, PodSpec, PodTemplateSpec, PreferredSchedulingTerm,
            Service as ServiceObject, ServiceAccount, ServicePort, ServiceSpec,
            TopologySpreadConstraint,
        },
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
        rbac::v1::{
            ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
        },
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use oc_domain::{
    Inventory,
    inventory::{POOL_LABEL, Pool},
};

use crate::{
    MONITORING, Object, PLATFORM,
    labels::{NAME, component, selector},
    network::{Peer, Port, dns, policy},
    pod::{self, Resources},
};

/// The user of our own images.
const USER: i64 = 65_532;
/// Health and metrics, the same in every service.
const ADMIN: u16 = 9090;
/// What a process that is done needs to send its last traces.
const LAST_WORDS_SECONDS: i64 = 5;

/// A service of ours in namespace `platform`.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name everywhere: image, objects, DNS.
    pub name: &'static str,
    /// How many pods.
    pub replicas: i32,
    /// The port that it serves, where it serves one.
    pub port: Option<u16>,
    /// A fixed address of its Service, for those that tenant pods reach.
    pub address: Option<Ipv4Addr>,
    /// Thousandths of a CPU, request and limit.
    pub cpu_millis: (u32, u32),
    /// Mebibytes of memory, request and limit.
    pub memory_mib: (u32, u32),
    /// Configuration that is no secret, besides what every service is told.
    pub environment: Vec<(&'static str, String)>,
    /// A Secret of which every key is a file under `/etc/openclaw/secret`.
    pub secret: Option<&'static str>,
    /// Who may reach its port.
    pub ingress: Vec<Peer>,
    /// Whom it may reach, besides DNS.
    pub egress: Vec<(Peer, Vec<Port>)>,
    /// What it may do in the Kubernetes API.
    pub access: Access,
    /// How long it may take to end, in seconds: five less for the work in hand.
    pub grace_seconds: i64,
}

/// What a service may do in the Kubernetes API.
#[derive(Clone, Debug)]
pub enum Access {
    /// Nothing: its pods hold no token.
    None,
    /// These rules in namespace `platform`.
    Namespace(Vec<PolicyRule>),
    /// These rules in the whole cluster.
    Cluster(Vec<PolicyRule>),
}

impl Service {
    /// All its objects, in the order in which they can be applied.
    pub fn objects(&self, inventory: &Inventory) -> Vec<Object> {
        let mut objects = vec![self.service_account().into()];
        objects.extend(self.rbac());
        objects.push(self.network_policy(inventory).into());
        objects.extend(self.service().map(Object::from));
        objects.extend(self.disruption_budget().map(Object::from));
        objects.push(self.deployment(inventory).into());
        objects
    }

    fn service_account(&self) -> ServiceAccount {
        ServiceAccount {
            metadata: metadata(self.name),
            // A pod that needs the token asks for it itself, see `pod`.
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        }
    }

    fn rbac(&self) -> Vec<Object> {
        let subject = Subject {
            kind: "ServiceAccount".to_owned(),
            name: self.name.to_owned(),
            namespace: Some(PLATFORM.to_owned()),
            ..Subject::default()
        };
        let role_ref = |kind: &str, name: String| RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: kind.to_owned(),
            name,
        };
        match &self.access {
            Access::None => Vec::new(),
            Access::Namespace(rules) => vec![
                Role { metadata: metadata(self.name), rules: Some(rules.clone()) }.into(),
                RoleBinding {
                    metadata: metadata(self.name),
                    role_ref: role_ref("Role", self.name.to_owned()),
                    subjects: Some(vec![subject]),
                }
                .into(),
            ],
            Access::Cluster(rules) => {
                let name = format!("openclaw:{}", self.name);
                let metadata = ObjectMeta {
                    name: Some(name.clone()),
                    labels: Some(component(self.name)),
                    ..ObjectMeta::default()
                };
                let role = ClusterRole {
                    metadata: metadata.clone(),
                    rules: Some(rules.clone()),
                    aggregation_rule: None,
                };
                let binding = ClusterRoleBinding {
                    metadata,
                    role_ref: role_ref("ClusterRole", name),
                    subjects: Some(vec![subject]),
                };
                vec![role.into(), binding.into()]
            }
        }
    }

    fn network_policy(
        &self,
        inventory: &Inventory,
    ) -> k8s_openapi::api::networking::v1::NetworkPolicy {
        let mut ingress = vec![(Peer::Namespace(MONITORING), vec![Port::Tcp(ADMIN)])];
        if let Some(port) = self.port {
            ingress.extend(self.ingress.iter().cloned().map(|peer| (peer, vec![Port::Tcp(port)])));
        }
        let mut egress = vec![dns()];
        if !matches!(self.access, Access::None) {
            egress.push(kubernetes_api(inventory));
        }
        egress.extend(self.egress.iter().cloned());
        let pods = crate::labels::labels([(NAME, self.name)]);
        policy(metadata(self.name), pods, &ingress, &egress)
    }

    fn service(&self) -> Option<ServiceObject> {
        let port = self.port?;
        let spec = ServiceSpec {
            selector: Some(crate::labels::labels([(NAME, self.name)])),
            cluster_ip: self.address.map(|address| address.to_string()),
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: port.into(),
                target_port: Some(IntOrString::String("http".to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        };
        Some(ServiceObject { metadata: metadata(self.name), spec: Some(spec), status: None })
    }

    /// One pod at a time may go for maintenance. A single pod has no budget: one that allows no
    /// disruption would hold up every drain of a node.
    fn disruption_budget(&self) -> Option<PodDisruptionBudget> {
        let spec = PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector([(NAME, self.name)])),
            ..PodDisruptionBudgetSpec::default()
        };
        (self.replicas > 1).then(|| PodDisruptionBudget {
            metadata: metadata(self.name),
            spec: Some(spec),
            status: None,
        })
    }

    fn deployment(&self, inventory: &Inventory) -> Deployment {
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
        mounts.extend(self.secret.map(|_| pod::read_only("secret", "/etc/openclaw/secret")));
        let own = self.environment.iter().map(|(name, value)| pod::env(name, value));
        let env: Vec<EnvVar> = self.process().into_iter().chain(own).collect();
        let resources = Resources {
            cpu_millis: self.cpu_millis,
            memory_mib: self.memory_mib,
            disk_mib: (64, 512),
        };
        Container {
            name: self.name.to_owned(),
            image: Some(format!("{}/{}:{}", image.registry, self.name, image.tag)),
            image_pull_policy: Some("IfNotPresent".to_owned()),
            env: Some(env),
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

/// The metadata of a platform component's object.
pub(crate) fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(PLATFORM.to_owned()),
        labels: Some(component(name)),
        ..ObjectMeta::default()
    }
}

/// The platform goes to its own nodes where there are some, and anywhere on a single one.
pub(crate) fn prefer_platform_nodes() -> Affinity {
    let pool = NodeSelectorRequirement {
        key: POOL_LABEL.to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![Pool::Platform.to_string()]),
    };
    let term = PreferredSchedulingTerm {
        weight: 100,
        preference: NodeSelectorTerm {
            match_expressions: Some(vec![pool]),
            ..NodeSelectorTerm::default()
        },
    };
    Affinity {
        node_affinity: Some(NodeAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![term]),
            ..NodeAffinity::default()
        }),
        ..Affinity::default()
    }
}

/// The API server, on the private addresses of the servers: it has no pods that policy could name.
fn kubernetes_api(inventory: &Inventory) -> (Peer, Vec<Port>) {
    let servers = inventory.nodes.iter().filter(|n| n.role == oc_domain::inventory::Role::Server);
    let networks = servers.map(|node| format!("{}/32", node.private_address)).collect();
    (Peer::Networks(networks), vec![Port::Tcp(6443)])
}
