//! `render`: what it writes, what it leaves alone, and what a kill in the middle of it leaves.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    process::Stdio,
    thread,
    time::Instant,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Fleet, finish, set};

const RENDER: &[&str] = &["render", "--root", "fleet", "--out", "out"];

/// Every file below `folder` by its path.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            if let Ok(target) = path.read_link() {
                found.insert(name, target.into_os_string().into_encoded_bytes());
            } else if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

fn inodes(folder: &Path) -> BTreeMap<String, u64> {
    let inode = |path: &String| fs::metadata(folder.join(path)).unwrap().ino();
    files(folder).into_keys().map(|path| (path.clone(), inode(&path))).collect()
}

/// Recomputes the index from the files, as a reader of the contract would, and returns its hash.
fn verify(out: &Path) -> String {
    let mut files = files(out);
    let index: Value = serde_json::from_slice(&files.remove("index.json").unwrap()).unwrap();
    let hashes: BTreeMap<&String, String> =
        files.iter().map(|(path, bytes)| (path, hex::encode(Sha256::digest(bytes)))).collect();
    assert_eq!(index["files"], json!(hashes));
    let mut lines: Vec<String> =
        hashes.iter().map(|(path, hash)| format!("{hash}  {path}\n")).collect();
    lines.sort();
    assert_eq!(index["sha256"], hex::encode(Sha256::digest(lines.concat())));
    let objects: usize = files
        .values()
        .map(|bytes| {
            let value: Value = serde_json::from_slice(bytes).unwrap();
            value["items"].as_array().map_or(1, Vec::len)
        })
        .sum();
    assert_eq!(index["objects"], objects);
    let fields: Vec<&String> = index.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["files", "objects", "sha256"]);
    index["sha256"].as_str().unwrap().to_owned()
}

fn fleet_of(count: usize) -> Fleet {
    let fleet = Fleet::empty();
    for number in 0..count {
        fleet.tenant(&format!("c-{number:08}"), |_| ());
    }
    fleet
}

#[test]
fn the_index_lists_every_file_by_its_hash() {
    let fleet = fleet_of(3);
    let printed = fleet.good(RENDER);
    let hash = verify(&fleet.folder().join("out"));
    assert!(printed.starts_with("out: ") && printed.contains(&hash), "{printed}");
    let files = files(&fleet.folder().join("out"));
    assert!(files.values().all(|bytes| bytes.ends_with(b"}\n")), "a line end after the last line");
    for (path, bytes) in &files {
        let value: Value = serde_json::from_slice(bytes).unwrap();
        let kind = value["kind"].as_str().unwrap_or_default().to_lowercase();
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        match path.split_once('/') {
            Some(("platform", file)) => {
                let namespace = value["metadata"]["namespace"].as_str().unwrap_or("cluster");
                assert_eq!(file, format!("{kind}-{namespace}-{name}.json").to_lowercase());
            }
            Some(("crds", file)) => {
                assert_eq!(kind, "customresourcedefinition");
                assert_eq!(file, format!("{name}.json"));
            }
            Some(("tenants", file)) => {
                assert_eq!((&value["apiVersion"], &value["kind"]), (&json!("v1"), &json!("List")));
                let id = file.strip_suffix(".json").unwrap();
                assert_eq!(value["items"][0]["kind"], "Namespace", "the namespace comes first");
                assert_eq!(value["items"][0]["metadata"]["name"], format!("customer-{id}"));
            }
            _ => assert_eq!(path, "index.json"),
        }
    }
    let tenants = files.keys().filter(|path| path.starts_with("tenants/")).count();
    assert_eq!(tenants, 3);
    assert!(files.contains_key("crds/tenants.openclaw.cloud.json"));
}

#[test]
fn invalid_input_writes_nothing_and_keeps_the_old_output() {
    let fleet = fleet_of(2);
    fleet.tenant("c-00000001", |tenant| set(tenant, "/spec/tier", json!("gold")));
    let run = fleet.run(RENDER);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    let left: Vec<_> = fs::read_dir(fleet.folder()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    fleet.tenant("c-00000001", |_| ());
    fleet.good(RENDER);
    let out = fleet.folder().join("out");
    let before = (inodes(&out), files(&out));
    fleet.tenant("c-00000001", |tenant| set(tenant, "/spec/tier", json!("gold")));
    assert_eq!(fleet.run(RENDER).code, 1);
    assert_eq!((inodes(&out), files(&out)), before);
}

#[test]
fn unchanged_files_stay_the_same_files() {
    let fleet = fleet_of(20);
    fleet.good(RENDER);
    let out = fleet.folder().join("out");
    let first = inodes(&out);
    fleet.good(RENDER);
    assert_eq!(inodes(&out), first, "nothing changed, so nothing was written");
    fleet.tenant("c-00000007", |tenant| set(tenant, "/spec/tier", json!("pro")));
    fleet.good(RENDER);
    let second = inodes(&out);
    let changed: Vec<&String> = first
        .iter()
        .filter(|(path, inode)| second[*path] != **inode)
        .map(|(path, _)| path)
        .collect();
    assert_eq!(changed, ["index.json", "tenants/c-00000007.json"]);
    verify(&out);
}

#[test]
fn what_no_longer_belongs_is_gone() {
    let fleet = fleet_of(3);
    fleet.good(RENDER);
    let out = fleet.folder().join("out");
    fs::write(out.join("tenants/notes.txt"), "mine").unwrap();
    fs::remove_file(fleet.path("tenants/00/c-00000001.json")).unwrap();
    fleet.tenant("c-00000002", |tenant| set(tenant, "/spec/state", json!("deleted")));
    fleet.good(RENDER);
    let tenants: Vec<String> =
        files(&out).into_keys().filter(|path| path.starts_with("tenants/")).collect();
    assert_eq!(tenants, ["tenants/c-00000000.json"]);
    verify(&out);
}

#[test]
fn a_suspended_or_held_tenant_gets_no_pod() {
    let fleet = fleet_of(3);
    fleet.tenant("c-00000001", |tenant| set(tenant, "/spec/state", json!("suspended")));
    fleet.tenant("c-00000002", |tenant| {
        set(tenant, "/spec/hold", json!({"reason": "ticket 4711"}));
    });
    fleet.good(RENDER);
    let replicas = |id: &str| {
        let path = format!("out/tenants/{id}.json");
        let list: Value =
            serde_json::from_slice(&fs::read(fleet.folder().join(path)).unwrap()).unwrap();
        let items = list["items"].as_array().unwrap();
        let deployment = items.iter().find(|item| item["kind"] == "Deployment").unwrap();
        (items.len(), deployment["spec"]["replicas"].as_u64().unwrap())
    };
    let (objects, running) = replicas("c-00000000");
    assert_eq!(running, 1);
    assert_eq!(replicas("c-00000001"), (objects, 0));
    assert_eq!(replicas("c-00000002"), (objects, 0));
}

#[test]
fn a_foreign_folder_is_refused_and_left_as_it_is() {
    let fleet = fleet_of(1);
    let folder = fleet.folder();
    let index = |text: &str| {
        fs::create_dir_all(folder.join("out")).unwrap();
        fs::write(folder.join("out/index.json"), text).unwrap();
    };
    let refused = |name: &str| {
        let before = files(folder);
        let run = fleet.run(RENDER);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{name}: {run:#?}");
        assert!(run.stderr.starts_with("error: --out out "), "{name}: {run:#?}");
        assert_eq!(files(folder), before, "{name}");
    };
    index("{\"name\": \"an index of something else\"}");
    refused("another program's index.json");
    index("not even JSON");
    refused("an index.json that is none");
    fs::rename(folder.join("out/index.json"), folder.join("out/precious.txt")).unwrap();
    refused("a folder with a file");
    fs::remove_dir_all(folder.join("out")).unwrap();
    fs::write(folder.join("out"), "precious").unwrap();
    refused("a file");
    fs::remove_file(folder.join("out")).unwrap();
    fs::create_dir(folder.join("real")).unwrap();
    symlink("real", folder.join("out")).unwrap();
    refused("a link to a folder");
    assert!(folder.join("out").symlink_metadata().unwrap().is_symlink());
    fs::remove_file(folder.join("out")).unwrap();
    symlink("nowhere", folder.join("out")).unwrap();
    refused("a link to nothing");
}

#[test]
fn the_fleet_itself_is_no_output() {
    let fleet = fleet_of(1);
    for out in ["fleet", "fleet/tenants", "fleet/nodes", ".", "/"] {
        let run = fleet.run(&["render", "--root", "fleet", "--out", out]);
        assert_eq!(run.code, 2, "{out}: {run:#?}");
    }
    fleet.good(&["check", "--root", "fleet"]);
}

#[test]
fn a_pipe_as_the_index_does_not_block() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let fleet = fleet_of(1);
    fs::create_dir(fleet.folder().join("out")).unwrap();
    let pipe = fleet.folder().join("out/index.json");
    mknodat(CWD, pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert_eq!(fleet.run(RENDER).code, 2);
}

#[test]
fn an_empty_folder_and_a_new_one_in_new_folders_are_taken() {
    let fleet = fleet_of(1);
    fs::create_dir(fleet.folder().join("out")).unwrap();
    fleet.good(RENDER);
    verify(&fleet.folder().join("out"));
    fleet.good(&["render", "--root", "fleet", "--out", "a/b/c/"]);
    verify(&fleet.folder().join("a/b/c"));
}

#[test]
fn a_part_is_rendered_on_demand() {
    let fleet = fleet_of(2);
    fleet.good(RENDER);
    let whole = files(&fleet.folder().join("out"));
    fleet.good(&["render", "--root", "fleet", "--out", "one", "--tenant", "c-00000001"]);
    fleet.good(&["render", "--root", "fleet", "--out", "platform", "--platform"]);
    let one = files(&fleet.folder().join("one"));
    let platform = files(&fleet.folder().join("platform"));
    verify(&fleet.folder().join("one"));
    verify(&fleet.folder().join("platform"));
    assert_eq!(one.keys().collect::<Vec<_>>(), ["index.json", "tenants/c-00000001.json"]);
    assert_eq!(one["tenants/c-00000001.json"], whole["tenants/c-00000001.json"]);
    let expected = whole.iter().filter(|(path, _)| !path.starts_with("tenants/"));
    for (path, bytes) in expected.filter(|(path, _)| *path != "index.json") {
        assert_eq!(platform.get(path), Some(bytes), "{path}");
    }
    assert!(!platform.keys().any(|path| path.starts_with("tenants/")));
    let both = ["--platform", "--tenant", "c-00000001"];
    assert_eq!(fleet.run(&[RENDER, &both].concat()).code, 2);
}

#[test]
fn an_unknown_or_deleted_tenant_is_wrong_use() {
    let fleet = fleet_of(2);
    fleet.tenant("c-00000001", |tenant| set(tenant, "/spec/state", json!("deleted")));
    for id in ["c-99999999", "c-00000001", "No Id"] {
        let run = fleet.run(&[RENDER, &["--tenant", id]].concat());
        assert_eq!(run.code, 2, "{run:#?}");
        assert!(!fleet.folder().join("out").exists());
    }
}

#[test]
fn a_place_that_cannot_be_written_is_an_outside_failure() {
    let fleet = fleet_of(1);
    fs::write(fleet.folder().join("file"), "").unwrap();
    // Root may write everywhere but below a file and in the kernel's own tree.
    for out in ["file/out", "/proc/openclaw/out"] {
        let run = fleet.run(&["render", "--root", "fleet", "--out", out]);
        assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{run:#?}");
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
    }
}

#[test]
fn bytes_depend_on_the_fleet_alone() {
    let fleet = fleet_of(30);
    fleet.good(RENDER);
    let expected = files(&fleet.folder().join("out"));
    let environments = [
        [("RAYON_NUM_THREADS", "1"), ("LC_ALL", "C"), ("TZ", "UTC")],
        [("RAYON_NUM_THREADS", "2"), ("LC_ALL", "pt_BR.UTF-8"), ("TZ", "America/Sao_Paulo")],
        [("RAYON_NUM_THREADS", "7"), ("LC_ALL", "tr_TR.UTF-8"), ("HOME", "/nowhere")],
    ];
    for (number, environment) in environments.iter().enumerate() {
        let out = format!("out-{number}");
        let mut command = fleet.command(&["render", "--root", "fleet", "--out", &out]);
        command.envs(environment.iter().copied());
        assert_eq!(finish(command).code, 0);
        assert_eq!(files(&fleet.folder().join(out)), expected);
    }
    // From inside the fleet, which is found upwards.
    let mut command = fleet.command(&["render", "--out", "../../elsewhere"]);
    command.current_dir(fleet.path("tenants"));
    assert_eq!(finish(command).code, 0);
    assert_eq!(files(&fleet.folder().join("elsewhere")), expected);
}

#[test]
fn neither_the_order_nor_the_folders_of_tenant_files_matter() {
    let (one, other) = (Fleet::empty(), Fleet::empty());
    for number in 0..50 {
        one.tenant(&format!("c-{number:08}"), |_| ());
        let id = format!("c-{:08}", 49 - number);
        let text = format!("{}", crate::support::tenant(&id));
        other.write(&format!("tenants/{}/{id}.json", number % 7), text);
    }
    one.good(RENDER);
    other.good(RENDER);
    assert_eq!(files(&one.folder().join("out")), files(&other.folder().join("out")));
}

/// Two fleets that differ in every file of a tenant and in some of the platform.
fn two_fleets() -> (Fleet, [String; 2]) {
    let fleet = Fleet::empty();
    for number in 0..150 {
        fleet.tenant(&format!("c-{number:08}"), |_| ());
    }
    fs::rename(fleet.path(""), fleet.folder().join("a")).unwrap();
    fleet.inventory(|inventory| set(inventory, "/cluster/image/tag", json!("0.2.0")));
    for number in 75..225 {
        fleet.tenant(&format!("c-{number:08}"), |_| ());
    }
    fs::rename(fleet.path(""), fleet.folder().join("b")).unwrap();
    let hashes = ["a", "b"].map(|root| {
        let out = format!("expected-{root}");
        fleet.good(&["render", "--root", root, "--out", &out]);
        verify(&fleet.folder().join(out))
    });
    assert_ne!(hashes[0], hashes[1]);
    (fleet, hashes)
}

#[test]
fn a_kill_at_any_time_leaves_the_old_output_or_the_new_one() {
    let (fleet, hashes) = two_fleets();
    let out = fleet.folder().join("out");
    fleet.good(&["render", "--root", "a", "--out", "out"]);
    let start = Instant::now();
    fleet.good(&["render", "--root", "a", "--out", "out"]);
    let whole = start.elapsed();
    let mut expected = hashes[0].clone();
    let (mut kept, mut replaced) = (0_u32, 0_u32);
    // Half of the kills come at any time of a run, the other half near the exchange of the folders:
    // earlier after one that came too late, later after one that came too early.
    let mut near = whole;
    for round in 0..90 {
        let next = usize::from(expected == hashes[0]);
        let mut command = fleet.command(&["render", "--root", ["a", "b"][next], "--out", "out"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(if round % 2 == 0 { whole * round / 90 } else { near });
        child.kill().unwrap();
        child.wait().unwrap();
        let found = verify(&out);
        assert!(found == expected || found == hashes[next], "a mix after kill {round}");
        let kept_this = found == expected;
        *(if kept_this { &mut kept } else { &mut replaced }) += 1;
        if round % 2 == 1 {
            near = if kept_this { near * 13 / 12 } else { near * 11 / 12 };
        }
        expected = found;
    }
    println!("{kept} of 90 kills kept the old output, {replaced} had the new one");
    assert!(kept > 0 && replaced > 0, "{kept} and {replaced}: the kills were all on one side");
    fleet.good(&["render", "--root", "b", "--out", "out"]);
    assert_eq!(verify(&out), hashes[1]);
    assert_eq!(leftovers(&fleet), [".out.lock"]);
}

#[test]
fn renders_at_once_into_one_folder_wait_for_each_other() {
    let (fleet, hashes) = two_fleets();
    for _ in 0..3 {
        let children: Vec<_> = ["a", "b", "a", "b"]
            .map(|root| {
                let mut command = fleet.command(&["render", "--root", root, "--out", "out"]);
                command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
            })
            .into_iter()
            .collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let found = verify(&fleet.folder().join("out"));
        assert!(hashes.contains(&found));
        assert_eq!(leftovers(&fleet), [".out.lock"]);
    }
}

/// Hidden files that renders left beside the output.
fn leftovers(fleet: &Fleet) -> Vec<String> {
    let names = fs::read_dir(fleet.folder()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".out")).collect()
}
