//! Kubernetes' own JSON Schemas, strict, of the oldest and the newest minor that we serve.

use std::{collections::BTreeMap, path::PathBuf, sync::LazyLock};

use jsonschema::{Registry, Validator};
use oc_domain::inventory::KUBERNETES_MINORS;
use serde_json::Value;

use crate::fixtures::{five_nodes, id, one_node, rendered, spec};

/// Where the schemas lie: `scripts/test` puts the wheel's contents there.
const FOLDER: &str =
    "openclaw-cloud/tools/kubernetes-validate-1.37.0/kubernetes_validate/kubernetes-json-schema";

/// The schemas of one minor, compiled when first needed.
pub(crate) struct Schemas {
    minor: u32,
    by_kind: BTreeMap<String, Validator>,
}

static ALL: LazyLock<Vec<Schemas>> = LazyLock::new(|| {
    [*KUBERNETES_MINORS.start(), *KUBERNETES_MINORS.end()].map(Schemas::load).into()
});

/// The kinds that we render and that Kubernetes itself defines.
const KINDS: &[&str] = &[
    "clusterrole-rbac.authorization.k8s.io-v1",
    "clusterrolebinding-rbac.authorization.k8s.io-v1",
    "configmap-v1",
    "cronjob-batch-v1",
    "customresourcedefinition-apiextensions.k8s.io-v1",
    "deployment-apps-v1",
    "limitrange-v1",
    "namespace-v1",
    "networkpolicy-networking.k8s.io-v1",
    "persistentvolumeclaim-v1",
    "poddisruptionbudget-policy-v1",
    "priorityclass-scheduling.k8s.io-v1",
    "resourcequota-v1",
    "role-rbac.authorization.k8s.io-v1",
    "rolebinding-rbac.authorization.k8s.io-v1",
    "runtimeclass-node.k8s.io-v1",
    "service-v1",
    "serviceaccount-v1",
    "statefulset-apps-v1",
];

impl Schemas {
    fn load(minor: u32) -> Self {
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"),
            PathBuf::from,
        );
        let folder = cache.join(FOLDER).join(format!("v1.{minor}.0-local-strict"));
        let read = |name: &str| -> Value {
            let path = folder.join(name);
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
                panic!("{}: {error}; scripts/test fetches the schemas", path.display())
            });
            serde_json::from_str(&text).unwrap()
        };
        let definitions = read("_definitions.json");
        let registry = Registry::new()
            .add("https://kubernetes.io/api/_definitions.json", definitions)
            .unwrap()
            .prepare()
            .unwrap();
        let by_kind = KINDS
            .iter()
            .map(|kind| {
                // Files are named by the first label of the group.
                let mut parts: Vec<&str> = kind.split('-').collect();
                if let [_, group, _] = &mut parts[..] {
                    *group = group.split('.').next().unwrap();
                }
                let schema = read(&format!("{}.json", parts.join("-")));
                let validator =
                    jsonschema::options().with_registry(&registry).build(&schema).unwrap();
                ((*kind).to_owned(), validator)
            })
            .collect();
        Self { minor, by_kind }
    }

    /// Panics where an object does not fit in every minor.
    pub(crate) fn check_all(object: &Value) {
        for schemas in ALL.iter() {
            schemas.check(object);
        }
    }

    fn check(&self, object: &Value) {
        let (version, kind) =
            (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let key = format!("{kind}-{}", version.replace('/', "-")).to_lowercase();
        let validator = self.by_kind.get(&key).unwrap_or_else(|| panic!("no schema for {key}"));
        let errors: Vec<String> = validator
            .iter_errors(object)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{kind} in 1.{}: {errors:#?}", self.minor);
    }
}

#[test]
fn the_platform_fits_the_schemas_of_the_oldest_and_the_newest_kubernetes() {
    for inventory in [one_node(), five_nodes()] {
        for object in oc_manifests::platform(&inventory) {
            // K3s defines it; its CRD is held against a real API server.
            if object.kind() != "HelmChart" {
                Schemas::check_all(&serde_json::to_value(&object).unwrap());
            }
        }
    }
    for crd in oc_manifests::crds() {
        Schemas::check_all(&serde_json::to_value(&crd).unwrap());
    }
}

#[test]
#[should_panic(expected = "hards")]
fn a_field_that_kubernetes_does_not_know_is_found() {
    let mut objects = rendered(&id(), &spec(oc_domain::TierId::Pro), &five_nodes());
    objects[1]["spec"]["hards"] = Value::Null;
    Schemas::check_all(&objects[1]);
}
