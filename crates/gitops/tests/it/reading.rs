//! What somebody reads who never writes.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    process::Stdio,
    time::{Duration, Instant},
};

use oc_gitops::{Blob, Error, Files, Fleet, Oid, Origin};
use serde_json::json;

use crate::support::{Remote, apply, change, command, committed, git, hold, id, path, tenant};

const FILES: usize = 10_000;

/// The names of what is below `tenants`, by git itself.
fn listed(remote: &Remote, revision: Oid) -> Vec<(String, Oid)> {
    let lines = remote.git(&["ls-tree", "-r", &revision.to_string(), "tenants/"]);
    let entry = |line: &str| {
        let (head, path) = line.split_once('\t').unwrap();
        (path.to_owned(), head.rsplit(' ').next().unwrap().parse().unwrap())
    };
    lines.lines().map(entry).collect()
}

fn oids(files: &Files) -> Vec<Oid> {
    files.files.iter().map(|(_, oid)| *oid).collect()
}

async fn origin(fleet: &mut Fleet, from: Oid, to: Oid, path: &str) -> Option<Origin> {
    fleet.origins(Some(from), to).await.unwrap().unwrap().remove(path)
}

#[tokio::test]
async fn every_file_below_a_folder_is_found_and_read() {
    let remote = Remote::new(300);
    let mut fleet = remote.open().await;
    let tip = fleet.tip().await.unwrap();
    let files = fleet.files(tip, "tenants").await.unwrap();
    assert_eq!((files.files.len(), &files.odd), (300, &vec![]));
    assert_eq!(files.files, listed(&remote, tip));
    let blobs = fleet.blobs(&oids(&files), 4096).await.unwrap();
    for ((path, _), blob) in files.files.iter().zip(blobs) {
        let id = path.rsplit('/').next().unwrap().strip_suffix(".json").unwrap();
        assert_eq!(blob, Blob::Bytes(tenant(id).into_bytes()));
    }
    assert_eq!(fleet.files(tip, "nodes").await.unwrap(), Files::default());
    assert_eq!(fleet.files(tip, "tenants/none/x").await.unwrap(), Files::default());
    assert_eq!(fleet.blobs(&[], 0).await.unwrap(), []);
    let unknown = "12345678".repeat(5).parse().unwrap();
    let refused = fleet.files(unknown, "tenants").await.unwrap_err();
    assert!(matches!(refused, Error::UnknownCommit(commit) if commit == unknown), "{refused:?}");
}

#[tokio::test]
async fn an_empty_repository_has_no_files_and_no_history() {
    let remote = Remote::empty();
    let mut fleet = remote.open().await;
    let tip = fleet.tip().await.unwrap();
    assert!(tip.is_null());
    assert_eq!(fleet.files(tip, "tenants").await.unwrap(), Files::default());
    assert_eq!(fleet.history(tip, "nodes", 9).await.unwrap(), []);
    assert!(matches!(fleet.commit(tip).await, Err(Error::UnknownCommit(_))));
    remote.import(&[(path(&id(0)), tenant(&id(0)))]);
    let first = fleet.tip().await.unwrap();
    assert_eq!(fleet.files(first, "tenants").await.unwrap().files.len(), 1);
    assert_eq!(fleet.origins(Some(tip), first).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_no_regular_file_is_left_out_and_said() {
    let remote = Remote::new(2);
    let human = remote.folder().join("human");
    git(remote.folder(), &["clone", "--quiet", "remote.git", "human"]);
    symlink("/etc/passwd", human.join("tenants/c-link.json")).unwrap();
    symlink(".", human.join("tenants/loop")).unwrap();
    let (shallow, deep) = ("tenants/1/2/3/4/5/6/7/8", "tenants/1/2/3/4/5/6/7/8/9");
    fs::create_dir_all(human.join(deep)).unwrap();
    fs::write(human.join(deep).join("c-deep.json"), "{}").unwrap();
    fs::write(human.join(shallow).join("c-shallow.json"), "{}").unwrap();
    fs::write(human.join("tenants/with\nline \"and\" tab\t.json"), "{}").unwrap();
    git(&human, &["add", "--all"]);
    let module = format!("160000,{},tenants/module", remote.tip());
    git(&human, &["update-index", "--add", "--cacheinfo", &module]);
    git(&human, &["commit", "--quiet", "-m", "odd"]);
    git(&human, &["push", "--quiet"]);
    // No file system of ours need have such a name.
    let mut import = b"commit refs/heads/main\ncommitter A <a@b> now\ndata 1\nx\n".to_vec();
    import.extend(b"from refs/heads/main^0\nM 100644 inline tenants/\xff.json\ndata 0\n");
    let file = remote.folder().join("import");
    fs::write(&file, import).unwrap();
    let mut child = command(&remote.path());
    child.args(["fast-import", "--quiet", "--date-format=now"]);
    assert!(child.stdin(fs::File::open(file).unwrap()).status().unwrap().success());

    let mut fleet = remote.open().await;
    let tip = fleet.tip().await.unwrap();
    let files = fleet.files(tip, "tenants").await.unwrap();
    let odd =
        [deep, "tenants/c-link.json", "tenants/loop", "tenants/module", "tenants/\u{fffd}.json"];
    assert_eq!(files.odd, odd);
    let names: BTreeSet<&str> = files.files.iter().map(|(path, _)| path.as_str()).collect();
    let (shallow, first, second) =
        (format!("{shallow}/c-shallow.json"), path(&id(0)), path(&id(1)));
    let expected = [&*shallow, "tenants/with\nline \"and\" tab\t.json", &first, &second];
    assert_eq!(names, BTreeSet::from(expected));
    for (folder, why) in [("tenants/loop", "a link"), (&*path(&id(0)), "a file")] {
        let files = fleet.files(tip, folder).await.unwrap();
        assert_eq!(files, Files { files: vec![], odd: vec![folder.to_owned()] }, "{why}");
    }
}

#[tokio::test]
async fn a_large_blob_is_no_error_of_the_others() {
    let remote = Remote::new(1);
    let large = "x".repeat(300_000);
    remote.import(&[("tenants/large.json".to_owned(), large.clone())]);
    let mut fleet = remote.open().await;
    let tip = fleet.tip().await.unwrap();
    let files = fleet.files(tip, "tenants").await.unwrap();
    let mut wanted = oids(&files);
    wanted.extend_from_within(..);
    let small = Blob::Bytes(tenant(&id(0)).into_bytes());
    let too_large = || Blob::TooLarge { bytes: 300_000 };
    let is_first = files.files[0].0 == "tenants/large.json";
    let (first, second) = if is_first { (too_large(), small) } else { (small, too_large()) };
    let expected = [first.clone(), second.clone(), first, second];
    assert_eq!(fleet.blobs(&wanted, 299_999).await.unwrap(), expected);
    let all = fleet.blobs(&wanted, 300_000).await.unwrap();
    assert!(all.contains(&Blob::Bytes(large.into_bytes())));
    let missing = [wanted[0], "12345678".repeat(5).parse().unwrap()];
    let refused = fleet.blobs(&missing, 0).await.unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    assert_eq!(fleet.blobs(&wanted, 299_999).await.unwrap(), expected, "it goes on");
}

#[tokio::test]
async fn a_path_comes_from_the_newest_commit_that_touched_it() {
    let remote = Remote::new(4);
    remote.import(&[("nodes/inventory.json".to_owned(), "{}".to_owned())]);
    let mut committer = remote.open().await;
    let start = committer.tip().await.unwrap();
    let pro = change(3, &id(0), &[("/spec/tier", json!("pro"))]);
    let outcomes = apply(&mut committer, &[hold(1, &id(0)), hold(2, &id(1)), pro]).await.unwrap();
    let made: Vec<Oid> = outcomes.iter().map(committed).collect();
    drop(committer);
    remote.import(&[
        ("README".to_owned(), "?".to_owned()),
        ("nodes/inventory.json".to_owned(), "[]".to_owned()),
    ]);

    let mut fleet = remote.open().await;
    let tip = fleet.tip().await.unwrap();
    let mut origins = fleet.origins(Some(start), tip).await.unwrap().unwrap();
    let found = origins.remove(&path(&id(0))).unwrap();
    assert_eq!((found.commit, found.trace.as_deref()), (made[2], Some("trace-3")));
    let seconds = remote.git(&["log", "-1", "--format=%ct", &made[2].to_string()]);
    assert_eq!(found.committed_at.as_second().to_string(), seconds);
    assert_eq!(fleet.commit(made[2]).await.unwrap(), found);
    assert_eq!(origins.remove(&path(&id(1))).unwrap().trace.as_deref(), Some("trace-2"));
    let inventory = Origin { commit: tip, trace: None, ..fleet.commit(tip).await.unwrap() };
    assert_eq!(origins.remove("nodes/inventory.json"), Some(inventory));
    assert_eq!(origins.len(), 0, "neither what is elsewhere nor what was not touched");

    assert_eq!(origin(&mut fleet, made[0], tip, &path(&id(1))).await.unwrap().commit, made[1]);
    assert_eq!(fleet.origins(Some(tip), tip).await.unwrap().unwrap().len(), 0);
    let unknown = "12345678".repeat(5).parse().unwrap();
    for from in [None, Some(unknown), Some(Oid::NULL)] {
        assert_eq!(fleet.origins(from, tip).await.unwrap(), None, "{from:?}");
    }
    assert_eq!(fleet.origins(Some(tip), start).await.unwrap(), None, "backwards");
    let refused = fleet.origins(Some(start), unknown).await.unwrap_err();
    assert!(matches!(refused, Error::UnknownCommit(_)), "{refused:?}");
}

#[tokio::test]
async fn moves_removals_and_merges_have_their_origins() {
    let remote = Remote::new(3);
    let start = remote.tip();
    git(remote.folder(), &["clone", "--quiet", "remote.git", "human"]);
    let copy = remote.folder().join("human");
    let run = |arguments: &[&str]| git(&copy, arguments);
    let edit = |id: &str, from: &str, to: &str| {
        let file = copy.join(path(id));
        fs::write(&file, fs::read_to_string(&file).unwrap().replace(from, to)).unwrap();
    };
    run(&["checkout", "--quiet", "-b", "side"]);
    edit(&id(0), "starter", "pro");
    edit(&id(1), "pt-BR", "en");
    run(&["commit", "--quiet", "--all", "-m", "side\n\nTrace: of the side"]);
    run(&["checkout", "--quiet", "main"]);
    edit(&id(0), "starter", "team");
    run(&["commit", "--quiet", "--all", "-m", "main\n\nTrace: of main"]);
    // Both have changed the first tenant, and the merge says which tier it is.
    assert!(!command(&copy).args(["merge", "--quiet", "side"]).output().unwrap().status.success());
    run(&["checkout", "--theirs", "--", "."]);
    edit(&id(0), "pro", "business");
    run(&["commit", "--quiet", "--all", "-m", "merge\n\nTrace: of the merge"]);
    run(&["mv", &path(&id(2)), "tenants/moved.json"]);
    run(&["commit", "--quiet", "-m", "move\n\nTrace: of the move\nTrace: tenants/x"]);
    run(&["push", "--quiet"]);

    let mut fleet = remote.open().await;
    let tip = fleet.tip().await.unwrap();
    let origins = fleet.origins(Some(start), tip).await.unwrap().unwrap();
    let trace = |path: &str| origins[path].trace.clone().unwrap();
    assert_eq!(trace(&path(&id(0))), "of the merge");
    assert_eq!(trace(&path(&id(1))), "of the side");
    assert_eq!(trace("tenants/moved.json"), "of the move tenants/x");
    assert_eq!(origins[&path(&id(2))], fleet.commit(tip).await.unwrap());
    assert_eq!(origins.len(), 4);
}

#[tokio::test]
async fn the_history_of_a_path_is_newest_first() {
    let remote = Remote::new(1);
    let inventory = "nodes/inventory.json";
    let mut expected = Vec::new();
    for number in 0..5 {
        remote.import(&[(inventory.to_owned(), format!("{number}"))]);
        expected.insert(0, remote.tip());
        remote.import(&[("nodes/inventory.json.bak".to_owned(), format!("{number}"))]);
    }
    let mut fleet = remote.open().await;
    let tip = fleet.tip().await.unwrap();
    assert_eq!(fleet.history(tip, inventory, 100).await.unwrap(), expected);
    assert_eq!(fleet.history(tip, inventory, 2).await.unwrap(), expected[..2]);
    assert_eq!(fleet.history(expected[3], inventory, 100).await.unwrap(), expected[3..]);
    for other in ["nodes/*.json", ":/", "none"] {
        assert_eq!(fleet.history(tip, other, 100).await.unwrap(), [], "{other}");
    }
    let third = fleet.read(expected[2], inventory).await.unwrap();
    assert_eq!(third.as_deref(), Some(&b"2"[..]));
}

#[tokio::test]
async fn a_rewritten_branch_is_followed() {
    let remote = Remote::new(3);
    let mut fleet = remote.open().await;
    apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap();
    let old = fleet.tip().await.unwrap();
    git(remote.folder(), &["clone", "--quiet", "remote.git", "human"]);
    let copy = remote.folder().join("human");
    // Without the last commit; and then without any that was there.
    for orphan in [false, true] {
        if orphan {
            git(&copy, &["checkout", "--quiet", "--orphan", "new"]);
        } else {
            git(&copy, &["reset", "--quiet", "--hard", "HEAD^"]);
        }
        git(&copy, &["rm", "--quiet", "--force", &path(&id(1 + usize::from(orphan)))]);
        git(&copy, &["commit", "--quiet", "-m", "another history"]);
        git(&copy, &["push", "--quiet", "--force", "origin", "HEAD:main"]);
        let tip = fleet.tip().await.unwrap();
        assert_eq!(tip, remote.tip());
        assert_eq!(fleet.files(tip, "tenants").await.unwrap().files, listed(&remote, tip));
        assert_eq!(fleet.origins(Some(old), tip).await.unwrap(), None);
        assert_eq!(fleet.commit(tip).await.unwrap().commit, tip);
    }
    // What was there is known for as long as the clone lives.
    assert_eq!(fleet.files(old, "tenants").await.unwrap().files.len(), 3);
    assert_eq!(fleet.commit(old).await.unwrap().trace.as_deref(), Some("trace-1"));
    drop(fleet);
    fs::remove_dir_all(remote.clone_path()).unwrap();
    let mut fleet = remote.open().await;
    let tip = fleet.tip().await.unwrap();
    assert_eq!(fleet.origins(Some(old), tip).await.unwrap(), None);
    assert_eq!(fleet.files(tip, "tenants").await.unwrap().files.len(), 1);
}

#[tokio::test]
async fn a_clone_that_is_damaged_while_it_is_read_is_made_again() {
    let remote = Remote::new(50);
    let first = remote.tip();
    remote.human("human").edit(&id(0), "pt-BR", "en");
    let mut fleet = remote.open().await;
    let tip = fleet.tip().await.unwrap();
    let files = fleet.files(tip, "tenants").await.unwrap();
    let expected = fleet.blobs(&oids(&files), 4096).await.unwrap();
    for call in 0..4 {
        // Git has the packs open, so the process is started anew.
        drop(fleet);
        fleet = remote.open().await;
        lose_all_but_the_commits(&remote);
        match call {
            0 => assert_eq!(fleet.files(tip, "tenants").await.unwrap(), files),
            1 => assert_eq!(fleet.blobs(&oids(&files), 4096).await.unwrap(), expected),
            2 => assert_eq!(fleet.history(tip, "tenants", 9).await.unwrap(), [tip, first]),
            _ => {
                let origins = fleet.origins(Some(first), tip).await.unwrap().unwrap();
                assert_eq!(origins[&path(&id(0))], fleet.commit(tip).await.unwrap());
            }
        }
    }
}

fn lose_all_but_the_commits(remote: &Remote) {
    let clone = remote.clone_path();
    let commits = git(&clone, &["rev-list", "--all"]);
    let packs: Vec<_> = fs::read_dir(clone.join("objects/pack")).unwrap().collect();
    let names = remote.folder().join("names");
    fs::write(&names, commits).unwrap();
    let mut pack = command(&clone);
    pack.args(["pack-objects", "--quiet", "objects/pack/pack"]).stdout(Stdio::null());
    assert!(pack.stdin(fs::File::open(names).unwrap()).status().unwrap().success());
    for entry in packs {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
}

#[tokio::test]
async fn packs_stay_few_where_nothing_is_ever_pushed() {
    let remote = Remote::new(50);
    let mut fleet = remote.open().await;
    let mut most = 0;
    for number in 0..90 {
        remote.import(&[("README".to_owned(), number.to_string())]);
        let tip = fleet.tip().await.unwrap();
        assert_eq!(fleet.files(tip, "tenants").await.unwrap().files.len(), 50);
        let packs = fs::read_dir(remote.clone_path().join("objects/pack")).unwrap();
        let pack = packs.filter(|it| it.as_ref().unwrap().path().extension().unwrap() == "pack");
        most = most.max(pack.count());
    }
    assert!((10..=33).contains(&most), "{most}");
}

/// Bounds several times what is promised, since tests share the machine with builds.
#[tokio::test]
async fn ten_thousand_files_of_one_commit_are_read_at_once() {
    let remote = Remote::new(1);
    let mut fleet = remote.open().await;
    let start = fleet.tip().await.unwrap();
    let files: Vec<_> = (0..FILES).map(id).map(|id| (path(&id), tenant(&id))).collect();
    remote.import(&files);
    let mut step = Instant::now();
    let mut lap = |name: &str, bound: u64| {
        let took = step.elapsed();
        println!("{name}: {took:?}");
        assert!(took < Duration::from_millis(bound), "{name}: {took:?}");
        step = Instant::now();
    };
    let tip = fleet.tip().await.unwrap();
    lap("fetch", 20_000);
    let files = fleet.files(tip, "tenants").await.unwrap();
    assert_eq!(files.files.len(), FILES);
    lap("files", 1_500);
    assert_eq!(fleet.files(tip, "tenants").await.unwrap(), files);
    lap("files again", 500);
    let blobs = fleet.blobs(&oids(&files), 65_536).await.unwrap();
    assert!(blobs.iter().all(|blob| matches!(blob, Blob::Bytes(bytes) if bytes.len() > 200)));
    lap("blobs", 5_000);
    let origins = fleet.origins(Some(start), tip).await.unwrap().unwrap();
    // The first was there before, and is the same.
    assert_eq!(origins.len(), FILES - 1);
    lap("origins", 3_000);
    assert_eq!(fleet.history(tip, "tenants", 9).await.unwrap().len(), 2);
    lap("history", 1_000);
    apply(&mut fleet, &[hold(1, &id(7))]).await.unwrap();
    let next = fleet.tip().await.unwrap();
    lap("a commit", 10_000);
    assert_eq!(fleet.files(next, "tenants").await.unwrap().files.len(), FILES);
    lap("files of the next", 500);
}
