use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use crate::{
    fixtures::{any_id, any_spec, five_nodes, of_kind, one_node, rendered},
    schemas::Schemas,
};

proptest! {
    #[test]
    fn any_tenant_fits_the_schemas_of_the_oldest_and_the_newest_kubernetes(
        id in any_id(), spec in any_spec(), single in any::<bool>(),
    ) {
        let inventory = if single { one_node() } else { five_nodes() };
        for object in rendered(&id, &spec, &inventory) {
            Schemas::check_all(&object);
        }
    }

    #[test]
    fn no_byte_of_a_tenant_depends_on_another(
        id in any_id(), spec in any_spec(), other in any_id(), other_spec in any_spec(),
    ) {
        prop_assume!(id != other);
        let inventory = five_nodes();
        let alone = rendered(&id, &spec, &inventory);
        let _ = rendered(&other, &other_spec, &inventory);
        prop_assert_eq!(&alone, &rendered(&id, &spec, &inventory));
        // And none of its bytes name the other: ids of three or more characters are no accident.
        if other.as_str().len() > 12 && !id.as_str().contains(other.as_str()) {
            prop_assert!(!Value::from(alone).to_string().contains(other.as_str()));
        }
    }

    #[test]
    fn a_tenant_has_eight_objects_of_different_names_in_its_own_namespace(
        id in any_id(), spec in any_spec(),
    ) {
        let objects = oc_manifests::tenant(&id, &spec, &five_nodes(), &oc_manifests::Overlay::default());
        prop_assert_eq!(objects.len(), 8);
        prop_assert_eq!(objects[0].kind(), "Namespace");
        let namespace = id.namespace();
        prop_assert!(objects[1..].iter().all(|o| o.namespace() == Some(namespace.as_str())));
        let names: BTreeSet<String> = objects.iter().map(oc_manifests::Object::file_name).collect();
        prop_assert_eq!(names.len(), 8);
    }

    #[test]
    fn the_quota_admits_the_pod_and_its_replacement(id in any_id(), spec in any_spec()) {
        let objects = rendered(&id, &spec, &five_nodes());
        let hard = &of_kind(&objects, "ResourceQuota")["spec"]["hard"];
        let container =
            &of_kind(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
        for kind in ["requests", "limits"] {
            for resource in ["cpu", "memory", "ephemeral-storage"] {
                let pod = amount(&container["resources"][kind][resource]);
                let quota = amount(&hard[format!("{kind}.{resource}")]);
                prop_assert!(quota >= 2.0 * pod, "{} {}", kind, resource);
            }
        }
    }
}

fn amount(quantity: &Value) -> f64 {
    let text = quantity.as_str().unwrap();
    let units = [("Gi", 1024.0 * 1024.0 * 1024.0), ("Mi", 1024.0 * 1024.0), ("m", 0.001)];
    units
        .into_iter()
        .find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().unwrap() * factor))
        .unwrap_or_else(|| text.parse().unwrap())
}
