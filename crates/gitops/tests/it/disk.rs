//! A disk that is full, and then is not. The committer is a process of its own, so that only it
//! meets the limit.

use std::{
    env,
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{self, Command},
};

use oc_gitops::{Change, Error, Fleet};

use crate::support::{Remote, apply, committed, hold, nth, options};

const REMOTE: &str = "OC_TEST_REMOTE";
const DIRECTORY: &str = "OC_TEST_DIRECTORY";
const TENANTS: usize = 2_000;

fn batch() -> Vec<Change> {
    (0..200).map(|number| hold(number, &nth(number, TENANTS))).collect()
}

/// Runs `body` in a process of its own, behind `prefix`.
fn child(remote: &Remote, prefix: &[&str], body: &str) {
    let directory = remote.directory();
    fs::create_dir_all(&directory).unwrap();
    let mut command = Command::new(prefix[0]);
    let test = env::current_exe().unwrap();
    command.args(&prefix[1..]).arg(test).args(["--exact", body, "--ignored", "--nocapture"]);
    command.env(REMOTE, remote.path()).env(DIRECTORY, directory);
    let output = command.output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}\n{stderr}");
}

fn place() -> (PathBuf, String) {
    let name = |name| env::var_os(name).unwrap();
    (name(DIRECTORY).into(), name(REMOTE).into_string().unwrap())
}

async fn open() -> (Fleet, PathBuf) {
    let (directory, remote) = place();
    (Fleet::open(options(&directory, &remote)).await.unwrap(), directory)
}

async fn is_full(fleet: &mut Fleet) {
    let error = apply(fleet, &batch()).await.unwrap_err();
    assert!(matches!(&error, Error::DiskFull(_)) && error.is_transient(), "{error:?}");
}

async fn goes_through(fleet: &mut Fleet) {
    for outcome in apply(fleet, &batch()).await.unwrap() {
        assert!(!committed(&outcome).is_null());
    }
}

/// Takes all the room that there is.
fn fill(directory: &Path) -> PathBuf {
    let filler = directory.join("filler");
    let mut file = File::create(&filler).unwrap();
    for size in [65_536, 4_096, 1] {
        loop {
            match file.write_all(&vec![b'x'; size]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    filler
}

#[test]
fn a_file_that_may_not_grow_is_an_error_until_it_may() {
    let remote = Remote::new(TENANTS);
    child(&remote, &["env"], "disk::clones");
    child(&remote, &["prlimit", "--fsize=20000:unlimited"], "disk::may_not_write");
    remote.assert_once(0..200);
}

#[test]
fn a_full_disk_is_an_error_until_there_is_room() {
    let may_mount =
        ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"];
    if !Command::new(may_mount[0]).args(&may_mount[1..]).status().unwrap().success() {
        println!("no mounts here: a full disk is tested by the limit on a file's size alone");
        return;
    }
    let remote = Remote::new(TENANTS);
    let mount = r#"mount -t tmpfs -o size=4m none "$OC_TEST_DIRECTORY" && exec "$0" "$@""#;
    let prefix = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount];
    child(&remote, &prefix, "disk::has_no_room");
    remote.assert_once(0..200);
}

#[tokio::test]
#[ignore = "run by a_file_that_may_not_grow_is_an_error_until_it_may"]
async fn clones() {
    open().await;
}

#[tokio::test]
#[ignore = "run by a_file_that_may_not_grow_is_an_error_until_it_may"]
async fn may_not_write() {
    let (mut fleet, _) = open().await;
    is_full(&mut fleet).await;
    is_full(&mut fleet).await;
    let pid = process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
    assert!(raised.unwrap().success());
    goes_through(&mut fleet).await;
}

#[tokio::test]
#[ignore = "run by a_full_disk_is_an_error_until_there_is_room"]
async fn has_no_room() {
    let (mut fleet, directory) = open().await;
    let filler = fill(&directory);
    is_full(&mut fleet).await;
    is_full(&mut fleet).await;
    // Nor is there room to begin with.
    drop(fleet);
    fs::remove_dir_all(directory.join("clone.git/objects")).unwrap();
    fill(&directory);
    let (_, remote) = place();
    let error = Fleet::open(options(&directory, &remote)).await.err().unwrap();
    assert!(matches!(&error, Error::DiskFull(_)), "{error:?}");
    fs::remove_file(filler).unwrap();
    goes_through(&mut open().await.0).await;
}
