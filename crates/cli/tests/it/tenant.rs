//! `tenant`, and the warnings of `check`, `crd` and `schema`.

use std::{fmt::Write as _, fs};

use serde_json::{Value, json};

use crate::support::{Fleet, Run, pretty, set, tenant, tenant_path};

const ID: &str = "c-00000001";

/// `tenant` with its verb and arguments.
fn verb(fleet: &Fleet, arguments: &[&str]) -> Run {
    fleet.run(&[&["tenant", "--root", "fleet"], arguments].concat())
}

/// The same where it must succeed.
fn good(fleet: &Fleet, arguments: &[&str]) -> String {
    let run = verb(fleet, arguments);
    assert_eq!(run.code, 0, "{arguments:?}: {run:#?}");
    run.stdout
}

fn spec(fleet: &Fleet, path: &str) -> Value {
    serde_json::from_str::<Value>(&fleet.read(path)).unwrap()["spec"].clone()
}

#[test]
fn a_new_tenant_gets_an_id_and_a_file_in_its_folder() {
    let fleet = Fleet::empty();
    let path = good(&fleet, &["new", "--tier", "pro", "--niche", "pharmacy"]);
    let path = path.trim_end();
    let id = path.rsplit('/').next().unwrap().strip_suffix(".json").unwrap();
    let letters = id.strip_prefix("c-").unwrap();
    let crockford = "0123456789abcdefghjkmnpqrstvwxyz";
    assert!(letters.len() == 8 && letters.chars().all(|c| crockford.contains(c)), "{id}");
    assert_eq!(path, tenant_path(id));
    assert_eq!(
        spec(&fleet, path),
        json!({
            "tier": "pro",
            "niche": "pharmacy",
            "locale": "pt-BR",
            "channels": { "telegram": { "enabled": true } },
            "connections": [],
            "state": "active",
        })
    );
    assert!(fleet.read(path).ends_with("}\n"));
    assert_eq!(fleet.good(&["check", "--root", "fleet"]), "1 tenant and 5 nodes: good\n");
}

#[test]
fn a_new_tenant_takes_every_choice() {
    let fleet = Fleet::empty();
    let choices = [
        "new",
        "--id=acme",
        "--tier=team",
        "--niche=legal",
        "--locale=en",
        "--model=kimi-coding/k2p5",
        "--thinking=high",
        "--connections=google,github",
        "--telegram=false",
    ];
    assert_eq!(good(&fleet, &choices), "tenants/acme.json\n");
    assert_eq!(
        spec(&fleet, "tenants/acme.json"),
        json!({
            "tier": "team",
            "niche": "legal",
            "locale": "en",
            "model": "kimi-coding/k2p5",
            "thinking": "high",
            "channels": { "telegram": { "enabled": false } },
            "connections": ["google", "github"],
            "state": "active",
        })
    );
}

#[test]
fn drawn_ids_differ() {
    let fleet = Fleet::empty();
    let ids: std::collections::BTreeSet<String> =
        (0..20).map(|_| good(&fleet, &["new", "--tier", "pro", "--niche", "legal"])).collect();
    assert_eq!(ids.len(), 20);
}

#[test]
fn an_id_that_is_taken_is_wrong_use() {
    let fleet = Fleet::with_one_tenant();
    let before = fleet.read(&tenant_path(ID));
    let new = ["new", "--id", ID, "--tier", "pro", "--niche", "pharmacy"];
    let run = verb(&fleet, &new);
    assert_eq!(run.code, 2);
    assert_eq!(run.stderr, "error: there is a tenant c-00000001 already\n");
    assert_eq!(fleet.read(&tenant_path(ID)), before);
    // Also where it is deleted: an id is never used again.
    good(&fleet, &["remove", ID]);
    assert_eq!(verb(&fleet, &new).code, 2);
}

#[test]
fn what_the_tier_does_not_allow_is_not_written() {
    let fleet = Fleet::with_one_tenant();
    let path = tenant_path(ID);
    let before = fleet.read(&path);
    let run = verb(&fleet, &["set", ID, "--thinking", "high"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert!(
        run.stderr.contains("/spec/thinking: tier \"starter\" allows thinking \"medium\""),
        "{}",
        run.stderr
    );
    assert_eq!(fleet.read(&path), before);
    let four = "google,github,slack,jira";
    let new = ["new", "--id=acme", "--tier=individual", "--niche=legal", "--connections", four];
    assert_eq!(verb(&fleet, &new).code, 1);
    assert!(!fleet.path("tenants/acme.json").exists());
    let hold = verb(&fleet, &["hold", ID, "--reason", "maria@example.org asked"]);
    assert_eq!(hold.code, 1);
    assert_eq!(fleet.read(&path), before);
    let left: Vec<_> = fs::read_dir(fleet.path("tenants/00")).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file stays: {left:?}");
}

#[test]
fn every_field_can_be_set() {
    let fleet = Fleet::with_one_tenant();
    let path = tenant_path(ID);
    let printed = good(&fleet, &["set", ID, "--tier", "team", "--thinking", "high"]);
    assert_eq!(printed, format!("{path}\n"));
    good(&fleet, &["set", ID, "--niche=legal", "--locale=en", "--telegram=false"]);
    good(&fleet, &["set", ID, "--state=suspended", "--connections=slack,jira"]);
    let mut expected = tenant(ID)["spec"].clone();
    for (field, value) in [("tier", "team"), ("thinking", "high"), ("niche", "legal")] {
        expected[field] = json!(value);
    }
    expected["locale"] = json!("en");
    expected["state"] = json!("suspended");
    expected["channels"]["telegram"]["enabled"] = json!(false);
    expected["connections"] = json!(["slack", "jira"]);
    assert_eq!(spec(&fleet, &path), expected);
    good(&fleet, &["set", ID, "--connections"]);
    assert_eq!(spec(&fleet, &path)["connections"], json!([]));
}

#[test]
fn set_has_no_way_to_delete_and_wants_a_field() {
    let fleet = Fleet::with_one_tenant();
    assert_eq!(verb(&fleet, &["set", ID, "--state", "deleted"]).code, 2);
    assert_eq!(verb(&fleet, &["set", ID]).code, 2);
    assert_eq!(verb(&fleet, &["set", "c-99999999", "--tier", "pro"]).code, 2);
}

#[test]
fn a_hold_is_taken_back_by_a_release() {
    let fleet = Fleet::with_one_tenant();
    let path = tenant_path(ID);
    let before = spec(&fleet, &path);
    assert_eq!(verb(&fleet, &["hold", ID]).code, 2, "a hold has a reason");
    for reason in ["asked on 2026-11-20, ticket 4711", "tickets 47110001, 47110002", "café"] {
        good(&fleet, &["hold", ID, "--reason", reason]);
        assert_eq!(spec(&fleet, &path)["hold"]["reason"], reason);
    }
    good(&fleet, &["hold", ID, "--reason", "chargeback, ticket 4711"]);
    assert_eq!(spec(&fleet, &path)["hold"], json!({"reason": "chargeback, ticket 4711"}));
    assert_eq!(spec(&fleet, &path)["state"], "active", "the hold leaves billing's word alone");
    good(&fleet, &["release", ID]);
    assert_eq!(spec(&fleet, &path), before);
}

#[test]
fn a_removal_is_final() {
    let fleet = Fleet::with_one_tenant();
    let path = tenant_path(ID);
    good(&fleet, &["remove", ID]);
    assert_eq!(spec(&fleet, &path)["state"], "deleted");
    let text = fleet.read(&path);
    let verbs: [&[&str]; 4] = [
        &["set", ID, "--state", "active"],
        &["hold", ID, "--reason", "ticket 4711"],
        &["release", ID],
        &["remove", ID],
    ];
    for arguments in verbs {
        let run = verb(&fleet, arguments);
        assert_eq!(run.code, 2, "{arguments:?}");
        assert!(run.stderr.contains("deleted, which is final"), "{}", run.stderr);
    }
    assert_eq!(fleet.read(&path), text);
}

#[test]
fn a_mistake_elsewhere_keeps_nobody_from_suspending() {
    let fleet = Fleet::with_one_tenant();
    // A flat file and one in a folder of somebody's own.
    fleet.write("tenants/c-00000002.json", pretty(&tenant("c-00000002")));
    fleet.write("tenants/brazil/c-00000003.json", pretty(&tenant("c-00000003")));
    fleet.write("tenants/broken.json", "{");
    fleet.write("nodes/inventory.json", "{");
    for id in [ID, "c-00000002", "c-00000003"] {
        let path = good(&fleet, &["set", id, "--state", "suspended"]);
        assert_eq!(spec(&fleet, path.trim_end())["state"], "suspended");
    }
    assert_eq!(verb(&fleet, &["set", "broken", "--state", "suspended"]).code, 1);
    fleet.write("tenants/old/c-00000001.json", pretty(&tenant(ID)));
    let run = verb(&fleet, &["set", ID, "--state", "active"]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("tenants/00/c-00000001.json, tenants/old/c-00000001.json"),
        "{run:#?}"
    );
}

#[test]
fn listings_read_well_and_have_json() {
    let fleet = Fleet::with_one_tenant();
    fleet.tenant("c-00000002", |tenant| {
        set(tenant, "/spec/tier", json!("pro"));
        set(tenant, "/spec/connections", json!([]));
    });
    fleet
        .tenant("c-00000003", |tenant| set(tenant, "/spec/hold", json!({"reason": "ticket 4711"})));
    fleet.tenant("c-00000004", |tenant| set(tenant, "/spec/state", json!("deleted")));
    let mut report = String::new();
    let listings: [&[&str]; 7] = [
        &["list"],
        &["list", "--tier", "pro"],
        &["list", "--niche", "legal"],
        &["list", "--state", "deleted", "--json"],
        &["show", "c-00000003"],
        &["show", "c-00000003", "--json"],
        &["show", "c-99999999"],
    ];
    for arguments in listings {
        let Run { code, stdout, stderr } = verb(&fleet, arguments);
        assert!(stdout.lines().all(|line| line.trim_end() == line), "{stdout}");
        let name = arguments.join(" ");
        write!(report, "## tenant {name}\n{stdout}{stderr}exit code {code}\n\n").unwrap();
    }
    insta::assert_snapshot!(report);
    let all: Value = serde_json::from_str(&good(&fleet, &["list", "--json"])).unwrap();
    let ids: Vec<&Value> = all.as_array().unwrap().iter().map(|tenant| &tenant["id"]).collect();
    assert_eq!(ids, ["c-00000001", "c-00000002", "c-00000003", "c-00000004"]);
}

#[test]
fn the_root_may_stand_before_or_after_the_verb() {
    let fleet = Fleet::with_one_tenant();
    let before = fleet.good(&["tenant", "--root", "fleet", "list", "--json"]);
    assert_eq!(fleet.good(&["tenant", "list", "--json", "--root", "fleet"]), before);
}

#[test]
fn git_is_told_of_a_new_tenant() {
    let fleet = Fleet::empty();
    fleet.commit();
    let path = good(&fleet, &["new", "--tier", "pro", "--niche", "pharmacy"]);
    // In the index without contents: `diff` shows the whole file, Nix sees it, nothing is staged.
    assert_eq!(fleet.git(&["ls-files", "tenants"]), path);
    assert_eq!(fleet.git(&["diff", "--name-only"]), path);
    assert_eq!(fleet.git(&["diff", "--cached", "--name-only"]), "");
    let run = fleet.run(&["check", "--root", "fleet"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
}

#[test]
fn check_warns_of_what_git_does_not_track() {
    let fleet = Fleet::empty();
    fleet.commit();
    fleet.tenant(ID, |_| ());
    fleet.write("tenants/ç/acme.json", pretty(&tenant("acme")));
    fleet.write("tenants/README.md", "not a tenant");
    let run = fleet.run(&["check", "--root", "fleet"]);
    assert_eq!(run.code, 0);
    insta::assert_snapshot!(run.stderr, @r"
    warning: tenants/00/c-00000001.json: git does not track this file, so Nix does not see it; git add --intent-to-add it
    warning: tenants/ç/acme.json: git does not track this file, so Nix does not see it; git add --intent-to-add it
    0 errors and 2 warnings
    ");
    let json = fleet.good(&["check", "--root", "fleet", "--json"]);
    let findings: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(findings[0]["severity"], "warning");
    assert_eq!(findings.as_array().unwrap().len(), 2);
}

#[test]
fn check_warns_of_what_is_probably_not_meant() {
    let fleet = Fleet::with_one_tenant();
    fleet.tenant("c-00000002", |tenant| set(tenant, "/spec/niche", json!("kintone")));
    for id in ["c-ent00001", "c-ent00002"] {
        fleet.tenant(id, |tenant| set(tenant, "/spec/tier", json!("enterprise")));
    }
    // What is suspended needs no node, what is deleted needs nothing.
    fleet.tenant("c-ent00003", |tenant| {
        set(tenant, "/spec/tier", json!("enterprise"));
        set(tenant, "/spec/state", json!("suspended"));
    });
    fleet.tenant("c-00000003", |tenant| {
        set(tenant, "/spec/niche", json!("kintone"));
        set(tenant, "/spec/state", json!("deleted"));
    });
    fleet.inventory(|inventory| {
        inventory["nodes"].as_array_mut().unwrap().remove(3);
    });
    let run = fleet.run(&["check", "--root", "fleet"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "6 tenants and 4 nodes: good\n"), "{run:#?}");
    insta::assert_snapshot!(run.stderr);
}

#[test]
fn a_fleet_needs_no_folder_of_tenants() {
    let fleet = Fleet::empty();
    assert_eq!(fleet.good(&["check", "--root", "fleet"]), "0 tenants and 5 nodes: good\n");
    assert_eq!(good(&fleet, &["list", "--json"]), "[]\n");
}

#[test]
fn schemas_and_the_crd_are_json() {
    let fleet = Fleet::empty();
    let crd: Value = serde_json::from_str(&fleet.good(&["crd"])).unwrap();
    assert_eq!(crd["kind"], "CustomResourceDefinition");
    assert_eq!(crd["metadata"]["name"], "tenants.openclaw.cloud");
    assert_eq!(crd["spec"]["scope"], "Cluster");
    for (name, field) in [("tenant", "spec"), ("inventory", "nodes")] {
        let schema: Value = serde_json::from_str(&fleet.good(&["schema", name])).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["additionalProperties"], false);
        assert!(schema["properties"].get(field).is_some());
    }
}
