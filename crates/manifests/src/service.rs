//! One platform service: the objects that each of ours needs, from the few facts in which they
//! differ.

use std::net::Ipv4Addr;

use k8s_openapi::{
    api::{
        core::v1::{
            Affinity, NodeAffinity, NodeSelectorRequirement, NodeSelectorTerm,
            PreferredSchedulingTerm, Service as ServiceObject, ServiceAccount, ServicePort,
            ServiceSpec,
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
};

mod workload;

/// Health and metrics, the same in every service.
const ADMIN: u16 = 9090;
/// Where the keys of a service's Secret lie, a file each.
const SECRET: &str = "/etc/openclaw/secret";
/// What a service may write to, besides `/tmp`.
pub(crate) const SCRATCH: &str = "/var/lib/openclaw";

/// A service of ours in namespace `platform`.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name everywhere: image, objects, DNS.
    pub name: &'static str,
    /// What its program is told on the command line.
    pub arguments: &'static [&'static str],
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
    /// Mebibytes of disk under `/var/lib/openclaw` that are lost with the pod.
    pub scratch_mib: Option<u32>,
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
    /// Rules in the whole cluster, and further ones in namespace `platform`.
    Cluster {
        /// For every namespace and for what is in none.
        everywhere: Vec<PolicyRule>,
        /// For namespace `platform` alone.
        here: Vec<PolicyRule>,
    },
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
        match &self.access {
            Access::None => Vec::new(),
            Access::Namespace(rules) => self.role(rules).into(),
            Access::Cluster { everywhere, here } => {
                [self.cluster_role(everywhere), self.role(here)].concat()
            }
        }
    }

    fn role(&self, rules: &[PolicyRule]) -> [Object; 2] {
        let role = Role { metadata: metadata(self.name), rules: Some(rules.to_vec()) };
        let binding = RoleBinding {
            metadata: metadata(self.name),
            role_ref: role_ref("Role", self.name),
            subjects: Some(vec![self.subject()]),
        };
        [role.into(), binding.into()]
    }

    fn cluster_role(&self, rules: &[PolicyRule]) -> [Object; 2] {
        let name = format!("openclaw:{}", self.name);
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            labels: Some(component(self.name)),
            ..ObjectMeta::default()
        };
        let role = ClusterRole {
            metadata: metadata.clone(),
            rules: Some(rules.to_vec()),
            aggregation_rule: None,
        };
        let binding = ClusterRoleBinding {
            metadata,
            role_ref: role_ref("ClusterRole", &name),
            subjects: Some(vec![self.subject()]),
        };
        [role.into(), binding.into()]
    }

    fn subject(&self) -> Subject {
        Subject {
            kind: "ServiceAccount".to_owned(),
            name: self.name.to_owned(),
            namespace: Some(PLATFORM.to_owned()),
            ..Subject::default()
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
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: "rbac.authorization.k8s.io".to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
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

/// The path of a key of the service's Secret.
pub(crate) fn secret_file(key: &str) -> String {
    format!("{SECRET}/{key}")
}
