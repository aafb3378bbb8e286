//! What network policies let pass, by Kubernetes' rules and without a network.

use std::{collections::BTreeMap, net::Ipv4Addr};

use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use k8s_openapi::{
    api::{
        core::v1::{ContainerPort, Namespace, PodTemplateSpec},
        networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort},
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use serde_json::Value;

/// One end of a connection.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// A pod, which policies select.
    Pod {
        /// The namespace that it is in.
        namespace: &'a str,
        /// All of its labels.
        labels: &'a [(&'a str, &'a str)],
        /// Its address, to which an `ipBlock` applies as to any other.
        ip: Ipv4Addr,
    },
    /// Whatever else has an address: a node, a machine of the internet.
    Address(Ipv4Addr),
}

/// What a connection is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `TCP`
    Tcp,
    /// `UDP`
    Udp,
}

/// The policies of a set of objects, and what decides whom they mean: the namespaces' labels and
/// the names of the pods' ports.
///
/// A policy acts after the translation of a service's address, so a connection's far end is a pod
/// and the port is its container's. What passes by no policy in any cluster, a pod's traffic to
/// itself and the probes of its node, is not known here.
#[derive(Debug)]
pub struct Policies {
    rules: Vec<NetworkPolicy>,
    namespaces: BTreeMap<String, Labels>,
    workloads: Vec<Workload>,
}

type Labels = BTreeMap<String, String>;

/// What makes pods: those of its namespace with its template's labels have its ports.
#[derive(Debug)]
struct Workload {
    namespace: String,
    labels: Labels,
    ports: Vec<ContainerPort>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ingress,
    Egress,
}

impl Policies {
    /// Reads the policies, namespaces and workloads among `objects`; a namespace that is not among
    /// them has no label but its name. An error if one of them is not what its kind says.
    pub fn new(objects: &[Value]) -> Result<Self> {
        let mut read =
            Self { rules: Vec::new(), namespaces: BTreeMap::new(), workloads: Vec::new() };
        for object in objects {
            let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
            read.add(kind, object).with_context(|| format!("a {kind}"))?;
        }
        Ok(read)
    }

    fn add(&mut self, kind: &str, object: &Value) -> Result<()> {
        if kind == "NetworkPolicy" {
            self.rules.push(serde_json::from_value(object.clone())?);
        } else if kind == "Namespace" {
            let Namespace { metadata, .. } = serde_json::from_value(object.clone())?;
            let name = metadata.name.unwrap_or_default();
            self.namespaces.insert(name, metadata.labels.unwrap_or_default());
        } else if let Some(template) = object.pointer("/spec/template")
            && template.pointer("/spec/containers").is_some()
        {
            let template: PodTemplateSpec = serde_json::from_value(template.clone())?;
            let containers = template.spec.into_iter().flat_map(|spec| spec.containers);
            let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
            self.workloads.push(Workload {
                namespace: namespace.unwrap_or_default().to_owned(),
                labels: template.metadata.and_then(|metadata| metadata.labels).unwrap_or_default(),
                ports: containers
                    .flat_map(|container| container.ports.unwrap_or_default())
                    .collect(),
            });
        }
        Ok(())
    }

    /// Whether `from` may open a connection to `port` of `to`: the policies of both ends agree.
    pub fn allows(&self, from: &End<'_>, to: &End<'_>, port: u16, protocol: Protocol) -> bool {
        let fits = |wanted: &NetworkPolicyPort| self.is_port(wanted, to, port, protocol);
        self.lets_pass(Direction::Egress, from, to, &fits)
            && self.lets_pass(Direction::Ingress, to, from, &fits)
    }

    /// Whether the policies that select `own` let pass what goes to, or comes from, `other`. None
    /// selects it: everything passes. Several do: one is enough.
    fn lets_pass(
        &self,
        direction: Direction,
        own: &End<'_>,
        other: &End<'_>,
        fits: &impl Fn(&NetworkPolicyPort) -> bool,
    ) -> bool {
        let &End::Pod { namespace, labels, .. } = own else { return true };
        let mut selected = false;
        for policy in &self.rules {
            let Some(spec) = &policy.spec else { continue };
            let selects = policy.metadata.namespace.as_deref() == Some(namespace)
                && spec
                    .pod_selector
                    .as_ref()
                    .is_none_or(|pods| matches(pods, |key| find(labels, key)));
            if !selects || !applies(policy, direction) {
                continue;
            }
            selected = true;
            if rules(policy, direction).into_iter().any(|(peers, ports)| {
                any_or_empty(peers, |peer| self.is_peer(peer, namespace, other))
                    && any_or_empty(ports, fits)
            }) {
                return true;
            }
        }
        !selected
    }

    /// Whether `peer`, in a policy of the namespace `home`, means `end`.
    fn is_peer(&self, peer: &NetworkPolicyPeer, home: &str, end: &End<'_>) -> bool {
        if let Some(block) = &peer.ip_block {
            let (&End::Address(ip) | &End::Pod { ip, .. }) = end;
            return is_in(block, ip);
        }
        let &End::Pod { namespace, labels, .. } = end else { return false };
        let in_namespace = peer.namespace_selector.as_ref().map_or(namespace == home, |selector| {
            matches(selector, |key| match key {
                "kubernetes.io/metadata.name" => Some(namespace),
                _ => self.namespaces.get(namespace)?.get(key).map(String::as_str),
            })
        });
        let pods = peer.pod_selector.as_ref();
        in_namespace && pods.is_none_or(|pods| matches(pods, |key| find(labels, key)))
    }

    /// Whether `wanted`, in a policy of either end, means `port` of the pod or address `to`.
    fn is_port(
        &self,
        wanted: &NetworkPolicyPort,
        to: &End<'_>,
        port: u16,
        protocol: Protocol,
    ) -> bool {
        if !is_protocol(wanted.protocol.as_deref(), protocol) {
            return false;
        }
        let port = i32::from(port);
        match &wanted.port {
            None => true,
            Some(IntOrString::Int(first)) => {
                (*first..=wanted.end_port.unwrap_or(*first)).contains(&port)
            }
            Some(IntOrString::String(name)) => self.ports(to).any(|named| {
                named.name.as_ref() == Some(name)
                    && named.container_port == port
                    && is_protocol(named.protocol.as_deref(), protocol)
            }),
        }
    }

    fn ports<'a>(&'a self, end: &'a End<'_>) -> impl Iterator<Item = &'a ContainerPort> {
        let made = move |workload: &&Workload| match *end {
            End::Address(_) => false,
            End::Pod { namespace, labels, .. } => {
                let has = |(key, value): (&String, &String)| find(labels, key) == Some(value);
                workload.namespace == namespace && workload.labels.iter().all(has)
            }
        };
        self.workloads.iter().filter(made).flat_map(|workload| &workload.ports)
    }
}

/// Whether a policy is about `direction`, with the API's default: ingress, and egress if it has
/// rules for it.
fn applies(policy: &NetworkPolicy, direction: Direction) -> bool {
    let types = policy.spec.iter().flat_map(|spec| spec.policy_types.iter().flatten());
    let mut types = types.map(String::as_str).peekable();
    match (types.peek(), direction) {
        (None, Direction::Ingress) => true,
        (None, Direction::Egress) => !rules(policy, direction).is_empty(),
        (Some(_), Direction::Ingress) => types.any(|name| name == "Ingress"),
        (Some(_), Direction::Egress) => types.any(|name| name == "Egress"),
    }
}

type Rule<'a> = (&'a [NetworkPolicyPeer], &'a [NetworkPolicyPort]);

/// The peers and ports of a policy's rules.
fn rules(policy: &NetworkPolicy, direction: Direction) -> Vec<Rule<'_>> {
    let Some(spec) = &policy.spec else { return Vec::new() };
    match direction {
        Direction::Ingress => {
            let rules = spec.ingress.iter().flatten();
            rules.map(|rule| (list(rule.from.as_ref()), list(rule.ports.as_ref()))).collect()
        }
        Direction::Egress => {
            let rules = spec.egress.iter().flatten();
            rules.map(|rule| (list(rule.to.as_ref()), list(rule.ports.as_ref()))).collect()
        }
    }
}

fn list<T>(list: Option<&Vec<T>>) -> &[T] {
    list.map_or(&[], Vec::as_slice)
}

/// An empty list names nothing in particular, hence everything.
fn any_or_empty<T>(list: &[T], fits: impl Fn(&T) -> bool) -> bool {
    list.is_empty() || list.iter().any(fits)
}

/// Whether labels, given by `label`, are what `selector` asks for: all of it.
fn matches<'a>(selector: &LabelSelector, label: impl Fn(&str) -> Option<&'a str>) -> bool {
    let mut equal = selector.match_labels.iter().flatten();
    let mut expressions = selector.match_expressions.iter().flatten();
    equal.all(|(key, value)| label(key) == Some(value))
        && expressions.all(|wanted| {
            let (found, values) =
                (label(&wanted.key), wanted.values.as_deref().unwrap_or_default());
            let listed = found.is_some_and(|found| values.iter().any(|value| value == found));
            match wanted.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

fn find<'a>(labels: &[(&str, &'a str)], key: &str) -> Option<&'a str> {
    labels.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
}

fn is_in(block: &IPBlock, ip: Ipv4Addr) -> bool {
    // One that is no range of IPv4 addresses holds none of them.
    let holds = |range: &String| range.parse().is_ok_and(|range: Ipv4Net| range.contains(&ip));
    holds(&block.cidr) && !block.except.iter().flatten().any(holds)
}

/// `TCP` where nothing is said.
fn is_protocol(name: Option<&str>, protocol: Protocol) -> bool {
    let wanted = match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    };
    name.unwrap_or("TCP") == wanted
}

#[cfg(test)]
mod tests;
