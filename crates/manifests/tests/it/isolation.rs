//! Who reaches whom, by the network policies of the whole example fleet.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use oc_domain::{Fleet, Inventory, fleet::parse_tenant};
use oc_manifests::{Access, MONITORING, Overlay, PLATFORM, Peer, Service};
use oc_testkit::{End, Policies, Protocol};
use serde_json::Value;

use crate::fixtures::five_nodes;

/// The four services that a tenant reaches, and the one port of each.
const DATA_PLANE: [(&str, u16); 4] =
    [("token-proxy", 8080), ("channels", 8092), ("browser-proxy", 8090), ("egress-proxy", 8091)];

/// Ports that somebody serves in some cluster, besides those of our own containers.
const PORTS: [u16; 12] = [1, 22, 53, 80, 443, 2379, 3000, 6443, 9093, 10_250, 18_789, 65_535];

/// A pod that can be at an end of a connection.
#[derive(Debug)]
struct Pod {
    namespace: String,
    labels: Vec<(String, String)>,
    ip: Ipv4Addr,
}

/// The policies of the whole cluster, and its pods.
struct World {
    policies: Policies,
    tenants: Vec<Pod>,
    data_plane: Vec<(Pod, u16)>,
    /// All of ours that are none of the above.
    platform: Vec<Pod>,
    /// What K3s and monitoring bring, which we do not render.
    others: Vec<Pod>,
    /// Each port of a container of ours, and [`PORTS`].
    ports: Vec<u16>,
}

impl World {
    fn new() -> Self {
        let fleet = fleet();
        let mut objects = json(&oc_manifests::platform(&fleet.inventory));
        for (name, port) in DATA_PLANE {
            let is = |object: &Value| {
                let at = |pointer| object.pointer(pointer).and_then(Value::as_str);
                at("/kind") == Some("Deployment") && at("/metadata/name") == Some(name)
            };
            if !objects.iter().any(is) {
                // Not built yet: as it will be, by what every service is made with.
                objects.extend(json(&service(name, port).objects(&fleet.inventory)));
            }
        }
        for tenant in fleet.rendered() {
            let overlay = Overlay::default();
            let rendered =
                oc_manifests::tenant(&tenant.id, &tenant.spec, &fleet.inventory, &overlay);
            objects.extend(json(&rendered));
        }
        let mut world = Self {
            policies: Policies::new(&objects).unwrap(),
            tenants: Vec::new(),
            data_plane: Vec::new(),
            platform: Vec::new(),
            others: [
                ("kube-system", "k8s-app", "kube-dns"),
                ("kube-system", "app.kubernetes.io/name", "traefik"),
                ("cert-manager", "app.kubernetes.io/name", "cert-manager"),
                (MONITORING, "app.kubernetes.io/name", "prometheus"),
                (MONITORING, "app.kubernetes.io/name", "grafana"),
                (PLATFORM, "app.kubernetes.io/name", "unknown"),
                ("default", "app.kubernetes.io/name", "token-proxy"),
            ]
            .map(|(namespace, key, value)| pod(namespace, vec![(key.into(), value.into())], 250))
            .into(),
            ports: PORTS.into(),
        };
        for object in &objects {
            world.add(object);
        }
        world.ports.sort_unstable();
        world.ports.dedup();
        world
    }

    /// Takes the pods that an object makes.
    fn add(&mut self, object: &Value) {
        let pointers = ["/spec/template", "/spec/jobTemplate/spec/template"];
        let Some(template) = pointers.iter().find_map(|pointer| object.pointer(pointer)) else {
            return;
        };
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap();
        let labels = template.pointer("/metadata/labels").and_then(Value::as_object).unwrap();
        let labels =
            labels.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().into()));
        let ip = u8::try_from(self.tenants.len() + self.platform.len() + 1).unwrap();
        let namespace = text("/metadata/namespace");
        let pod = pod(namespace, labels.collect(), ip);
        let containers = template.pointer("/spec/containers").and_then(Value::as_array).unwrap();
        let ports = containers.iter().filter_map(|container| container.get("ports")?.as_array());
        let numbers = ports.flatten().filter_map(|port| port.get("containerPort")?.as_u64());
        self.ports.extend(numbers.map(|number| u16::try_from(number).unwrap()));
        let name = text("/metadata/name");
        if namespace.starts_with("customer-") {
            self.tenants.push(pod);
        } else if let Some((_, port)) = DATA_PLANE.iter().find(|(known, _)| *known == name) {
            self.data_plane.push((pod, *port));
        } else {
            self.platform.push(pod);
        }
    }

    /// The pod of a component of ours.
    fn pod(&self, name: &str) -> &Pod {
        let is = |pod: &&Pod| pod.labels.iter().any(|(_, value)| value == name);
        self.platform.iter().find(is).unwrap()
    }

    /// The ports, of both protocols, that `from` may open at `to`.
    fn open(&self, from: &dyn AsEnd, to: &dyn AsEnd) -> Vec<(u16, Protocol)> {
        let (mut of_from, mut of_to) = (Vec::new(), Vec::new());
        let (from, to) = (from.end(&mut of_from), to.end(&mut of_to));
        let both = self.ports.iter().flat_map(|p| [(*p, Protocol::Tcp), (*p, Protocol::Udp)]);
        both.filter(|(port, protocol)| self.policies.allows(&from, &to, *port, *protocol)).collect()
    }

    fn closed(&self, from: &dyn AsEnd, to: &dyn AsEnd) {
        let open = self.open(from, to);
        assert!(open.is_empty(), "{from:?} reaches {to:?} on {open:?}");
    }
}

/// What can be at an end of a connection.
trait AsEnd: std::fmt::Debug {
    /// The end; `labels` is where its labels may lie.
    fn end<'a>(&'a self, labels: &'a mut Vec<(&'a str, &'a str)>) -> End<'a>;
}

impl AsEnd for Pod {
    fn end<'a>(&'a self, labels: &'a mut Vec<(&'a str, &'a str)>) -> End<'a> {
        labels.extend(self.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        End::Pod { namespace: &self.namespace, labels, ip: self.ip }
    }
}

impl AsEnd for Ipv4Addr {
    fn end<'a>(&'a self, _: &'a mut Vec<(&'a str, &'a str)>) -> End<'a> {
        End::Address(*self)
    }
}

fn pod(namespace: &str, labels: Vec<(String, String)>, ip: u8) -> Pod {
    Pod { namespace: namespace.to_owned(), labels, ip: Ipv4Addr::new(10, 42, 0, ip) }
}

fn service(name: &'static str, port: u16) -> Service {
    Service {
        name,
        arguments: &["serve"],
        replicas: 2,
        port: Some(port),
        address: None,
        cpu_millis: (50, 500),
        memory_mib: (64, 256),
        environment: Vec::new(),
        secret: None,
        scratch_mib: None,
        ingress: vec![Peer::Tenants],
        egress: Vec::new(),
        access: Access::None,
        grace_seconds: 30,
    }
}

fn json(objects: &[oc_manifests::Object]) -> Vec<Value> {
    objects.iter().map(|object| serde_json::to_value(object).unwrap()).collect()
}

fn fleet() -> Fleet {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    walk(&root.join("tenants"), &mut files);
    let tenants = files.iter().map(|path| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
        parse_tenant(name, &fs::read(path).unwrap())
    });
    Fleet::assemble(Ok::<Inventory, _>(five_nodes()), tenants).fleet.unwrap()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
}

/// Addresses that are no pod's: nodes from both sides, the API server's, DNS', the clouds' metadata,
/// machines of the internet and of the private network.
fn addresses() -> Vec<Ipv4Addr> {
    let nodes = five_nodes().nodes;
    let nodes = nodes.iter().flat_map(|node| [node.public_address, node.private_address]);
    let others = [
        [10, 43, 0, 1],
        [10, 43, 0, 10],
        [169, 254, 169, 254],
        [1, 1, 1, 1],
        [198, 51, 100, 7],
        [192, 168, 1, 1],
        [127, 0, 0, 1],
    ];
    nodes.chain(others.map(Ipv4Addr::from)).collect()
}

#[test]
fn a_tenant_reaches_each_of_the_four_services_on_its_one_port() {
    let world = World::new();
    assert_eq!(world.data_plane.len(), DATA_PLANE.len());
    assert!(world.tenants.len() > 5, "{:?}", world.tenants);
    for tenant in &world.tenants {
        for (service, port) in &world.data_plane {
            assert_eq!(world.open(tenant, service), [(*port, Protocol::Tcp)], "{service:?}");
        }
    }
}

#[test]
fn a_tenant_reaches_no_other_tenant() {
    let world = World::new();
    for (index, from) in world.tenants.iter().enumerate() {
        for (other, to) in world.tenants.iter().enumerate() {
            if index != other {
                world.closed(from, to);
            }
        }
    }
}

#[test]
fn a_tenant_reaches_nothing_else_of_the_platform() {
    let world = World::new();
    for known in ["postgres", "redis", "billing", "operator"] {
        world.pod(known);
    }
    for tenant in &world.tenants {
        for pod in world.platform.iter().chain(&world.others) {
            world.closed(tenant, pod);
        }
    }
}

#[test]
fn a_tenant_reaches_no_address_neither_dns_nor_the_internet_nor_the_clouds_metadata() {
    let world = World::new();
    for tenant in &world.tenants {
        for address in addresses() {
            world.closed(tenant, &address);
        }
    }
}

#[test]
fn nobody_reaches_a_tenant() {
    let world = World::new();
    let data_plane = world.data_plane.iter().map(|(pod, _)| pod);
    let pods: Vec<&Pod> = world.platform.iter().chain(&world.others).chain(data_plane).collect();
    for tenant in &world.tenants {
        for pod in &pods {
            world.closed(*pod, tenant);
        }
        for address in addresses() {
            world.closed(&address, tenant);
        }
    }
}

#[test]
fn the_operator_reaches_the_databases_the_api_server_and_the_git_host_alone() {
    let world = World::new();
    let operator = world.pod("operator");
    let tcp = |port: u16| vec![(port, Protocol::Tcp)];
    assert_eq!(world.open(operator, world.pod("postgres")), tcp(5432));
    assert_eq!(world.open(operator, world.pod("redis")), tcp(6379));
    world.closed(operator, world.pod("billing"));
    world.closed(operator, &world.data_plane[0].0);
    for node in five_nodes().nodes {
        let server = node.role == oc_domain::inventory::Role::Server;
        let expected = if server { tcp(6443) } else { Vec::new() };
        assert_eq!(world.open(operator, &node.private_address), expected, "{}", node.name);
    }
    let git = world.open(operator, &Ipv4Addr::new(198, 51, 100, 7));
    assert_eq!(git, [(22, Protocol::Tcp), (443, Protocol::Tcp)]);
    world.closed(operator, &Ipv4Addr::new(169, 254, 169, 254));
}
