//! Each rule of the semantics, by a table.

use std::{net::Ipv4Addr, slice};

use serde_json::{Value, json};

use super::{End, Policies, Protocol};

const AGENT: End<'_> = pod("a", &[("app", "agent"), ("tier", "pro")], 1);
const OTHER: End<'_> = pod("a", &[("app", "other")], 2);
const SERVER: End<'_> = pod("b", &[("app", "server")], 3);
const INTERNET: End<'_> = End::Address(Ipv4Addr::new(1, 2, 3, 4));

const fn pod<'a>(namespace: &'a str, labels: &'a [(&'a str, &'a str)], last: u8) -> End<'a> {
    End::Pod { namespace, labels, ip: Ipv4Addr::new(10, 42, 0, last) }
}

/// Of the namespace `a`.
fn policy(spec: &Value) -> Value {
    json!({ "kind": "NetworkPolicy", "metadata": { "name": "p", "namespace": "a" }, "spec": spec })
}

fn policies(specs: &[Value]) -> Policies {
    let mut objects: Vec<Value> = specs.iter().map(policy).collect();
    let port = |name: &str, port: u16, protocol: &str| json!({ "name": name, "containerPort": port, "protocol": protocol });
    let ports = [port("http", 8080, "TCP"), port("http", 9090, "UDP")];
    let template = json!({
        "metadata": { "labels": { "app": "server" } },
        "spec": { "containers": [{ "name": "main", "ports": ports }] },
    });
    objects.extend([
        json!({ "kind": "Namespace", "metadata": { "name": "b", "labels": { "kind": "platform" } } }),
        json!({ "kind": "Deployment", "metadata": { "namespace": "b" }, "spec": { "template": template } }),
        json!({ "kind": "ConfigMap", "metadata": { "name": "else" } }),
    ]);
    Policies::new(&objects).unwrap()
}

/// Whether a connection to TCP port 8080 passes.
fn passes(specs: &[Value], from: &End<'_>, to: &End<'_>) -> bool {
    policies(specs).allows(from, to, 8080, Protocol::Tcp)
}

#[test]
fn a_pod_is_closed_in_the_directions_of_the_policies_that_select_it() {
    let rule = json!([{ "to": [{ "ipBlock": { "cidr": "9.9.9.9/32" } }] }]);
    for (name, spec, out, back) in [
        ("ingress is the default", json!({ "podSelector": {} }), true, false),
        ("egress is, with rules", json!({ "podSelector": {}, "egress": rule }), false, false),
        ("not with none", json!({ "podSelector": {}, "egress": [] }), true, false),
        ("no selector is all", json!({ "policyTypes": ["Egress"] }), false, true),
        ("types are said", json!({ "policyTypes": ["Ingress"], "egress": rule }), true, false),
        ("both", json!({ "policyTypes": ["Ingress", "Egress"] }), false, false),
        ("another pod", json!({ "podSelector": { "matchLabels": { "app": "x" } } }), true, true),
    ] {
        assert_eq!(passes(slice::from_ref(&spec), &AGENT, &SERVER), out, "{name}");
        assert_eq!(passes(slice::from_ref(&spec), &SERVER, &AGENT), back, "{name}");
        // Neither the other namespace nor an address is anybody's to select.
        assert!(passes(&[spec], &INTERNET, &SERVER), "{name}");
    }
    assert!(passes(&[], &AGENT, &INTERNET));
}

#[test]
fn both_ends_must_agree_and_one_of_an_ends_policies_is_enough() {
    let shut = json!({ "policyTypes": ["Ingress", "Egress"] });
    let out = json!({ "podSelector": { "matchLabels": { "app": "agent" } }, "policyTypes": ["Egress"], "egress": [{}] });
    let into = json!({ "podSelector": { "matchLabels": { "app": "other" } }, "ingress": [{}] });
    assert!(!passes(&[shut.clone(), out.clone()], &AGENT, &OTHER));
    assert!(!passes(&[shut.clone(), into.clone()], &AGENT, &OTHER));
    assert!(passes(&[shut.clone(), out.clone(), into.clone()], &AGENT, &OTHER));
    assert!(!passes(&[shut, out, into], &OTHER, &AGENT));
}

#[test]
fn selectors_ask_for_all_that_they_say() {
    let expression = |key: &str, operator: &str, values: &[&str]| json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] });
    for (selector, selects) in [
        (json!({}), true),
        (json!({ "matchLabels": { "app": "agent", "tier": "pro" } }), true),
        (json!({ "matchLabels": { "app": "agent", "tier": "team" } }), false),
        (json!({ "matchLabels": { "absent": "" } }), false),
        (expression("tier", "In", &["team", "pro"]), true),
        (expression("tier", "In", &["team"]), false),
        (expression("absent", "In", &["team"]), false),
        (expression("tier", "NotIn", &["pro"]), false),
        (expression("tier", "NotIn", &["team"]), true),
        (expression("absent", "NotIn", &["team"]), true),
        (expression("tier", "Exists", &[]), true),
        (expression("absent", "Exists", &[]), false),
        (expression("tier", "DoesNotExist", &[]), false),
        (expression("absent", "DoesNotExist", &[]), true),
        (
            json!({
                "matchLabels": { "app": "agent" },
                "matchExpressions": [{ "key": "tier", "operator": "DoesNotExist" }],
            }),
            false,
        ),
    ] {
        let spec = json!({ "podSelector": selector });
        assert_eq!(!passes(&[spec], &SERVER, &AGENT), selects, "{selector}");
    }
}

#[test]
fn peers_are_pods_of_namespaces_or_ranges_of_addresses() {
    let (server, elsewhere) =
        (json!({ "matchLabels": { "app": "server" } }), pod("c", &[("app", "server")], 4));
    let named = |name: &str| json!({ "matchLabels": { "kubernetes.io/metadata.name": name } });
    let platform = json!({ "matchLabels": { "kind": "platform" } });
    let other = json!({ "matchLabels": { "app": "other" } });
    let block =
        |cidr: &str, except: &[&str]| json!({ "ipBlock": { "cidr": cidr, "except": except } });
    // Who of these is meant: a pod of the own namespace, of b, of c, and the internet.
    for (peers, meant) in [
        (json!([]), [true, true, true, true]),
        (json!([{ "podSelector": {} }]), [true, false, false, false]),
        (json!([{ "podSelector": server }]), [false, false, false, false]),
        (json!([{ "namespaceSelector": {} }]), [true, true, true, false]),
        (json!([{ "namespaceSelector": platform }]), [false, true, false, false]),
        (json!([{ "namespaceSelector": named("b") }]), [false, true, false, false]),
        (json!([{ "namespaceSelector": named("c") }]), [false, false, true, false]),
        (json!([{ "namespaceSelector": {}, "podSelector": server }]), [false, true, true, false]),
        (json!([{ "namespaceSelector": platform, "podSelector": other }]), [false; 4]),
        (
            json!([{ "namespaceSelector": platform }, { "podSelector": other }]),
            [true, true, false, false],
        ),
        (json!([block("0.0.0.0/0", &[])]), [true, true, true, true]),
        (json!([block("0.0.0.0/0", &["10.0.0.0/8"])]), [false, false, false, true]),
        (json!([block("10.42.0.3/32", &[])]), [false, true, false, false]),
        (json!([block("::/0", &[])]), [false; 4]),
    ] {
        for (end, meant) in [OTHER, SERVER, elsewhere, INTERNET].iter().zip(meant) {
            let agent = json!({ "matchLabels": { "app": "agent" } });
            let (out, into) = (json!([{ "to": peers }]), json!([{ "from": peers }]));
            let spec = json!({ "podSelector": agent, "policyTypes": ["Egress"], "egress": out });
            assert_eq!(passes(&[spec], &AGENT, end), meant, "to {end:?}: {peers}");
            let spec = json!({ "podSelector": agent, "ingress": into });
            assert_eq!(passes(&[spec], end, &AGENT), meant, "from {end:?}: {peers}");
        }
    }
}

#[test]
fn ports_are_numbers_ranges_or_names_of_a_protocol() {
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    for (ports, port, protocol, passes) in [
        (json!([]), 1, udp, true),
        (json!([{}]), 1, tcp, true),
        (json!([{}]), 1, udp, false),
        (json!([{ "port": 80 }]), 80, tcp, true),
        (json!([{ "port": 80 }]), 81, tcp, false),
        (json!([{ "port": 53, "protocol": "UDP" }]), 53, udp, true),
        (json!([{ "port": 53, "protocol": "UDP" }]), 53, tcp, false),
        (json!([{ "port": 80, "endPort": 90 }]), 90, tcp, true),
        (json!([{ "port": 80, "endPort": 90 }]), 79, tcp, false),
        (json!([{ "port": 80, "endPort": 90 }]), 91, tcp, false),
        (json!([{ "port": 80 }, { "port": 443 }]), 443, tcp, true),
        // The name is the far end's, and of one protocol.
        (json!([{ "port": "http" }]), 8080, tcp, true),
        (json!([{ "port": "http" }]), 9090, tcp, false),
        (json!([{ "port": "http", "protocol": "UDP" }]), 9090, udp, true),
        (json!([{ "port": "https" }]), 8080, tcp, false),
    ] {
        let spec = json!({ "policyTypes": ["Egress"], "egress": [{ "ports": ports }] });
        let allows = policies(&[spec]).allows(&AGENT, &SERVER, port, protocol);
        assert_eq!(allows, passes, "{ports} {port} {protocol:?}");
    }
    let named = json!({ "policyTypes": ["Egress"], "egress": [{ "ports": [{ "port": "http" }] }] });
    assert!(
        !passes(slice::from_ref(&named), &AGENT, &INTERNET) && !passes(&[named], &AGENT, &OTHER)
    );
}

#[test]
fn a_rules_peers_and_ports_are_both_asked_for() {
    let rule = |cidr: &str, port: u16| json!({ "to": [{ "ipBlock": { "cidr": cidr } }], "ports": [{ "port": port }] });
    let rules = [rule("10.42.0.3/32", 8080), rule("1.2.3.4/32", 443)];
    let set = policies(&[json!({ "policyTypes": ["Egress"], "egress": rules })]);
    for (to, port, passes) in
        [(SERVER, 8080, true), (SERVER, 443, false), (INTERNET, 443, true), (INTERNET, 8080, false)]
    {
        assert_eq!(set.allows(&AGENT, &to, port, Protocol::Tcp), passes, "{to:?} {port}");
    }
}

#[test]
fn what_is_no_policy_is_an_error() {
    let error = Policies::new(&[policy(&json!({ "egress": "all" }))]).unwrap_err();
    assert!(format!("{error:#}").starts_with("a NetworkPolicy: "), "{error:#}");
}
