use oc_domain::{TierId, tenant::State};
use strum::VariantArray;

use crate::{
    fixtures::{five_nodes, id, one_node, rendered, spec},
    monitoring::file,
};

#[test]
fn every_tier_renders_the_reviewed_bytes() {
    let inventory = five_nodes();
    for tier in TierId::VARIANTS {
        let mut objects = rendered(&id(), &spec(*tier), &inventory);
        // The prompts have a snapshot of their own; here they would hide the rest.
        for object in objects.iter_mut().filter(|object| object["kind"] == "ConfigMap") {
            for (file, text) in object["data"].as_object_mut().unwrap() {
                if std::path::Path::new(file).extension().is_some_and(|kind| kind == "md") {
                    *text = "(prompt)".into();
                }
            }
        }
        insta::assert_json_snapshot!(format!("tenant-{tier}"), objects);
    }
}

#[test]
fn the_prompts_are_the_reviewed_text() {
    for locale in oc_domain::Locale::VARIANTS {
        for niche in oc_domain::NicheId::VARIANTS {
            let spec =
                oc_domain::TenantSpec { niche: *niche, locale: *locale, ..spec(TierId::Pro) };
            let objects = oc_manifests::tenant(
                &id(),
                &spec,
                &five_nodes(),
                &oc_manifests::Overlay::default(),
            );
            let workspace = objects
                .iter()
                .find_map(|object| match object {
                    oc_manifests::Object::ConfigMap(map) => map.data.as_ref(),
                    _ => None,
                })
                .unwrap();
            let text: String = ["SOUL.md", "AGENTS.md", "IDENTITY.md"]
                .map(|file| format!("=== {file}\n{}\n", workspace[file]))
                .concat();
            insta::assert_snapshot!(format!("prompt-{niche}-{locale}"), text);
        }
    }
}

#[test]
fn a_suspended_tenant_keeps_everything_but_its_pod() {
    let inventory = five_nodes();
    let active = rendered(&id(), &spec(TierId::Pro), &inventory);
    let suspended = oc_domain::TenantSpec { state: State::Suspended, ..spec(TierId::Pro) };
    let mut suspended = rendered(&id(), &suspended, &inventory);
    let replicas = suspended.last_mut().unwrap().pointer_mut("/spec/replicas").unwrap();
    assert_eq!(*replicas, 0);
    *replicas = 1.into();
    assert_eq!(active, suspended);
}

#[test]
fn the_platform_renders_the_reviewed_bytes() {
    // Files in files: the alerts are read as they stand in the repository, the dashboards below.
    let platform = oc_manifests::platform(&five_nodes());
    insta::assert_json_snapshot!("platform-five-nodes", platform, { "[].data" => "(files)" });
    let platform = oc_manifests::platform(&one_node());
    insta::assert_json_snapshot!("platform-one-node", platform, { "[].data" => "(files)" });
    insta::assert_json_snapshot!("crds", oc_manifests::crds());
}

#[test]
fn the_dashboards_are_the_reviewed_text() {
    for name in ["token-proxy", "channels", "billing", "operator"] {
        let text = file(&format!("{name}-dashboard"), &format!("{name}.json"));
        insta::assert_snapshot!(format!("dashboard-{name}"), text);
    }
}
