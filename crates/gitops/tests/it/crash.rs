//! SIGKILL at any moment: every change is made exactly once.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use oc_gitops::{Change, Fleet, Oid, Outcome};
use rand::random_range;
use serde_json::json;

use crate::support::{Remote, committed, hold, nth, options};

const FOLDER: &str = "OC_TEST_FOLDER";
const TENANTS: usize = 12;
const CHANGES: i64 = 300;
const KILLS: usize = 60;

/// What Postgres would hold: for each change the tip it was attempted on and its outcome.
struct Notes(PathBuf);

impl Notes {
    fn read(&self, id: i64, what: &str) -> Option<Oid> {
        fs::read_to_string(self.0.join(format!("{id}.{what}"))).ok()?.parse().ok()
    }

    /// Whole or not at all.
    fn write(&self, id: i64, what: &str, oid: Oid) {
        let temporary = self.0.join("temporary");
        fs::write(&temporary, oid.to_string()).unwrap();
        fs::rename(temporary, self.0.join(format!("{id}.{what}"))).unwrap();
    }

    fn pending(&self) -> Vec<Change> {
        let open = (0..CHANGES).filter(|id| self.read(*id, "done").is_none());
        let change =
            |id| Change { attempted: self.read(id, "attempted"), ..hold(id, &nth(id, TENANTS)) };
        open.take(4).map(change).collect()
    }
}

/// The committer, as billing is one: notes, pushes, notes; from the start after every kill.
#[tokio::test]
#[ignore = "run and killed by a_kill_at_any_moment_makes_every_change_once"]
async fn committer() {
    let folder = PathBuf::from(env::var_os(FOLDER).unwrap());
    let notes = Notes(folder.join("notes"));
    let remote = folder.join("remote.git");
    let options = options(&folder.join("committer"), remote.to_str().unwrap());
    let mut fleet = Fleet::open(options).await.unwrap();
    loop {
        let changes = notes.pending();
        if changes.is_empty() {
            return;
        }
        let outcomes = fleet.apply(&changes, |tip| {
            for change in changes.iter().filter(|change| change.attempted.is_none()) {
                notes.write(change.id, "attempted", tip);
            }
            std::future::ready(Ok(()))
        });
        for (change, outcome) in changes.iter().zip(outcomes.await.unwrap()) {
            notes.write(change.id, "done", committed(&outcome));
        }
    }
}

/// Says that it is over, also when a test fails before.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn start(folder: &Path) -> std::process::Child {
    let arguments: [OsString; 4] =
        ["--exact", "crash::committer", "--ignored", "--nocapture"].map(Into::into);
    Command::new(env::current_exe().unwrap())
        .args(arguments)
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_kill_at_any_moment_makes_every_change_once() {
    let remote = Remote::new(TENANTS);
    let notes = Notes(remote.folder().join("notes"));
    fs::create_dir(&notes.0).unwrap();
    let human = remote.human("human");
    let (stop, mut kills, mut between) = (AtomicBool::new(false), 0, 0);
    let said = thread::scope(|scope| {
        let human = scope.spawn(|| {
            let mut said = 0;
            while !stop.load(Ordering::Relaxed) {
                human.say("hello");
                said += 1;
                thread::sleep(Duration::from_millis(random_range(50..400)));
            }
            said
        });
        let over = Over(&stop);
        loop {
            let mut child = start(remote.folder());
            if kills < KILLS {
                thread::sleep(Duration::from_millis(random_range(20..400)));
                child.kill().unwrap();
            }
            let ended = child.wait().unwrap();
            kills += 1;
            // Killed between its push and its note, with its own children perhaps still at work.
            let pushed = remote.changes();
            between += usize::from(pushed.keys().any(|id| notes.read(*id, "done").is_none()));
            if kills > KILLS {
                assert!(ended.success(), "the last one was not killed: {ended}");
                break;
            }
        }
        drop(over);
        human.join().unwrap()
    });
    println!(
        "{KILLS} kills, {between} of them between push and note; a person pushed {said} times"
    );
    remote.assert_once(0..CHANGES);
    assert!(between > 0, "no kill came between a push and its note");
    let commits: BTreeMap<i64, Oid> =
        (0..CHANGES).map(|id| (id, notes.read(id, "done").unwrap())).collect();
    for (id, commit) in commits {
        let message = remote.git(&["log", "-1", "--format=%B", &commit.to_string()]);
        assert!(message.contains(&format!("Change-Id: {id}\n")), "{message}");
    }
    for last in CHANGES - i64::try_from(TENANTS).unwrap()..CHANGES {
        let reason = &remote.json(&nth(last, TENANTS))["spec"]["hold"]["reason"];
        assert_eq!(*reason, json!(format!("change {last}")));
    }
}

/// The step that no random kill is sure to meet: pushed, not noted, and then a person's edit.
#[tokio::test]
async fn a_person_who_edits_between_a_crash_and_the_restart_has_the_last_word() {
    let remote = Remote::new(1);
    let mut attempted = Vec::new();
    let mut change = hold(1, &nth(0, 1));
    let mut fleet = remote.open().await;
    let outcomes = fleet.apply(std::slice::from_ref(&change), |tip| {
        attempted.push(tip);
        std::future::ready(Ok(()))
    });
    let first = outcomes.await.unwrap();
    drop(fleet);
    remote.human("human").edit(&nth(0, 1), "change 1", "my own");
    // Also the clone is gone: another machine takes over.
    fs::remove_dir_all(remote.directory()).unwrap();
    change.attempted = attempted.last().copied();
    let mut fleet = remote.open().await;
    let outcomes: Vec<Outcome> =
        fleet.apply(&[change], |_| std::future::ready(Ok(()))).await.unwrap();
    assert_eq!(outcomes, first);
    assert_eq!(remote.json(&nth(0, 1))["spec"]["hold"]["reason"], "my own");
}
