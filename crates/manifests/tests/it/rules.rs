//! What the seed got wrong in its manifests, each as a test: the identifiers are those of its list of
//! defects.

use oc_domain::TierId;
use serde_json::{Value, json};
use strum::VariantArray;

use crate::fixtures::{five_nodes, id, of_kind, one_node, rendered, spec};

/// Every pod template that we render, with the name of its owner.
fn pods() -> Vec<(String, Value)> {
    let mut objects: Vec<Value> = Vec::new();
    for inventory in [one_node(), five_nodes()] {
        let platform = oc_manifests::platform(&inventory);
        objects.extend(platform.iter().map(|object| serde_json::to_value(object).unwrap()));
        for tier in TierId::VARIANTS {
            objects.extend(rendered(&id(), &spec(*tier), &inventory));
        }
    }
    let template = |object: &Value| {
        ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"]
            .into_iter()
            .find_map(|pointer| object.pointer(pointer).cloned())
    };
    objects
        .iter()
        .filter_map(|object| {
            let name = object
                .pointer("/metadata/name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            template(object).map(|pod| (name, pod))
        })
        .collect()
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["containers", "initContainers"]
        .into_iter()
        .filter_map(|list| pod.get(list)?.as_array())
        .flatten()
}

#[test]
fn s15_every_pod_is_hardened() {
    for (name, pod) in pods() {
        let security = &pod["securityContext"];
        assert_eq!(security["runAsNonRoot"], true, "{name}");
        assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        for container in containers(&pod) {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}), "{name}");
        }
    }
}

#[test]
fn o12_every_lasting_container_has_probes() {
    for (name, pod) in pods().into_iter().filter(|(_, pod)| pod["restartPolicy"] != "OnFailure") {
        for container in containers(&pod) {
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                assert!(container[probe].is_object(), "{name}: {probe}");
            }
        }
    }
}

#[test]
fn o20_every_image_is_pinned() {
    for (name, pod) in pods() {
        for container in containers(&pod) {
            let image = container["image"].as_str().unwrap();
            let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
            assert!(!tag.is_empty() && tag != "latest" && !tag.contains('/'), "{name}: {image}");
        }
    }
}

#[test]
fn s16_a_tenant_reaches_the_four_services_and_nothing_else() {
    for tier in TierId::VARIANTS {
        let objects = rendered(&id(), &spec(*tier), &five_nodes());
        let policy = &of_kind(&objects, "NetworkPolicy")["spec"];
        assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
        assert_eq!(policy["podSelector"], json!({}));
        // Not absent: what somebody adds to an empty list of ours is seen as drift.
        assert_eq!(policy["ingress"], json!([]));
        let egress: Vec<(String, u64)> = policy["egress"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| {
                let to = rule["to"].as_array().unwrap();
                assert_eq!(to.len(), 1);
                let namespace = &to[0]["namespaceSelector"]["matchLabels"];
                assert_eq!(namespace["kubernetes.io/metadata.name"], "platform");
                let name = &to[0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"];
                assert_eq!(rule["ports"].as_array().unwrap().len(), 1);
                (name.as_str().unwrap().to_owned(), rule["ports"][0]["port"].as_u64().unwrap())
            })
            .collect();
        let expected = [
            ("token-proxy", 8080),
            ("channels", 8092),
            ("browser-proxy", 8090),
            ("egress-proxy", 8091),
        ];
        assert_eq!(egress, expected.map(|(name, port)| (name.to_owned(), port)));
    }
}

#[test]
fn s16_few_services_reach_the_internet_on_few_ports_and_nothing_private() {
    let open: [(&str, &[u16]); 4] = [
        ("token-proxy", &[443]),
        ("channels", &[443]),
        ("billing", &[443, 22]),
        ("operator", &[443, 22]),
    ];
    for inventory in [one_node(), five_nodes()] {
        let platform = serde_json::to_value(oc_manifests::platform(&inventory)).unwrap();
        let ports_of = |policy: &Value| {
            let known = |(name, _): &&(&str, _)| policy["metadata"]["name"] == *name;
            let found = open.iter().find(known).filter(|_| policy["kind"] == "NetworkPolicy");
            found.map(|(_, ports)| *ports)
        };
        let (policies, rest): (Vec<&Value>, Vec<&Value>) =
            platform.as_array().unwrap().iter().partition(|object| ports_of(object).is_some());
        let rest = json!(rest).to_string();
        assert!(!rest.contains("0.0.0.0/0\"") && !rest.contains("::/0"));
        assert_eq!(policies.len(), open.len());
        for policy in policies {
            let egress = policy["spec"]["egress"].as_array().unwrap();
            let internet = |rule: &&Value| rule["to"][0]["ipBlock"]["cidr"] == "0.0.0.0/0";
            let blocks = egress.iter().filter(internet);
            let [rule] = blocks.collect::<Vec<_>>()[..] else { panic!("{policy}") };
            let tcp = |port: &u16| json!({"protocol": "TCP", "port": port});
            let ports: Vec<Value> = ports_of(policy).unwrap().iter().map(tcp).collect();
            assert_eq!(rule["ports"], json!(ports));
            assert_eq!(rule["to"].as_array().unwrap().len(), 1);
            let except = rule["to"][0]["ipBlock"]["except"].to_string();
            let cluster = &inventory.cluster;
            for inside in [cluster.private_network, cluster.cluster_cidr, cluster.service_cidr] {
                assert!(except.contains(&format!("\"{}\"", inside.0)), "{except}");
            }
            assert!(except.contains("169.254.0.0/16"), "the cloud's metadata: {except}");
        }
    }
}

#[test]
fn s16_a_tenant_has_no_dns_and_finds_the_services_by_their_fixed_addresses() {
    let objects = rendered(&id(), &spec(TierId::Starter), &five_nodes());
    let pod = &of_kind(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["dnsPolicy"], "None");
    assert_eq!(pod["dnsConfig"]["nameservers"], json!(["127.0.0.1"]));
    let aliases = pod["hostAliases"].as_array().unwrap();
    assert_eq!(aliases.len(), 4);
    assert_eq!(aliases[0]["ip"], "10.43.0.20");
    assert_eq!(aliases[0]["hostnames"], json!(["token-proxy.platform.svc.cluster.local"]));
}

#[test]
fn s2_a_tenant_holds_no_secret_but_its_own_and_none_in_its_environment() {
    for tier in TierId::VARIANTS {
        let objects = rendered(&id(), &spec(*tier), &five_nodes());
        assert!(objects.iter().all(|object| object["kind"] != "Secret"));
        let pod = &of_kind(&objects, "Deployment")["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        let container = &pod["containers"][0];
        assert!(container.get("envFrom").is_none());
        for variable in container["env"].as_array().unwrap() {
            assert!(variable.get("valueFrom").is_none(), "{variable}");
        }
        let secrets: Vec<&str> = pod["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|volume| volume["secret"]["secretName"].as_str())
            .collect();
        assert_eq!(secrets, ["openclaw-config"]);
        for mount in container["volumeMounts"].as_array().unwrap() {
            assert!(mount.get("subPath").is_none(), "a subPath mount never changes: {mount}");
        }
    }
}

#[test]
fn o4_a_tenants_pod_is_replaced_and_never_doubled() {
    let objects = rendered(&id(), &spec(TierId::Pro), &five_nodes());
    let deployment = &of_kind(&objects, "Deployment")["spec"];
    assert_eq!(deployment["strategy"], json!({"type": "Recreate"}));
    // The measured drain of the gateway is 315 s.
    assert!(deployment["template"]["spec"]["terminationGracePeriodSeconds"].as_u64() >= Some(315));
}

#[test]
fn o13_state_is_on_a_volume_of_the_inventorys_class() {
    let objects = rendered(&id(), &spec(TierId::Team), &five_nodes());
    let claim = &of_kind(&objects, "PersistentVolumeClaim")["spec"];
    assert_eq!(claim["storageClassName"], "local-path");
    assert_eq!(claim["resources"]["requests"]["storage"], "10Gi");
}

#[test]
fn o21_the_heap_grows_with_the_tier() {
    let heap = |tier| {
        let objects = rendered(&id(), &spec(tier), &five_nodes());
        let pod = &of_kind(&objects, "Deployment")["spec"]["template"]["spec"];
        let env = pod["containers"][0]["env"].as_array().unwrap();
        env.iter().find(|v| v["name"] == "NODE_OPTIONS").unwrap()["value"].clone()
    };
    assert_eq!(heap(TierId::Starter), "--max-old-space-size=768");
    assert_eq!(heap(TierId::Team), "--max-old-space-size=1536");
}

#[test]
fn s17_every_namespace_of_ours_denies_by_default() {
    let platform = oc_manifests::platform(&five_nodes());
    for namespace in [oc_manifests::PLATFORM, oc_manifests::MONITORING] {
        let policy = platform
            .iter()
            .find(|o| {
                o.kind() == "NetworkPolicy"
                    && o.namespace() == Some(namespace)
                    && o.name() == "default-deny"
            })
            .unwrap();
        let spec = &serde_json::to_value(policy).unwrap()["spec"];
        let types = ["Ingress", "Egress"];
        assert_eq!(
            *spec,
            json!({"podSelector": {}, "policyTypes": types, "ingress": [], "egress": []})
        );
    }
}

#[test]
fn k1_postgres_is_backed_up() {
    let platform = oc_manifests::platform(&five_nodes());
    let job = platform.iter().find(|object| object.kind() == "CronJob").unwrap();
    assert_eq!(job.name(), "postgres-backup");
}

#[test]
fn redis_keeps_what_it_is_told() {
    let platform = oc_manifests::platform(&five_nodes());
    let redis = platform.iter().find(|o| o.kind() == "StatefulSet" && o.name() == "redis").unwrap();
    let redis = serde_json::to_value(redis).unwrap();
    let arguments = redis.pointer("/spec/template/spec/containers/0/args").unwrap().to_string();
    for option in
        ["appendonly\",\"yes", "appendfsync\",\"everysec", "maxmemory-policy\",\"noeviction"]
    {
        assert!(arguments.contains(option), "{option}: {arguments}");
    }
}

#[test]
fn a_dedicated_tenant_is_alone_on_a_node_of_its_pool() {
    let objects = rendered(&id(), &spec(TierId::Enterprise), &five_nodes());
    let pod = &of_kind(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["nodeSelector"], json!({"openclaw.cloud/pool": "dedicated"}));
    assert_eq!(pod["tolerations"][0]["value"], "dedicated");
    assert!(pod["affinity"]["podAntiAffinity"].is_object());
    let objects = rendered(&id(), &spec(TierId::Business), &five_nodes());
    let pod = &of_kind(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["nodeSelector"], json!({"openclaw.cloud/pool": "shared"}));
    assert!(pod.get("tolerations").is_none() && pod.get("affinity").is_none());
}

#[test]
fn no_shell_and_no_shared_session_reach_the_gateway() {
    let objects = rendered(&id(), &spec(TierId::Pro), &five_nodes());
    let text = of_kind(&objects, "ConfigMap")["data"]["openclaw.json"].as_str().unwrap();
    let config: Value = serde_json::from_str(text).unwrap();
    assert_eq!(config["tools"]["exec"]["mode"], "deny");
    assert_eq!(config["tools"]["profile"], "minimal");
    assert_eq!(config["session"]["dmScope"], "per-channel-peer");
    assert_eq!(config["models"]["mode"], "replace");
    // Keyless: a key would put the provider into a cool-down at the first refusal.
    assert!(config["models"]["providers"]["platform"].get("apiKey").is_none());
    assert!(config["mcp"]["servers"].is_object(), "google is reached by MCP");
}
