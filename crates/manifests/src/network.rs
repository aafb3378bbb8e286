//! Network policies from who talks to whom. Everything that is not named is denied, both ways.

use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule,
        NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use crate::{
    PLATFORM,
    labels::{Labels, NAME, NAMESPACE, TENANT, selector},
};

/// A port that policy lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// TCP.
    Tcp(u16),
    /// UDP.
    Udp(u16),
}

/// Somebody at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The pods of a platform component.
    Platform(&'static str),
    /// The pods of every tenant.
    Tenants,
    /// All pods of a namespace.
    Namespace(&'static str),
    /// The cluster's DNS.
    Dns,
    /// Addresses outside the cluster.
    Networks(Vec<String>),
}

impl Peer {
    fn rule(&self) -> Vec<NetworkPolicyPeer> {
        let namespace = |name: &str| Some(selector([(NAMESPACE, name)]));
        let peer = match self {
            Self::Platform(name) => NetworkPolicyPeer {
                namespace_selector: namespace(PLATFORM),
                pod_selector: Some(selector([(NAME, name)])),
                ..NetworkPolicyPeer::default()
            },
            Self::Tenants => NetworkPolicyPeer {
                namespace_selector: Some(LabelSelector {
                    match_expressions: Some(vec![LabelSelectorRequirement {
                        key: TENANT.to_owned(),
                        operator: "Exists".to_owned(),
                        values: None,
                    }]),
                    ..LabelSelector::default()
                }),
                ..NetworkPolicyPeer::default()
            },
            Self::Namespace(name) => NetworkPolicyPeer {
                namespace_selector: namespace(name),
                ..NetworkPolicyPeer::default()
            },
            Self::Dns => NetworkPolicyPeer {
                namespace_selector: namespace("kube-system"),
                pod_selector: Some(selector([("k8s-app", "kube-dns")])),
                ..NetworkPolicyPeer::default()
            },
            Self::Networks(networks) => {
                let block = |cidr: &String| NetworkPolicyPeer {
                    ip_block: Some(IPBlock { cidr: cidr.clone(), except: None }),
                    ..NetworkPolicyPeer::default()
                };
                return networks.iter().map(block).collect();
            }
        };
        vec![peer]
    }
}

/// A policy for the pods that `pods` selects: `ingress` may reach them, they may reach `egress`.
pub(crate) fn policy(
    metadata: ObjectMeta,
    pods: Labels,
    ingress: &[(Peer, Vec<Port>)],
    egress: &[(Peer, Vec<Port>)],
) -> NetworkPolicy {
    let pods = LabelSelector {
        match_labels: Some(pods).filter(|labels| !labels.is_empty()),
        ..LabelSelector::default()
    };
    let inward = |(peer, on): &(Peer, Vec<Port>)| NetworkPolicyIngressRule {
        from: Some(peer.rule()),
        ports: Some(ports(on)),
    };
    let outward = |(peer, on): &(Peer, Vec<Port>)| NetworkPolicyEgressRule {
        to: Some(peer.rule()),
        ports: Some(ports(on)),
    };
    NetworkPolicy {
        metadata,
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: (!ingress.is_empty()).then(|| ingress.iter().map(inward).collect()),
            egress: (!egress.is_empty()).then(|| egress.iter().map(outward).collect()),
        }),
    }
}

/// What a pod needs to look up names.
pub(crate) fn dns() -> (Peer, Vec<Port>) {
    (Peer::Dns, vec![Port::Udp(53), Port::Tcp(53)])
}

fn ports(ports: &[Port]) -> Vec<NetworkPolicyPort> {
    let one = |(protocol, port): (&str, u16)| NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(port.into())),
        end_port: None,
    };
    ports
        .iter()
        .map(|port| match port {
            Port::Tcp(port) => one(("TCP", *port)),
            Port::Udp(port) => one(("UDP", *port)),
        })
        .collect()
}
