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

/// Addresses that are nobody's on the Internet: this host, private networks, link-local (where
/// clouds serve machines their credentials), multicast and the rest of what IANA reserves.
const RESERVED: [&str; 8] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
];

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
    /// What lets requests of the Internet in: K3s' Traefik.
    Ingress,
    /// Addresses outside the cluster.
    Networks(Vec<String>),
    /// Every public address, and none of these networks.
    Internet {
        /// The cluster's own networks, which need not be of the private ranges.
        except: Vec<String>,
    },
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
            Self::Ingress => NetworkPolicyPeer {
                namespace_selector: namespace("kube-system"),
                pod_selector: Some(selector([(NAME, "traefik")])),
                ..NetworkPolicyPeer::default()
            },
            Self::Networks(networks) => {
                let block = |cidr: &String| NetworkPolicyPeer {
                    ip_block: Some(IPBlock { cidr: cidr.clone(), except: None }),
                    ..NetworkPolicyPeer::default()
                };
                return networks.iter().map(block).collect();
            }
            Self::Internet { except } => {
                let reserved = RESERVED.map(str::to_owned);
                let except = reserved.iter().chain(except).cloned().collect();
                let block = IPBlock { cidr: "0.0.0.0/0".to_owned(), except: Some(except) };
                NetworkPolicyPeer { ip_block: Some(block), ..NetworkPolicyPeer::default() }
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
            // Also where there are none: the API server notes an empty list as ours, so a rule that
            // somebody adds is taken from us, and seen.
            ingress: Some(ingress.iter().map(inward).collect()),
            egress: Some(egress.iter().map(outward).collect()),
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
