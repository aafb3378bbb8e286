//! `diff`: what a change does, told on real commits. The snapshot is the report as ops reads it.

use std::{collections::BTreeSet, fmt::Write as _, fs};

use serde_json::{Value, json};

use crate::support::{Fleet, Run, finish, set, unset};

const DIFF: &[&str] = &["diff", "--root", "fleet", "--against", "HEAD"];

/// The fleet that every case starts from: six that run in three tiers, one that rests, one held.
fn committed() -> Fleet {
    let fleet = Fleet::empty();
    fleet.write(".gitignore", "");
    for number in 1..=4 {
        fleet.tenant(&format!("c-{number:08}"), |_| ());
    }
    fleet.tenant("c-pro00001", |tenant| set(tenant, "/spec/tier", json!("pro")));
    fleet.tenant("c-ent00001", |tenant| set(tenant, "/spec/tier", json!("enterprise")));
    fleet.tenant("c-rest0001", |tenant| set(tenant, "/spec/state", json!("suspended")));
    fleet.tenant("c-held0001", |tenant| {
        set(tenant, "/spec/hold", json!({"reason": "ticket 4711"}));
    });
    fleet.tenant("c-gone0001", |tenant| set(tenant, "/spec/state", json!("deleted")));
    fleet.commit();
    fleet
}

const RUNNING: [&str; 6] =
    ["c-00000001", "c-00000002", "c-00000003", "c-00000004", "c-ent00001", "c-pro00001"];
const RESTING: [&str; 2] = ["c-held0001", "c-rest0001"];

/// The report of a change of the committed fleet.
struct Changed {
    json: Value,
    text: Run,
}

fn change(change: impl FnOnce(&Fleet)) -> Changed {
    let fleet = committed();
    change(&fleet);
    let text = fleet.run(&[DIFF, &["--exit-code"]].concat());
    let json = fleet.good(&[DIFF, &["--json"]].concat());
    Changed { json: serde_json::from_str(&json).unwrap(), text }
}

impl Changed {
    fn tenants(&self) -> Vec<&str> {
        self.json["tenants"].as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap()).collect()
    }

    /// The effects on a tenant.
    fn effects(&self, id: &str) -> BTreeSet<&str> {
        let tenants = self.json["tenants"].as_array().unwrap();
        let tenant = tenants.iter().find(|tenant| tenant["id"] == id).unwrap();
        tenant["effects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|effect| effect.as_str().unwrap())
            .collect()
    }

    /// The platform's objects that change.
    fn platform(&self) -> BTreeSet<&str> {
        let platform = self.json["platform"].as_array().unwrap();
        platform.iter().map(|change| change["object"].as_str().unwrap()).collect()
    }

    fn revenue(&self) -> (u64, u64) {
        let cents = |name: &str| self.json["revenue"][name].as_u64().unwrap();
        (cents("beforeCents"), cents("afterCents"))
    }

    fn code(&self) -> i32 {
        self.text.code
    }
}

fn tier(fleet: &Fleet, id: &str, tier: &str) {
    fleet.tenant(id, |tenant| set(tenant, "/spec/tier", json!(tier)));
}

type Apply = fn(&Fleet);

/// Each kind of change, by name.
const CHANGES: &[(&str, Apply)] = &[
    ("nothing", |_| ()),
    ("only the writing of a file", |fleet| {
        let text = fleet.read("tenants/00/c-00000001.json");
        let value: Value = serde_json::from_str(&text).unwrap();
        fleet.write("tenants/00/c-00000001.json", value.to_string());
    }),
    ("a new image tag", |fleet| {
        fleet.inventory(|inventory| set(inventory, "/cluster/image/tag", json!("0.2.0")));
    }),
    ("a larger tier", |fleet| tier(fleet, "c-00000001", "team")),
    ("a smaller tier", |fleet| tier(fleet, "c-pro00001", "starter")),
    ("a tier with nodes of its own", |fleet| tier(fleet, "c-00000001", "enterprise")),
    ("another niche", |fleet| {
        fleet.tenant("c-00000001", |tenant| set(tenant, "/spec/niche", json!("legal")));
    }),
    ("another language", |fleet| {
        fleet.tenant("c-00000001", |tenant| set(tenant, "/spec/locale", json!("en")));
    }),
    ("a connection more", |fleet| {
        fleet.tenant("c-00000001", |tenant| {
            set(tenant, "/spec/connections", json!(["google", "github"]));
        });
    }),
    ("a change of a tenant at rest", |fleet| {
        fleet.tenant("c-rest0001", |tenant| {
            set(tenant, "/spec/state", json!("suspended"));
            set(tenant, "/spec/niche", json!("legal"));
            set(tenant, "/spec/tier", json!("pro"));
        });
    }),
    ("a hold", |fleet| {
        fleet.tenant("c-00000001", |tenant| {
            set(tenant, "/spec/hold", json!({"reason": "ticket 4711"}));
        });
    }),
    ("a hold of a suspended tenant", |fleet| {
        fleet.tenant("c-rest0001", |tenant| {
            set(tenant, "/spec/state", json!("suspended"));
            set(tenant, "/spec/hold", json!({"reason": "ticket 4711"}));
        });
    }),
    ("another reason of a hold", |fleet| {
        fleet.tenant("c-held0001", |tenant| {
            set(tenant, "/spec/hold", json!({"reason": "ticket 4712"}));
        });
    }),
    ("a release", |fleet| fleet.tenant("c-held0001", |_| ())),
    ("a suspension", |fleet| {
        fleet.tenant("c-00000001", |tenant| set(tenant, "/spec/state", json!("suspended")));
    }),
    ("a resumption with a larger tier", |fleet| tier(fleet, "c-rest0001", "pro")),
    ("a deletion", |fleet| {
        fleet.tenant("c-00000001", |tenant| set(tenant, "/spec/state", json!("deleted")));
    }),
    ("a deleted tenant made active again", |fleet| fleet.tenant("c-gone0001", |_| ())),
    ("the file of a deleted tenant removed", |fleet| {
        fs::remove_file(fleet.path("tenants/go/c-gone0001.json")).unwrap();
    }),
    ("a file that vanished", |fleet| {
        fs::remove_file(fleet.path("tenants/00/c-00000001.json")).unwrap();
    }),
    ("a file moved to another folder", |fleet| {
        let (from, to) = ("tenants/00/c-00000001.json", "tenants/c-00000001.json");
        fs::rename(fleet.path(from), fleet.path(to)).unwrap();
    }),
    ("new tenants, one suspended", |fleet| {
        fleet.tenant("c-new00001", |_| ());
        fleet.tenant("c-new00002", |_| ());
        fleet.tenant("c-new00003", |tenant| set(tenant, "/spec/state", json!("suspended")));
    }),
    ("another storage class", |fleet| {
        fleet.inventory(|inventory| set(inventory, "/cluster/storageClass", json!("longhorn")));
    }),
    ("another address of a service", |fleet| {
        let at = "/cluster/dataPlane/channels";
        fleet.inventory(|inventory| set(inventory, at, json!("10.43.0.99")));
    }),
    ("another private network", |fleet| {
        fleet.inventory(|inventory| {
            set(inventory, "/cluster/privateNetwork", json!("10.0.0.0/20"));
        });
    }),
    ("another S3 bucket and network", |fleet| {
        fleet.inventory(|inventory| {
            set(inventory, "/cluster/s3/bucket", json!("openclaw-archive"));
            set(inventory, "/cluster/s3/networks", json!(["198.51.101.0/24"]));
        });
    }),
    ("no runtime class any more", |fleet| {
        fleet.inventory(|inventory| {
            unset(inventory, "/cluster/tenantRuntimeClass");
            set(inventory, "/cluster/runtimeClasses", json!([]));
        });
    }),
    ("a node more", |fleet| {
        fleet.inventory(|inventory| {
            let mut node = inventory["nodes"][3].clone();
            set(&mut node, "/name", json!("worker-2"));
            set(&mut node, "/publicAddress", json!("203.0.113.22"));
            set(&mut node, "/privateAddress", json!("10.0.0.22"));
            inventory["nodes"].as_array_mut().unwrap().push(node);
        });
    }),
];

#[test]
fn every_kind_of_change_reads_well() {
    let mut report = String::new();
    for (name, apply) in CHANGES {
        let Changed { text, .. } = change(apply);
        assert!(!text.stdout.contains('\u{1b}'), "{name}: colours are for terminals");
        let Run { code, stdout, stderr } = text;
        assert!(stdout.lines().all(|line| line.trim_end() == line), "{name}: {stdout}");
        writeln!(report, "## {name}\n{stderr}{stdout}exit code {code}\n").unwrap();
    }
    insta::assert_snapshot!(report);
}

/// The change of that name.
fn changed(name: &str) -> Changed {
    let (_, apply) = CHANGES.iter().find(|(known, _)| *known == name).unwrap();
    change(apply)
}

fn set_of<'a>(effects: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    effects.into_iter().collect()
}

#[test]
fn no_change_is_told_as_such() {
    for name in ["nothing", "only the writing of a file", "a file moved to another folder"] {
        let changed = changed(name);
        assert_eq!(changed.code(), 0, "{name}");
        assert_eq!(changed.text.stdout, "no change against HEAD\n");
        assert!(changed.tenants().is_empty() && changed.platform().is_empty());
    }
}

#[test]
fn a_new_image_restarts_every_tenant_that_runs_and_no_other() {
    let changed = changed("a new image tag");
    assert_eq!(changed.code(), 4);
    for id in RUNNING {
        assert_eq!(changed.effects(id), set_of(["restart"]), "{id}");
    }
    for id in RESTING {
        assert_eq!(changed.effects(id), set_of(["settings"]), "{id}");
    }
    assert_eq!(
        changed.tenants().len(),
        RUNNING.len() + RESTING.len(),
        "the deleted one is not there"
    );
}

#[test]
fn a_larger_tier_resizes_restarts_and_pays() {
    let changed = changed("a larger tier");
    assert_eq!(changed.tenants(), ["c-00000001"]);
    let effects = changed.effects("c-00000001");
    assert!(effects.is_superset(&set_of(["resize", "restart", "quota"])), "{effects:?}");
    let (before, after) = changed.revenue();
    assert_eq!(after - before, 12_900 - 1_900);
    assert_eq!(changed.code(), 4);
}

#[test]
fn a_smaller_tier_does_not_shrink_the_claim() {
    let changed = changed("a smaller tier");
    let text = &changed.text.stdout;
    let line = text.lines().find(|line| line.contains("PersistentVolumeClaim")).unwrap();
    assert!(line.contains("\"5Gi\" to \"1Gi\"") && line.contains("cannot shrink"), "{line}");
    assert_eq!(changed.code(), 4, "nothing is lost");
}

#[test]
fn another_niche_reaches_the_pod_without_a_restart() {
    let changed = changed("another niche");
    assert_eq!(changed.effects("c-00000001"), set_of(["reload", "settings"]));
}

#[test]
fn a_hold_stops_the_pod_and_loses_nothing() {
    let changed = changed("a hold");
    assert_eq!(changed.tenants(), ["c-00000001"]);
    assert_eq!(changed.effects("c-00000001"), set_of(["suspend"]));
    assert_eq!(changed.code(), 4);
}

#[test]
fn what_rests_is_not_restarted() {
    let changed = changed("a change of a tenant at rest");
    assert_eq!(changed.effects("c-rest0001"), set_of(["quota", "resize", "settings"]));
}

#[test]
fn a_deletion_cannot_be_undone_and_a_vanished_file_can() {
    let deleted = changed("a deletion");
    assert_eq!(deleted.effects("c-00000001"), set_of(["data-loss"]));
    assert_eq!(deleted.json["tenants"][0]["irreversible"], true);
    assert_eq!(deleted.code(), 5);
    let vanished = changed("a file that vanished");
    assert_eq!(vanished.json["tenants"][0]["what"], "vanished");
    assert_eq!(vanished.effects("c-00000001"), set_of([]));
    assert_eq!(vanished.code(), 4);
    let revived = changed("a deleted tenant made active again");
    assert_eq!(revived.json["tenants"][0]["what"], "revived");
}

#[test]
fn another_storage_class_cannot_be_undone() {
    let changed = changed("another storage class");
    assert_eq!(changed.code(), 5);
    assert_eq!(changed.effects("c-held0001"), set_of(["data-loss"]));
    assert!(changed.platform().contains("StatefulSet platform/postgres"));
}

#[test]
fn another_bucket_touches_the_platform_alone() {
    let changed = changed("another S3 bucket and network");
    assert_eq!(changed.code(), 4);
    assert!(changed.tenants().is_empty());
    assert!(!changed.platform().is_empty());
}

#[test]
fn another_address_of_a_service_restarts_what_knows_it() {
    let changed = changed("another address of a service");
    assert_eq!(changed.effects("c-00000001"), set_of(["network", "restart"]));
    assert_eq!(changed.effects("c-rest0001"), set_of(["network"]));
}

#[test]
fn without_exit_code_a_report_is_a_success() {
    let fleet = committed();
    fleet.tenant("c-00000001", |tenant| set(tenant, "/spec/state", json!("deleted")));
    assert_eq!(fleet.run(DIFF).code, 0);
    assert_eq!(fleet.run(&[DIFF, &["--exit-code", "--json"]].concat()).code, 5);
}

#[test]
fn the_json_report_keeps_its_shape() {
    let changed = change(|fleet| {
        tier(fleet, "c-00000001", "pro");
        fleet.tenant("c-00000002", |tenant| set(tenant, "/spec/state", json!("deleted")));
        fleet.inventory(|inventory| set(inventory, "/cluster/s3/region", json!("nbg1")));
    });
    let mut report = changed.json;
    // One of many is enough to show the shape.
    report["tenants"][0]["changes"].as_array_mut().unwrap().retain(|change| {
        change["object"] == "Deployment openclaw-gateway" && change["effects"][0] == "resize"
    });
    insta::assert_snapshot!(format!("{report:#}"));
}

#[test]
fn an_unknown_revision_is_wrong_use() {
    let fleet = committed();
    let against =
        |revision: &str| fleet.run(&["diff", "--root", "fleet", &format!("--against={revision}")]);
    let mut report = String::new();
    for revision in ["nowhere", "HEAD~7", "0000000000", "", "--all", "HEAD:tenants"] {
        let Run { code, stdout, stderr } = against(revision);
        assert_eq!((code, stdout.as_str()), (2, ""), "{revision}: {stderr}");
        write!(report, "## {revision:?}\n{stderr}\n").unwrap();
    }
    let outside = Fleet::with_one_tenant();
    let run = outside.run(DIFF);
    assert_eq!(run.code, 2);
    write!(report, "## outside of a repository\n{}\n", run.stderr).unwrap();
    outside.git(&["init", "--quiet"]);
    let run = outside.run(DIFF);
    assert_eq!(run.code, 2);
    write!(report, "## before the first commit\n{}\n", run.stderr).unwrap();
    outside.git(&["add", "tenants"]);
    outside.git(&["commit", "--quiet", "--message", "tenants"]);
    let run = outside.run(DIFF);
    assert_eq!(run.code, 2);
    write!(report, "## before the inventory came\n{}", run.stderr).unwrap();
    insta::assert_snapshot!(report);
}

#[test]
fn revisions_are_whatever_git_understands() {
    let fleet = committed();
    tier(&fleet, "c-00000001", "pro");
    fleet.commit();
    fleet.git(&["tag", "second"]);
    let hash = fleet.git(&["rev-parse", "--short", "HEAD~1"]);
    for (revision, changed) in
        [("second", false), ("HEAD^", true), (hash.trim(), true), ("@", false)]
    {
        let run = fleet.run(&["diff", "--root", "fleet", "--exit-code", "--against", revision]);
        assert_eq!(run.code, if changed { 4 } else { 0 }, "{revision}: {run:#?}");
    }
}

#[test]
fn errors_of_the_past_are_told_from_todays() {
    let fleet = committed();
    fleet.tenant("c-00000001", |tenant| set(tenant, "/spec/tier", json!("gold")));
    fleet.commit();
    fleet.tenant("c-00000001", |_| ());
    let run = fleet.run(DIFF);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.starts_with("error: HEAD:tenants/00/c-00000001.json: /spec/tier: "),
        "{run:#?}"
    );
}

#[test]
fn a_fleet_may_be_a_folder_of_its_repository() {
    let fleet = Fleet::with_one_tenant();
    fs::create_dir(fleet.path("inner")).unwrap();
    for name in ["nodes", "tenants"] {
        fs::rename(fleet.path(name), fleet.path(&format!("inner/{name}"))).unwrap();
    }
    fleet.commit();
    let diff = ["diff", "--root", "fleet/inner", "--against", "HEAD", "--exit-code"];
    assert_eq!(fleet.run(&diff).code, 0);
    let path = "inner/tenants/00/c-00000001.json";
    fleet.write(path, fleet.read(path).replace("\"starter\"", "\"pro\""));
    assert_eq!(fleet.run(&diff).code, 4);
}

#[test]
fn a_hook_of_another_repository_does_not_mislead() {
    let fleet = committed();
    let mut command = fleet.command(&[DIFF, &["--exit-code"]].concat());
    command.env("GIT_DIR", fleet.folder().join("elsewhere")).env("GIT_WORK_TREE", fleet.folder());
    assert_eq!(finish(command).code, 0);
}
