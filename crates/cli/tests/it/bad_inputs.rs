//! Bad inputs and what is said of them. The snapshot is the place to read all messages at once.

use std::{
    fmt::Write as _,
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::Path,
    process::Command,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::support::{BINARY, Fleet, Run, finish, pretty, set, tenant, tenant_path, unset};

const ID: &str = "c-00000001";
const PATH: &str = "tenants/00/c-00000001.json";
const CHECK: &[&str] = &["check", "--root", "fleet"];

/// A name and how a good fleet is spoilt.
type Case = (&'static str, fn(&Fleet));

/// One field of a good tenant set to something else.
fn with(fleet: &Fleet, pointer: &str, value: Value) {
    fleet.tenant(ID, |tenant| set(tenant, pointer, value));
}

/// The text of a good tenant with a part of it replaced.
fn replace(fleet: &Fleet, part: &str, by: &str) {
    let text = pretty(&tenant(ID));
    assert!(text.contains(part), "{part}");
    fleet.write(PATH, text.replacen(part, by, 1));
}

/// One field of a good inventory set to something else.
fn cluster(fleet: &Fleet, pointer: &str, value: Value) {
    fleet.inventory(|inventory| set(inventory, pointer, value));
}

const SYNTAX: &[Case] = &[
    ("an empty file", |fleet| fleet.write(PATH, "")),
    ("only white space", |fleet| fleet.write(PATH, " \n\t\n")),
    ("null", |fleet| fleet.write(PATH, "null")),
    ("a list", |fleet| fleet.write(PATH, "[]")),
    ("a text", |fleet| fleet.write(PATH, "\"tenant\"")),
    ("an empty object", |fleet| fleet.write(PATH, "{}")),
    ("truncated", |fleet| {
        let text = pretty(&tenant(ID));
        fleet.write(PATH, &text[..text.len() / 2]);
    }),
    ("two documents in one file", |fleet| {
        fleet.write(PATH, pretty(&tenant(ID)) + &pretty(&tenant("c-00000002")));
    }),
    ("a trailing comma", |fleet| replace(fleet, "\"starter\"", "\"starter\",")),
    ("a comma in a list too many", |fleet| replace(fleet, "\"google\"", "\"google\",")),
    ("no comma", |fleet| replace(fleet, "\"active\",", "\"active\"")),
    ("no colon", |fleet| replace(fleet, "\"state\":", "\"state\"")),
    ("no closing quote", |fleet| replace(fleet, "\"active\"", "\"active")),
    ("a bare word", |fleet| replace(fleet, "\"active\"", "active")),
    ("True", |fleet| replace(fleet, "true", "True")),
    ("a leading zero", |fleet| replace(fleet, "\"active\"", "007")),
    ("a comment", |fleet| replace(fleet, "\"spec\"", "// the tenant\n  \"spec\"")),
    ("single quotes", |fleet| replace(fleet, "\"active\"", "'active'")),
    ("merge conflict markers", |fleet| replace(fleet, "  \"spec\"", "<<<<<<< HEAD\n  \"spec\"")),
    ("bad UTF-8", |fleet| {
        fleet.write(PATH, [pretty(&tenant(ID)).as_bytes(), b"\xff\xfe"].concat());
    }),
    ("UTF-16", |fleet| {
        let units = pretty(&tenant(ID)).encode_utf16().collect::<Vec<_>>();
        let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        fleet.write(PATH, [b"\xff\xfe", bytes.as_slice()].concat());
    }),
    ("a byte order mark", |fleet| {
        fleet.write(PATH, format!("\u{feff}{}", pretty(&tenant(ID))));
    }),
    ("a NUL byte between values", |fleet| replace(fleet, "\"spec\"", "\0\"spec\"")),
    ("a NUL byte in a text", |fleet| replace(fleet, "\"active\"", "\"active\0\"")),
    ("an escaped NUL in a text", |fleet| with(fleet, "/spec/state", json!("active\u{0}"))),
    ("half a surrogate pair", |fleet| replace(fleet, "\"active\"", "\"\\ud800\"")),
    ("a number beyond all numbers", |fleet| replace(fleet, "\"active\"", "1e999")),
    ("NaN", |fleet| replace(fleet, "\"active\"", "NaN")),
    ("nested 100,000 deep", |fleet| fleet.write(PATH, "[".repeat(100_000))),
    ("objects nested 10,000 deep in a field", |fleet| {
        let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        replace(fleet, "\"active\"", &deep);
    }),
    ("a key twice at the top", |fleet| {
        replace(fleet, "\"kind\": \"Tenant\"", "\"kind\": \"Tenant\", \"kind\": \"Tenant\"");
    }),
    ("a key twice further down", |fleet| {
        replace(fleet, "\"enabled\": true", "\"enabled\": true, \"enabled\": false");
    }),
    ("a key twice, once escaped", |fleet| {
        replace(fleet, "\"state\"", "\"st\\u0061te\": \"suspended\", \"state\"");
    }),
    ("a key twice in an unknown field", |fleet| {
        replace(fleet, "\"state\"", "\"extra\": {\"a\": 1, \"a\": 2}, \"state\"");
    }),
];

const TENANT: &[Case] = &[
    ("an object where a text belongs", |fleet| with(fleet, "/spec/tier", json!({}))),
    ("a number where a text belongs", |fleet| with(fleet, "/spec/niche", json!(7))),
    ("true where a text belongs", |fleet| with(fleet, "/spec/locale", json!(true))),
    ("a text where true or false belongs", |fleet| {
        with(fleet, "/spec/channels/telegram/enabled", json!("yes"));
    }),
    ("a number where true or false belongs", |fleet| {
        with(fleet, "/spec/channels/telegram/enabled", json!(1));
    }),
    ("a text where a list belongs", |fleet| with(fleet, "/spec/connections", json!("google"))),
    ("a list where an object belongs", |fleet| with(fleet, "/metadata", json!([ID]))),
    ("a list of the fields in place of the spec", |fleet| {
        let fields = json!(["starter", "pharmacy", "pt-BR", null, null, {}, [], "active", null]);
        with(fleet, "/spec", fields);
    }),
    ("an object in place of a word", |fleet| with(fleet, "/spec/state", json!({"active": null}))),
    ("a list where the spec belongs", |fleet| with(fleet, "/spec", json!([]))),
    ("a text where the name's object belongs", |fleet| with(fleet, "/metadata", json!(ID))),
    ("a number as the name", |fleet| with(fleet, "/metadata/name", json!(1))),
    ("null as a required field", |fleet| with(fleet, "/spec/tier", Value::Null)),
    ("null as a field with a default", |fleet| with(fleet, "/spec/connections", Value::Null)),
    ("null in a list", |fleet| with(fleet, "/spec/connections", json!(["google", null]))),
    ("no apiVersion", |fleet| fleet.tenant(ID, |tenant| unset(tenant, "/apiVersion"))),
    ("no name", |fleet| fleet.tenant(ID, |tenant| unset(tenant, "/metadata/name"))),
    ("no tier and no state", |fleet| {
        fleet.tenant(ID, |tenant| {
            unset(tenant, "/spec/tier");
            unset(tenant, "/spec/state");
        });
    }),
    ("telegram without enabled", |fleet| with(fleet, "/spec/channels/telegram", json!({}))),
    ("an unknown field at the top", |fleet| with(fleet, "/status", json!({"phase": "Ready"}))),
    ("labels with personal data", |fleet| {
        with(fleet, "/metadata/labels", json!({"customer": "maria@example.org"}));
    }),
    ("a namespace", |fleet| with(fleet, "/metadata/namespace", json!("default"))),
    ("a slip in a field's name", |fleet| with(fleet, "/spec/conections", json!([]))),
    ("a field of no kind", |fleet| with(fleet, "/spec/billingAddress", json!("Rua A, 1"))),
    ("an unknown channel", |fleet| with(fleet, "/spec/channels/whatsapp", json!({}))),
    ("a bot token", |fleet| {
        with(fleet, "/spec/channels/telegram/botToken", json!("123456:ABC"));
    }),
    ("a name that is not the file's", |fleet| {
        with(fleet, "/metadata/name", json!("c-00000002"));
    }),
    ("an upper-case name", |fleet| {
        fleet.write("tenants/Acme.json", pretty(&tenant("Acme")));
    }),
    ("a name with a dot", |fleet| {
        fleet.write("tenants/acme.v2.json", pretty(&tenant("acme.v2")));
    }),
    ("a name of 41 characters", |fleet| fleet.tenant(&"a".repeat(41), |_| ())),
    ("an empty name", |fleet| with(fleet, "/metadata/name", json!(""))),
    ("one id in two folders", |fleet| {
        fleet.write("tenants/old/c-00000001.json", pretty(&tenant(ID)));
    }),
    ("one id in three places", |fleet| {
        fleet.write("tenants/c-00000001.json", pretty(&tenant(ID)));
        fleet.write("tenants/a/b/c-00000001.json", pretty(&tenant(ID)));
    }),
    ("another apiVersion", |fleet| {
        with(fleet, "/apiVersion", json!("openclaw.cloud/v1alpha2"));
    }),
    ("another kind", |fleet| with(fleet, "/kind", json!("Deployment"))),
    ("a tier with a slip", |fleet| with(fleet, "/spec/tier", json!("strater"))),
    ("a tier in other letters", |fleet| with(fleet, "/spec/tier", json!("Starter"))),
    ("a tier that we never had", |fleet| with(fleet, "/spec/tier", json!("platinum"))),
    ("a niche with a slip", |fleet| with(fleet, "/spec/niche", json!("real_estate"))),
    ("a niche that we never had", |fleet| with(fleet, "/spec/niche", json!("astrology"))),
    ("a locale with a slip", |fleet| with(fleet, "/spec/locale", json!("pt_BR"))),
    ("a locale that we do not speak", |fleet| with(fleet, "/spec/locale", json!("fr-CA"))),
    ("a connection with a slip", |fleet| with(fleet, "/spec/connections", json!(["git-hub"]))),
    ("a connection that we do not know", |fleet| {
        with(fleet, "/spec/connections", json!(["google", "myspace"]));
    }),
    ("a model with a slip", |fleet| with(fleet, "/spec/model", json!("kimi-coding/k2.5"))),
    ("a model that we do not know", |fleet| with(fleet, "/spec/model", json!("gpt-99"))),
    ("a thinking with a slip", |fleet| with(fleet, "/spec/thinking", json!("med"))),
    ("a thinking that there is not", |fleet| with(fleet, "/spec/thinking", json!("galaxy"))),
    ("a state with a slip", |fleet| with(fleet, "/spec/state", json!("suspend"))),
    ("a state that there is not", |fleet| with(fleet, "/spec/state", json!("paused"))),
    ("a page of text as a tier", |fleet| with(fleet, "/spec/tier", json!("a b\n".repeat(500)))),
    ("more connections than the tier allows", |fleet| {
        fleet.tenant(ID, |tenant| {
            set(tenant, "/spec/tier", json!("individual"));
            set(tenant, "/spec/connections", json!(["google", "github", "slack", "jira"]));
        });
    }),
    ("a connection twice", |fleet| {
        with(fleet, "/spec/connections", json!(["google", "slack", "google"]));
    }),
    ("more thinking than the tier allows", |fleet| {
        with(fleet, "/spec/thinking", json!("high"));
    }),
    ("a hold without its reason", |fleet| with(fleet, "/spec/hold", json!({}))),
    ("a hold with an empty reason", |fleet| with(fleet, "/spec/hold", json!({"reason": ""}))),
    ("a hold with a blank reason", |fleet| with(fleet, "/spec/hold", json!({"reason": "  "}))),
    ("a hold with a long reason", |fleet| {
        with(fleet, "/spec/hold", json!({"reason": "because ".repeat(30)}));
    }),
    ("a hold with an e-mail address", |fleet| {
        with(fleet, "/spec/hold", json!({"reason": "asked by maria@example.org"}));
    }),
    ("a hold with a phone number", |fleet| {
        with(fleet, "/spec/hold", json!({"reason": "call +55 (11) 98765-4321"}));
    }),
    ("a hold with a CPF", |fleet| {
        with(fleet, "/spec/hold", json!({"reason": "fraud, CPF 123.456.789-09"}));
    }),
    ("a hold that is a text", |fleet| with(fleet, "/spec/hold", json!("fraud"))),
    ("many errors in one file", |fleet| {
        fleet.tenant(ID, |tenant| {
            unset(tenant, "/apiVersion");
            set(tenant, "/metadata/name", json!("Nobody"));
            set(tenant, "/spec/tier", json!("strater"));
            set(tenant, "/spec/niche", json!(null));
            set(tenant, "/spec/connections", json!(["google", "google", "gogle"]));
            set(tenant, "/spec/thinking", json!("hihg"));
            set(tenant, "/spec/email", json!("maria@example.org"));
        });
    }),
    ("many rules of the tier at once", |fleet| {
        fleet.tenant(ID, |tenant| {
            set(tenant, "/spec/tier", json!("individual"));
            set(tenant, "/spec/thinking", json!("high"));
            set(tenant, "/spec/connections", json!(["google", "github", "slack", "google"]));
            set(tenant, "/spec/hold", json!({"reason": " "}));
        });
    }),
    ("many files at once", |fleet| {
        for (id, tier) in [("c-zz000003", "gold"), ("c-aa000002", "por"), ("acme", "tame")] {
            fleet.tenant(id, |tenant| set(tenant, "/spec/tier", json!(tier)));
        }
        fleet.inventory(|inventory| set(inventory, "/cluster/image/tag", json!("latest")));
    }),
];

const FILES: &[Case] = &[
    ("a file of 50 MB", |fleet| {
        fleet.write(PATH, "");
        let file = fs::File::options().write(true).open(fleet.path(PATH)).unwrap();
        file.set_len(50_000_000).unwrap();
    }),
    ("a symbolic link to nothing", |fleet| {
        symlink("../nowhere.json", fleet.path("tenants/acme.json")).unwrap();
    }),
    ("a symbolic link to itself", |fleet| {
        symlink("acme.json", fleet.path("tenants/acme.json")).unwrap();
    }),
    ("a symbolic link to a folder", |fleet| {
        symlink("00", fleet.path("tenants/more")).unwrap();
    }),
    ("a pipe", |fleet| pipe(&fleet.path("tenants/acme.json"))),
    ("a socket", |fleet| drop(UnixListener::bind(fleet.path("tenants/acme.json")).unwrap())),
    ("a symbolic link to a good file", |fleet| {
        fleet.write("elsewhere.json", pretty(&tenant("acme")));
        symlink("../elsewhere.json", fleet.path("tenants/acme.json")).unwrap();
    }),
    ("a symbolic link to a device", |fleet| {
        symlink("/dev/zero", fleet.path("tenants/acme.json")).unwrap();
    }),
    ("a folder with a file's name", |fleet| {
        fleet.write("tenants/acme.json/acme.json", pretty(&tenant("acme")));
    }),
    ("a file in place of the folder", |fleet| {
        fs::remove_dir_all(fleet.path("tenants")).unwrap();
        fleet.write("tenants", "");
    }),
    ("files that only look like a tenant's", |fleet| {
        fleet.write("tenants/acme.JSON", pretty(&tenant("acme")));
        fleet.write("tenants/acme.yaml", "apiVersion: openclaw.cloud/v1alpha1");
        fleet.write("tenants/README.md", "not among them");
    }),
    ("folders nested too deep", |fleet| {
        fleet.write("tenants/1/2/3/4/5/6/7/8/9/acme.json", pretty(&tenant("acme")));
    }),
    ("a folder as the inventory", |fleet| {
        fs::remove_file(fleet.path("nodes/inventory.json")).unwrap();
        fs::create_dir(fleet.path("nodes/inventory.json")).unwrap();
    }),
    ("a pipe as the inventory", |fleet| {
        fs::remove_file(fleet.path("nodes/inventory.json")).unwrap();
        pipe(&fleet.path("nodes/inventory.json"));
    }),
    ("an inventory that links to nothing", |fleet| {
        fs::remove_file(fleet.path("nodes/inventory.json")).unwrap();
        symlink("nowhere.json", fleet.path("nodes/inventory.json")).unwrap();
    }),
];

const INVENTORY: &[Case] = &[
    ("an empty inventory", |fleet| fleet.write("nodes/inventory.json", "")),
    ("an inventory nested 100,000 deep", |fleet| {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        fleet.write("nodes/inventory.json", deep);
    }),
    ("an inventory that is a list", |fleet| fleet.write("nodes/inventory.json", "[]")),
    ("no cluster", |fleet| fleet.inventory(|inventory| unset(inventory, "/cluster"))),
    ("no nodes", |fleet| cluster(fleet, "/nodes", json!([]))),
    ("a node that is a text", |fleet| cluster(fleet, "/nodes/3", json!("worker-1"))),
    ("a node as a list of its fields", |fleet| {
        let head = json!(["dedicated-1", "agent", false, "cx33", "fsn1"]);
        let tail = json!(["203.0.113.31", "10.0.0.31", "dedicated", {}, []]);
        let fields = [head, tail].map(|part| part.as_array().unwrap().clone()).concat();
        cluster(fleet, "/nodes/4", Value::Array(fields));
    }),
    ("an unknown field of a node", |fleet| cluster(fleet, "/nodes/3/servertype", json!("cx33"))),
    ("an unknown role", |fleet| cluster(fleet, "/nodes/3/role", json!("worker"))),
    ("an unknown pool with a slip", |fleet| cluster(fleet, "/nodes/3/pool", json!("share"))),
    ("an unknown location", |fleet| cluster(fleet, "/nodes/3/location", json!("fsn2"))),
    ("an address that is none", |fleet| {
        cluster(fleet, "/nodes/3/publicAddress", json!("203.0.113.300"));
    }),
    ("an address of IPv6", |fleet| {
        cluster(fleet, "/nodes/3/publicAddress", json!("2001:db8::1"));
    }),
    ("a network that is none", |fleet| {
        cluster(fleet, "/cluster/privateNetwork", json!("10.0.0.0/33"));
    }),
    ("a network without its length", |fleet| {
        cluster(fleet, "/cluster/privateNetwork", json!("10.0.0.0"));
    }),
    ("a network by one of its hosts", |fleet| {
        cluster(fleet, "/cluster/privateNetwork", json!("10.0.0.1/16"));
    }),
    ("a network of four addresses", |fleet| {
        cluster(fleet, "/cluster/clusterCidr", json!("10.42.0.0/30"));
    }),
    ("networks that overlap", |fleet| {
        cluster(fleet, "/cluster/clusterCidr", json!("10.43.128.0/17"));
    }),
    ("two initial servers", |fleet| cluster(fleet, "/nodes/1/initial", json!(true))),
    ("no initial server", |fleet| {
        fleet.inventory(|inventory| unset(inventory, "/nodes/0/initial"));
    }),
    ("an even number of servers", |fleet| {
        fleet.inventory(|inventory| {
            inventory["nodes"].as_array_mut().unwrap().remove(2);
        });
    }),
    ("no server at all", |fleet| {
        fleet.inventory(|inventory| {
            inventory["nodes"].as_array_mut().unwrap().drain(..3);
        });
    }),
    ("an agent marked initial", |fleet| {
        fleet.inventory(|inventory| {
            unset(inventory, "/nodes/0/initial");
            set(inventory, "/nodes/3/initial", json!(true));
        });
    }),
    ("a node's name twice", |fleet| cluster(fleet, "/nodes/3/name", json!("cp-1"))),
    ("a node's name that is none", |fleet| cluster(fleet, "/nodes/3/name", json!("Worker_1"))),
    ("addresses twice", |fleet| {
        fleet.inventory(|inventory| {
            set(inventory, "/nodes/3/publicAddress", json!("203.0.113.11"));
            set(inventory, "/nodes/3/privateAddress", json!("10.0.0.11"));
        });
    }),
    ("a private address outside of the network", |fleet| {
        cluster(fleet, "/nodes/3/privateAddress", json!("10.1.0.21"));
    }),
    ("the network's own address", |fleet| {
        cluster(fleet, "/nodes/3/privateAddress", json!("10.0.0.0"));
    }),
    ("a private address as the public one", |fleet| {
        cluster(fleet, "/nodes/3/publicAddress", json!("192.168.1.4"));
    }),
    ("an unknown server type with a slip", |fleet| {
        cluster(fleet, "/nodes/3/serverType", json!("CX35"));
    }),
    ("an unknown server type of another cloud", |fleet| {
        cluster(fleet, "/nodes/3/serverType", json!("m7i.2xlarge"));
    }),
    ("a service address outside of the static band", |fleet| {
        cluster(fleet, "/cluster/dataPlane/channels", json!("10.43.77.7"));
    }),
    ("a service address outside of the range", |fleet| {
        cluster(fleet, "/cluster/dataPlane/channels", json!("10.44.0.21"));
    }),
    ("the address of the cluster's DNS", |fleet| {
        cluster(fleet, "/cluster/dataPlane/channels", json!("10.43.0.10"));
    }),
    ("the address of the API server", |fleet| {
        cluster(fleet, "/cluster/dataPlane/channels", json!("10.43.0.1"));
    }),
    ("two services with one address", |fleet| {
        cluster(fleet, "/cluster/dataPlane/channels", json!("10.43.0.20"));
    }),
    ("no address of a service", |fleet| {
        fleet.inventory(|inventory| unset(inventory, "/cluster/dataPlane/egressProxy"));
    }),
    ("the tag latest", |fleet| cluster(fleet, "/cluster/image/tag", json!("latest"))),
    ("a fleet repository with a password", |fleet| {
        cluster(fleet, "/cluster/fleetRemote", json!("ssh://git:hush@git.example.org/fleet.git"));
    }),
    ("a fleet repository by https", |fleet| {
        cluster(fleet, "/cluster/fleetRemote", json!("https://git.example.org/fleet.git"));
    }),
    ("a fleet repository on a port that policy closes", |fleet| {
        cluster(fleet, "/cluster/fleetRemote", json!("ssh://git@git.example.org:2222/fleet.git"));
    }),
    ("a fleet repository that is a folder", |fleet| {
        cluster(fleet, "/cluster/fleetRemote", json!("/srv/fleet"));
    }),
    ("no fleet repository", |fleet| {
        fleet.inventory(|inventory| unset(inventory, "/cluster/fleetRemote"));
    }),
    ("a registry with a scheme", |fleet| {
        cluster(fleet, "/cluster/image/registry", json!("https://registry.example.org/openclaw"));
    }),
    ("an S3 endpoint without TLS", |fleet| {
        cluster(fleet, "/cluster/s3/endpoint", json!("http://fsn1.your-objectstorage.com"));
    }),
    ("an S3 network of everything", |fleet| {
        cluster(fleet, "/cluster/s3/networks", json!(["0.0.0.0/0"]));
    }),
    ("no S3 network", |fleet| cluster(fleet, "/cluster/s3/networks", json!([]))),
    ("K3s that is too old", |fleet| {
        cluster(fleet, "/cluster/k3sVersion", json!("v1.29.4+k3s1"));
    }),
    ("K3s that is too new", |fleet| {
        cluster(fleet, "/cluster/k3sVersion", json!("v1.99.0+k3s1"));
    }),
    ("K3s that is garbled", |fleet| cluster(fleet, "/cluster/k3sVersion", json!("1.36.3"))),
    ("a storage class that is no name", |fleet| {
        cluster(fleet, "/cluster/storageClass", json!("Local Path"));
    }),
    ("a domain that is an address", |fleet| {
        cluster(fleet, "/cluster/domain", json!("https://example.org/"));
    }),
    ("an e-mail address that is none", |fleet| {
        cluster(fleet, "/cluster/acmeEmail", json!("ops.example.org"));
    }),
    ("a dedicated node without its taint", |fleet| {
        fleet.inventory(|inventory| unset(inventory, "/nodes/4/taints"));
    }),
    ("the taint of dedicated nodes in another pool", |fleet| {
        fleet.inventory(|inventory| {
            let taints = inventory["nodes"][4]["taints"].clone();
            set(inventory, "/nodes/3/taints", taints);
        });
    }),
    ("an unknown effect of a taint", |fleet| {
        cluster(fleet, "/nodes/4/taints/0/effect", json!("NoShedule"));
    }),
    ("an unknown runtime class", |fleet| {
        cluster(fleet, "/cluster/tenantRuntimeClass", json!("gvisr"));
    }),
    ("a label that is none", |fleet| {
        cluster(fleet, "/nodes/3/labels", json!({"disk type": "ssd", "zone": "a b"}));
    }),
    ("the pool's label by hand", |fleet| {
        cluster(fleet, "/nodes/3/labels", json!({"openclaw.cloud/pool": "shared"}));
    }),
    ("a label that is a number", |fleet| {
        cluster(fleet, "/nodes/3/labels", json!({"weight": 3}));
    }),
    ("a label twice", |fleet| {
        fleet.inventory(|inventory| set(inventory, "/nodes/3/labels", json!({"zone": "a"})));
        let text = fleet.read("nodes/inventory.json");
        let twice = "\"zone\": \"b\", \"zone\": \"a\"";
        fleet.write("nodes/inventory.json", text.replace("\"zone\": \"a\"", twice));
    }),
    ("many errors in the inventory", |fleet| {
        fleet.inventory(|inventory| {
            set(inventory, "/cluster/image/tag", json!("latest"));
            set(inventory, "/cluster/dataPlane/channels", json!("10.43.0.20"));
            set(inventory, "/nodes/2/role", json!("agent"));
            set(inventory, "/nodes/3/name", json!("cp-1"));
            set(inventory, "/nodes/3/serverType", json!("cx34"));
            unset(inventory, "/nodes/4/taints");
        });
    }),
];

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// What the snapshot says of one case.
fn told(name: &str, run: &Run) -> String {
    format!("## {name}\n{}exit code {}\n\n", run.stderr, run.code)
}

#[test]
fn bad_inputs_are_refused_with_messages_for_people() {
    let groups =
        [("syntax", SYNTAX), ("tenant", TENANT), ("files", FILES), ("inventory", INVENTORY)];
    let mut report = String::new();
    for (group, cases) in groups {
        writeln!(report, "# {group}\n").unwrap();
        for (name, spoil) in cases {
            let fleet = Fleet::with_one_tenant();
            spoil(&fleet);
            let run = fleet.run(CHECK);
            assert_eq!(run.code, 1, "{name}: {run:#?}");
            assert_eq!(run.stdout, "", "{name}");
            let folder = fleet.folder().to_str().unwrap();
            assert!(!run.stderr.contains(folder), "{name}: {}", run.stderr);
            assert!(run.stderr.lines().count() < 20, "{name}: {}", run.stderr);
            report.push_str(&told(name, &run));
        }
    }
    insta::assert_snapshot!(report);
}

#[test]
fn wrong_use_is_told_from_bad_input() {
    let fleet = Fleet::with_one_tenant();
    fs::create_dir_all(fleet.path("empty")).unwrap();
    let mut report = String::new();
    let cases: [&[&str]; 9] = [
        &["check", "--root", "fleet/empty"],
        &["check", "--root", "nowhere"],
        &["check"],
        &["check", "--rot", "fleet"],
        &["chek"],
        &["schema", "tennant"],
        &["tenant", "show", "Acme", "--root", "fleet"],
        &["tenant", "new", "--root", "fleet", "--tier", "por", "--niche", "pharmacy"],
        &["render", "--root", "fleet"],
    ];
    for arguments in cases {
        let run = fleet.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{arguments:?}: {run:#?}");
        assert!(!run.stderr.contains(fleet.folder().to_str().unwrap()), "{}", run.stderr);
        report.push_str(&told(&arguments.join(" "), &run));
    }
    insta::assert_snapshot!(report);
}

#[test]
fn what_may_not_be_read_is_named() {
    let fleet = Fleet::with_one_tenant();
    fleet.tenant("acme", |_| ());
    fleet.tenant("c-zz000001", |_| ());
    let forbid =
        |path| fs::set_permissions(fleet.path(path), PermissionsExt::from_mode(0o000)).unwrap();
    forbid("tenants/acme.json");
    forbid("tenants/zz");
    let Some(run) = unprivileged(&fleet) else { return };
    insta::assert_snapshot!(told("a file and a folder without permission", &run));
}

/// Runs `check` as a user for whom permissions count: root reads everything.
fn unprivileged(fleet: &Fleet) -> Option<Run> {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        return Some(fleet.run(CHECK));
    }
    let found = Command::new("setpriv").arg("--version").output().is_ok();
    if !found {
        let message =
            "root reads what nobody may read, and there is no setpriv to be somebody else";
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("skipped: {message}");
        return None;
    }
    // The build's folder may be root's alone: the binary has to be where the other user can run it.
    let binary = fleet.folder().join("binary");
    fs::copy(BINARY, &binary).unwrap();
    fs::set_permissions(fleet.folder(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--clear-groups"]).arg(binary).args(CHECK);
    fleet.isolate(&mut command);
    Some(finish(command))
}

#[test]
fn one_bad_file_among_ten_thousand_is_found_and_no_other_is_named() {
    let fleet = Fleet::empty();
    for number in 0..10_000 {
        fleet.tenant(&format!("c-{number:08}"), |_| ());
    }
    let bad = "c-00007777";
    fleet.tenant(bad, |tenant| set(tenant, "/spec/tier", json!("platinum")));
    let run = fleet.run(CHECK);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(run.code, 1);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines[0].starts_with(&format!("error: {}: /spec/tier: ", tenant_path(bad))),
        "{lines:?}"
    );
    assert_eq!(lines[1], "1 error and 0 warnings");
    fleet.tenant(bad, |_| ());
    assert_eq!(fleet.good(CHECK), "10000 tenants and 5 nodes: good\n");
}

#[test]
fn a_file_larger_than_memory_is_refused_without_being_read() {
    let fleet = Fleet::with_one_tenant();
    let file = fs::File::create(fleet.path("tenants/acme.json")).unwrap();
    // No byte of it is on the disk.
    file.set_len(8 << 30).unwrap();
    let mut command = Command::new("sh");
    let script = format!("ulimit -v 1000000; exec {BINARY} check --root fleet");
    // Every thread reserves addresses of its own, which are not what is counted here.
    command.args(["-c", &script]).current_dir(fleet.folder()).env("RAYON_NUM_THREADS", "2");
    let run = finish(command);
    assert_eq!(run.code, 1, "{run:#?}");
    assert!(run.stderr.contains("tenants/acme.json: found 8589934592 bytes"), "{run:#?}");
}

#[test]
fn two_runs_print_the_same_whatever_the_threads() {
    let fleet = Fleet::empty();
    for number in 0..200 {
        fleet.tenant(&format!("c-{number:08}"), |tenant| {
            set(tenant, "/spec/tier", json!(format!("tier{number}")));
            set(tenant, "/spec/niche", json!("legall"));
        });
    }
    let mut one = fleet.command(CHECK);
    one.env("RAYON_NUM_THREADS", "1");
    let mut four = fleet.command(CHECK);
    four.env("RAYON_NUM_THREADS", "4");
    let (one, four) = (finish(one), finish(four));
    assert_eq!(one.code, 1);
    assert_eq!(one, four);
}

#[test]
fn findings_are_json_on_demand() {
    let fleet = Fleet::with_one_tenant();
    with(&fleet, "/spec/tier", json!("strater"));
    let run = fleet.run(&["check", "--root", "fleet", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (1, ""));
    let findings: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(findings[0]["file"], PATH);
    assert_eq!(findings[0]["pointer"], "/spec/tier");
    assert_eq!(findings[0]["severity"], "error");
    assert_eq!(findings[0]["help"], "did you mean \"starter\"?");
}
