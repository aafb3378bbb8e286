//! What an inventory must obey that its schema cannot say.

use std::{collections::BTreeMap, net::Ipv4Addr};

use ipnet::Ipv4Net;

use super::{
    DataPlane, Inventory, KUBERNETES_MINORS, Node, POOL_LABEL, Pool, Role, Taint, server_types,
};
use crate::diagnostic::{Diagnostic, child};

/// Every error of an inventory that fits its schema.
pub(super) fn check(file: &str, inventory: &Inventory) -> Vec<Diagnostic> {
    let mut rules = Rules { file, errors: Vec::new() };
    rules.cluster(inventory);
    rules.networks(inventory);
    rules.data_plane(inventory);
    rules.servers(inventory);
    for (index, node) in inventory.nodes.iter().enumerate() {
        rules.node(&format!("/nodes/{index}"), node, inventory);
    }
    rules.unique(inventory, "name", |node| node.name.clone());
    rules.unique(inventory, "publicAddress", |node| node.public_address.to_string());
    rules.unique(inventory, "privateAddress", |node| node.private_address.to_string());
    rules.errors
}

/// What Kubernetes takes as a label or taint.
const LABEL: &str = "a key (after an optional DNS name and \"/\") and a value of at most 63 letters, \
                     digits, \"-\", \"_\" and \".\" each, with a letter or digit at both ends";

struct Rules<'a> {
    file: &'a str,
    errors: Vec<Diagnostic>,
}

impl Rules<'_> {
    fn error(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.errors.push(Diagnostic::error(self.file, pointer, message));
    }

    fn expect(&mut self, holds: bool, pointer: &str, found: &str, expected: &str) {
        if !holds {
            self.error(pointer, format!("found {found:?}, expected {expected}"));
        }
    }

    fn cluster(&mut self, inventory: &Inventory) {
        let cluster = &inventory.cluster;
        let name = "a DNS name like example.org";
        self.expect(is_dns_name(&cluster.domain), "/cluster/domain", &cluster.domain, name);
        self.expect(
            cluster
                .acme_email
                .split_once('@')
                .is_some_and(|(user, host)| !user.is_empty() && is_dns_name(host)),
            "/cluster/acmeEmail",
            &cluster.acme_email,
            "an e-mail address of a role, like ops@example.org",
        );
        let minors = format!(
            "a K3s release of Kubernetes 1.{} to 1.{}, like v1.36.3+k3s1",
            KUBERNETES_MINORS.start(),
            KUBERNETES_MINORS.end()
        );
        let minor = k3s_minor(&cluster.k3s_version);
        self.expect(
            minor.is_some_and(|minor| KUBERNETES_MINORS.contains(&minor)),
            "/cluster/k3sVersion",
            &cluster.k3s_version,
            &minors,
        );
        let class = "a name of lower-case letters, digits and dashes";
        self.expect(
            is_dns_name(&cluster.storage_class),
            "/cluster/storageClass",
            &cluster.storage_class,
            class,
        );
        let image = &cluster.image;
        self.expect(
            is_repository(&image.registry),
            "/cluster/image/registry",
            &image.registry,
            "registry and path like registry.example.org/openclaw, without scheme or tag",
        );
        self.expect(
            is_tag(&image.tag) && image.tag != "latest",
            "/cluster/image/tag",
            &image.tag,
            "a tag that names one build; not latest, which names another one every day",
        );
        self.fleet_remote(&cluster.fleet_remote);
        let s3 = &cluster.s3;
        self.expect(
            s3.endpoint
                .strip_prefix("https://")
                .is_some_and(|host| is_dns_name(host.trim_end_matches('/'))),
            "/cluster/s3/endpoint",
            &s3.endpoint,
            "an address like https://fsn1.your-objectstorage.com",
        );
        self.expect(
            is_dns_name(&s3.bucket) && s3.bucket.len() >= 3,
            "/cluster/s3/bucket",
            &s3.bucket,
            "a bucket name of 3 or more lower-case letters, digits, dashes and dots",
        );
        self.expect(
            is_dns_name(&s3.region),
            "/cluster/s3/region",
            &s3.region,
            "a region like fsn1",
        );
        for (index, network) in s3.networks.iter().enumerate() {
            let pointer = format!("/cluster/s3/networks/{index}");
            let found = network.0.to_string();
            let narrow = network.0.prefix_len() >= 16 && is_public(network.0.network());
            self.expect(
                narrow,
                &pointer,
                &found,
                "the public addresses of the endpoint, at most a /16",
            );
        }
        self.runtime_classes(inventory);
    }

    fn fleet_remote(&mut self, remote: &str) {
        let pointer = "/cluster/fleetRemote";
        let expected = "a git repository by ssh on port 22 or 443, like \
                        git@git.example.org:openclaw/fleet.git";
        let login = remote.rsplit_once('@').map_or("", |(login, _)| login);
        if login.split_once("://").map_or(login, |(_, login)| login).contains(':') {
            // The password is not repeated: this is printed to the logs of CI.
            self.error(
                pointer,
                format!("found an address with a password in it, expected {expected}"),
            );
        } else {
            self.expect(is_git_remote(remote), pointer, remote, expected);
        }
    }

    fn runtime_classes(&mut self, inventory: &Inventory) {
        let classes = &inventory.cluster.runtime_classes;
        for (index, class) in classes.iter().enumerate() {
            let at = format!("/cluster/runtimeClasses/{index}");
            let name = "a name of lower-case letters, digits and dashes";
            self.expect(is_dns_name(&class.name), &child(&at, "name"), &class.name, name);
            self.expect(is_label(&class.handler), &child(&at, "handler"), &class.handler, name);
            if classes.iter().take(index).any(|other| other.name == class.name) {
                self.error(child(&at, "name"), format!("found {:?} twice", class.name));
            }
        }
        let Some(wanted) = &inventory.cluster.tenant_runtime_class else { return };
        let known: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
        if !known.contains(&wanted.as_str()) {
            let message = format!("found {wanted:?}, expected a name in /cluster/runtimeClasses");
            self.errors.push(
                Diagnostic::error(self.file, "/cluster/tenantRuntimeClass", message)
                    .suggest(wanted, known),
            );
        }
    }

    fn networks(&mut self, inventory: &Inventory) {
        let cluster = &inventory.cluster;
        let networks = [
            ("/cluster/privateNetwork", cluster.private_network.0),
            ("/cluster/clusterCidr", cluster.cluster_cidr.0),
            ("/cluster/serviceCidr", cluster.service_cidr.0),
        ];
        for (index, (pointer, network)) in networks.iter().enumerate() {
            if network.trunc() != *network {
                self.error(
                    *pointer,
                    format!(
                        "found {network}, expected the network's own address {}",
                        network.trunc()
                    ),
                );
            }
            if !(8..=28).contains(&network.prefix_len()) {
                self.error(*pointer, format!("found {network}, expected a prefix of 8 to 28 bits"));
            }
            for (other_pointer, other) in networks.iter().take(index) {
                if network.contains(other) || other.contains(network) {
                    self.error(
                        *pointer,
                        format!("found {network}, which overlaps {other} of {other_pointer}"),
                    );
                }
            }
        }
    }

    fn data_plane(&mut self, inventory: &Inventory) {
        let range = inventory.cluster.service_cidr.0;
        let band = static_band(range);
        let mut seen = BTreeMap::new();
        for (name, address) in services(&inventory.cluster.data_plane) {
            let pointer = format!("/cluster/dataPlane/{name}");
            let offset = u32::from(address).checked_sub(u32::from(range.network()));
            if !range.contains(&address)
                || !offset.is_some_and(|offset| (1..=band).contains(&offset))
            {
                let at = |offset| Ipv4Addr::from(u32::from(range.network()).saturating_add(offset));
                let message = format!(
                    "found {address}, expected one of {} to {}, the band of {range} that Kubernetes does not hand out itself",
                    at(1),
                    at(band)
                );
                self.error(&pointer, message);
            } else if let Some(taken) = offset.and_then(reserved) {
                self.error(&pointer, format!("found {address}, which is {taken}'s own"));
            }
            if let Some(other) = seen.insert(address, name) {
                self.error(&pointer, format!("found {address}, which is {other}'s too"));
            }
        }
    }

    fn servers(&mut self, inventory: &Inventory) {
        let servers = inventory.nodes.iter().filter(|node| node.role == Role::Server).count();
        if servers % 2 == 0 {
            self.error(
                "/nodes",
                format!("found {servers} servers, expected an odd number: etcd needs a majority"),
            );
        }
        let initial: Vec<usize> = inventory
            .nodes
            .iter()
            .enumerate()
            .filter_map(|(index, node)| node.initial.then_some(index))
            .collect();
        match initial.as_slice() {
            [] => self.errors.push(
                Diagnostic::error(self.file, "/nodes", "found no initial server, expected one")
                    .help("say \"initial\": true at the server that the cluster starts from"),
            ),
            [_] => {}
            [first, rest @ ..] => {
                for index in rest {
                    self.error(
                        format!("/nodes/{index}/initial"),
                        format!("found a second initial server, expected only /nodes/{first}"),
                    );
                }
            }
        }
    }

    fn node(&mut self, at: &str, node: &Node, inventory: &Inventory) {
        self.expect(
            is_label(&node.name),
            &child(at, "name"),
            &node.name,
            "a host name of lower-case letters, digits and dashes",
        );
        if node.initial && node.role != Role::Server {
            self.error(
                child(at, "initial"),
                "found an agent, expected the initial node to be a server",
            );
        }
        let types = server_types();
        if !types.contains_key(&node.server_type) {
            let names = || types.keys().map(String::as_str);
            let message = format!(
                "found {:?}, expected a server type of Hetzner Cloud that we know",
                node.server_type
            );
            let error = Diagnostic::error(self.file, child(at, "serverType"), message);
            let error = error.help(format!("we know {}", names().collect::<Vec<_>>().join(", ")));
            self.errors.push(error.suggest(&node.server_type, names()));
        }
        let network = inventory.cluster.private_network.0;
        let edges = [network.network(), network.broadcast()];
        if !network.contains(&node.private_address) || edges.contains(&node.private_address) {
            self.error(
                child(at, "privateAddress"),
                format!("found {}, expected a host of {network}", node.private_address),
            );
        }
        if !is_public(node.public_address) {
            self.error(
                child(at, "publicAddress"),
                format!("found {}, expected an address of the internet", node.public_address),
            );
        }
        self.labels(at, node);
        let dedicated = node.taints.contains(&Taint::dedicated());
        if node.pool == Pool::Dedicated && !dedicated {
            let message = format!(
                "found no taint {POOL_LABEL}=dedicated:NoSchedule, which keeps other pods away from pool \"dedicated\""
            );
            self.error(child(at, "taints"), message);
        }
        if node.pool != Pool::Dedicated && dedicated {
            self.error(
                child(at, "taints"),
                format!("found the taint of pool \"dedicated\" in pool \"{}\"", node.pool),
            );
        }
    }

    fn labels(&mut self, at: &str, node: &Node) {
        let labels = child(at, "labels");
        for (key, value) in &node.labels {
            let pointer = child(&labels, key);
            if key == POOL_LABEL {
                self.error(&pointer, "found the pool's label, expected the field pool to say it");
            }
            if !is_label_key(key) || !is_label_value(value) {
                self.error(&pointer, format!("found \"{key}={value}\", expected {LABEL}"));
            }
        }
        for (index, taint) in node.taints.iter().enumerate() {
            if !is_label_key(&taint.key) || !is_label_value(&taint.value) {
                self.error(
                    format!("{at}/taints/{index}"),
                    format!("found \"{}={}\", expected {LABEL}", taint.key, taint.value),
                );
            }
        }
    }

    fn unique(&mut self, inventory: &Inventory, field: &str, of: impl Fn(&Node) -> String) {
        let mut first = BTreeMap::new();
        for (index, node) in inventory.nodes.iter().enumerate() {
            let value = of(node);
            if let Some(other) = first.get(&value) {
                let pointer = format!("/nodes/{index}/{field}");
                self.error(pointer, format!("found {value:?}, which /nodes/{other} has too"));
            } else {
                first.insert(value, index);
            }
        }
    }
}

fn services(data_plane: &DataPlane) -> [(&'static str, Ipv4Addr); 4] {
    [
        ("tokenProxy", data_plane.token_proxy),
        ("channels", data_plane.channels),
        ("browserProxy", data_plane.browser_proxy),
        ("egressProxy", data_plane.egress_proxy),
    ]
}

/// The last offset that Kubernetes keeps for addresses chosen by hand: a sixteenth of the range, at
/// least 16 and at most 256 (KEP-3070). Addresses above are handed out on their own.
fn static_band(range: Ipv4Net) -> u32 {
    let size = 1_u64 << (32 - range.prefix_len());
    u32::try_from((size / 16).clamp(16, 256)).unwrap_or(256)
}

/// Whose address of the service range an offset is: the API server's and the cluster DNS of K3s.
fn reserved(offset: u32) -> Option<&'static str> {
    match offset {
        1 => Some("the API server"),
        10 => Some("the cluster DNS"),
        _ => None,
    }
}

fn k3s_minor(version: &str) -> Option<u32> {
    let (kubernetes, k3s) = version.strip_prefix("v1.")?.split_once("+k3s")?;
    let (minor, patch) = kubernetes.split_once('.')?;
    k3s.parse::<u32>().ok()?;
    patch.parse::<u32>().ok()?;
    minor.parse().ok()
}

fn is_public(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let carrier_grade = first == 100 && (64..128).contains(&second);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_broadcast()
        || carrier_grade
        || first == 0
        || first >= 240)
}

/// An RFC 1123 label.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// An RFC 1123 subdomain: labels joined by dots.
fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label_value(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    text.len() <= 63
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && edge(text.as_bytes().first())
        && edge(text.as_bytes().last())
}

fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_name(prefix) && !name.is_empty() && is_label_value(name),
        None => !text.is_empty() && is_label_value(text),
    }
}

fn is_repository(text: &str) -> bool {
    let mut parts = text.split('/');
    let host = parts.next().unwrap_or_default();
    let (name, port) = host.split_once(':').unwrap_or((host, "443"));
    is_dns_name(name)
        && name.contains('.')
        && port.parse::<u16>().is_ok()
        && parts.all(|part| {
            !part.is_empty()
                && is_label_value(part)
                && !part.bytes().any(|b| b.is_ascii_uppercase())
        })
}

/// An address that ssh alone opens, for the services hold a key and no password, on a port that their
/// network policies let through.
fn is_git_remote(text: &str) -> bool {
    let (authority, path) = match text.strip_prefix("ssh://") {
        Some(rest) => rest.split_once('/').unwrap_or_default(),
        None if text.contains("://") => return false,
        // A port cannot be said in this form: what follows the colon is the path.
        None => text.split_once(':').unwrap_or_default(),
    };
    let (user, host) = authority.split_once('@').unwrap_or(("git", authority));
    let (name, port) = host.split_once(':').unwrap_or((host, "22"));
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    is_label_value(user)
        && !user.is_empty()
        && is_dns_name(name)
        && ["22", "443"].contains(&port)
        && !path.trim_matches('/').is_empty()
        && path.bytes().all(|byte| word(byte) || b"/~".contains(&byte))
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && !text.starts_with(['-', '.'])
}
