//! `plan` from outside: what a founder reads, what a dashboard takes, and the questions "what if".

use std::{fs, time::Instant};

use serde_json::{Value, json};

use crate::support::{BINARY, Fleet, Run, finish, inventory, pretty, set, tenant};

const PLAN: [&str; 3] = ["plan", "--root", "fleet"];

/// The shape of the example fleet: every tier once, one that rests, one held, a small cluster.
fn example() -> Fleet {
    let fleet = Fleet::empty();
    let tiers = ["starter", "pro", "team", "individual", "business", "enterprise"];
    for tier in tiers {
        fleet.tenant(&format!("c-{tier}"), |tenant| set(tenant, "/spec/tier", json!(tier)));
    }
    fleet.tenant("c-rest0001", |tenant| set(tenant, "/spec/state", json!("suspended")));
    fleet.tenant("c-gone0001", |tenant| set(tenant, "/spec/state", json!("deleted")));
    fleet.tenant("c-held0001", |tenant| {
        set(tenant, "/spec/hold", json!({"reason": "ticket 4711"}));
    });
    fleet.inventory(|inventory| {
        set(inventory, "/nodes/3/serverType", json!("cx53"));
        set(inventory, "/nodes/4/serverType", json!("cx43"));
    });
    fleet
}

fn plan(fleet: &Fleet, arguments: &[&str]) -> Run {
    fleet.run(&[&PLAN[..], arguments].concat())
}

fn json_of(fleet: &Fleet, arguments: &[&str]) -> Value {
    let run = plan(fleet, &[arguments, &["--json"]].concat());
    assert_eq!(run.code, 0, "{run:#?}");
    serde_json::from_str(&run.stdout).unwrap()
}

fn tier<'a>(plan: &'a Value, name: &str) -> &'a Value {
    plan["tiers"].as_array().unwrap().iter().find(|tier| tier["tier"] == name).unwrap()
}

#[test]
fn a_founder_reads_it_in_ten_seconds() {
    let run = plan(&example(), &[]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(!run.stdout.contains('\u{1b}'), "no colour where nobody looks");
    assert!(run.stdout.lines().all(|line| line.trim_end() == line));
    insta::assert_snapshot!(run.stdout);
}

#[test]
fn a_dashboard_takes_the_same_as_json() {
    insta::assert_snapshot!(pretty(&json_of(&example(), &[])));
}

#[test]
fn a_readme_takes_it_as_a_chart() {
    let fleet = example();
    let run = plan(&fleet, &["--svg", "plan.svg"]);
    assert_eq!(run.code, 0, "{run:#?}");
    insta::assert_snapshot!(fs::read_to_string(fleet.folder().join("plan.svg")).unwrap());
    let nowhere = plan(&fleet, &["--svg", "no/such/folder/plan.svg"]);
    assert_eq!(nowhere.code, 3);
}

#[test]
fn what_if_is_told_against_what_is() {
    let fleet = example();
    let question = ["--what-if", "starter=+20,cx43=+1,enterprise=-1,cx43@dedicated=-1"];
    let run = plan(&fleet, &question);
    assert_eq!(run.code, 0, "{run:#?}");
    let told = run.stdout.split("what if ").nth(1).unwrap();
    insta::assert_snapshot!(told);
    let (before, after) = (json_of(&fleet, &[]), json_of(&fleet, &question));
    let brief = &after["whatIf"];
    assert_eq!(brief["before"]["marginCents"], before["totals"]["marginCents"]);
    assert_eq!(brief["after"]["marginCents"], after["totals"]["marginCents"]);
    assert_eq!(tier(&after, "starter")["running"], 21);
    assert_eq!(tier(&after, "enterprise")["running"], 0);
    assert_eq!(after["nodes"], 5);
    for wrong in ["cx44=+1", "starter=-2", "cx23=-1", "starter=20"] {
        assert_eq!(plan(&fleet, &["--what-if", wrong]).code, 2, "{wrong}");
    }
}

#[test]
fn an_impossible_fleet_is_named_and_strict_refuses_it() {
    let fleet = example();
    assert_eq!(plan(&fleet, &["--strict"]).code, 0);
    let question = ["--what-if", "enterprise=+2,starter=+60,cx53@platform=+1"];
    let run = plan(&fleet, &question);
    assert_eq!(run.code, 0);
    let impossible: Vec<&str> =
        run.stdout.lines().filter(|line| line.starts_with("impossible: ")).collect();
    insta::assert_snapshot!(impossible.join("\n"));
    assert_eq!(plan(&fleet, &[&question[..], &["--strict"]].concat()).code, 4);
    fleet.inventory(|inventory| {
        set(inventory, "/nodes/3/serverType", json!("cx53"));
        set(inventory, "/cluster/storageClass", json!("hcloud-volumes"));
    });
    let found = json_of(&fleet, &["--what-if", "starter=+20"]);
    assert_eq!(found["problems"][0]["kind"], "volumes-per-node", "{}", found["problems"]);
}

#[test]
fn a_node_without_a_price_is_named() {
    let fleet = example();
    fleet.inventory(|inventory| {
        set(inventory, "/nodes/0/serverType", json!("cpx51"));
        set(inventory, "/nodes/1/location", json!("ash"));
    });
    let notes = json_of(&fleet, &[])["notes"].to_string();
    assert!(notes.contains("for cpx51 in fsn1 (1 not in the cost)"), "{notes}");
    assert!(notes.contains("for cx33 in ash (1 not in the cost)"), "{notes}");
    let prices = json!({
        "checked": "2026-11-20",
        "source": "a bill",
        "locations": ["fsn1", "ash"],
        "publicAddressEurCents": 0,
        "exchange": { "checked": "2026-11-20", "source": "a bank", "usCentsPer100Eur": 10000 },
        "types": { "cpx51": { "eurCents": 5000 } },
    });
    fleet.write("../prices.json", pretty(&prices));
    let found = json_of(&fleet, &["--prices", "prices.json"]);
    assert_eq!(found["pricesChecked"], "2026-11-20");
    // The other servers keep the prices compiled in: two cx33, and two cx33 for tenants.
    assert_eq!(found["totals"]["clusterCents"], 5000 + 4 * 849);
    assert!(!found["notes"].to_string().contains("no price"), "{}", found["notes"]);
}

#[test]
fn measured_use_goes_before_quotas() {
    let fleet = example();
    let usage = "tier,account,tokens\nstarter,a-1,500000\nenterprise,a-2,30000000\n";
    fleet.write("../usage.csv", usage);
    let found = json_of(&fleet, &["--usage", "usage.csv", "--what-if", "starter=+9"]);
    assert_eq!(tier(&found, "starter")["modelCents"], 10 * 100);
    assert_eq!(tier(&found, "enterprise")["modelCents"], 6000);
    assert_eq!(tier(&found, "pro")["modelCents"], 1000, "its whole quota");
    assert_eq!(found["notes"], json!([]));
}

#[test]
fn files_that_are_wrong_are_told_where() {
    let fleet = example();
    fleet.write("../usage.csv", "tier,tokens\nstarter,many\ngold,1\n");
    let run = plan(&fleet, &["--usage", "usage.csv"]);
    assert_eq!(run.code, 1);
    insta::assert_snapshot!(run.stderr, @r#"
    error: usage.csv: line 2: tokens: found "many", expected a number
    error: usage.csv: line 3: tier: found "gold", expected a tier
    2 errors and 0 warnings
    "#);
    fleet.write("../prices.json", "{\"checked\": \"2026-11-20\", \"price\": 1}");
    let run = plan(&fleet, &["--prices", "prices.json"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("prices.json: unknown field `price`"), "{}", run.stderr);
    assert_eq!(plan(&fleet, &["--prices", "nothing.json"]).code, 3);
}

/// The promise is 0.3 s of a release build, which scripts/bench-plan measures; this finds what is
/// quadratic.
#[test]
fn ten_thousand_tenants_are_planned_in_seconds() {
    let fleet = Fleet::empty();
    let mut inventory = inventory();
    let worker = inventory["nodes"][3].clone();
    let nodes = inventory["nodes"].as_array_mut().unwrap();
    for number in 0..400 {
        let mut node = worker.clone();
        set(&mut node, "/name", json!(format!("more-{number}")));
        set(&mut node, "/serverType", json!("cx53"));
        let (high, low) = (number / 200 + 1, number % 200 + 1);
        set(&mut node, "/publicAddress", json!(format!("198.51.{high}.{low}")));
        set(&mut node, "/privateAddress", json!(format!("10.0.{high}.{low}")));
        nodes.push(node);
    }
    fleet.write("nodes/inventory.json", pretty(&inventory));
    for number in 0..10_000 {
        let id = format!("c-{number:08}");
        fleet.write(&format!("tenants/{}/{id}.json", number / 100), pretty(&tenant(&id)));
    }
    let started = Instant::now();
    let found = json_of(&fleet, &[]);
    let taken = started.elapsed();
    assert_eq!(found["tenants"]["running"], 10_000);
    assert_eq!(found["problems"], json!([]));
    assert!(taken.as_secs() < 20, "{taken:?}");
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let fleet = example();
    let mut command = std::process::Command::new(BINARY);
    fleet.isolate(&mut command);
    command.args(PLAN).env("CLICOLOR_FORCE", "1");
    assert!(finish(command).stdout.contains("\u{1b}[1mmargin"));
}
