//! A branch that others push to all the time.

use std::{
    future::ready,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use oc_gitops::{Change, Fleet};
use rand::random_range;
use serde_json::json;

use crate::support::{Remote, apply, change, committed, hold, id, nth};

/// Applies changes as billing does: noting the tip, and again after a transient error. Returns how
/// often there was one.
async fn insist(fleet: &mut Fleet, mut changes: Vec<Change>) -> usize {
    for errors in 0..50 {
        let mut noted = None;
        let outcomes = fleet.apply(&changes, |tip| {
            noted = Some(tip);
            ready(Ok(()))
        });
        match outcomes.await {
            Ok(outcomes) => {
                assert!(outcomes.iter().all(|outcome| !committed(outcome).is_null()));
                return errors;
            }
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
        for change in &mut changes {
            change.attempted = noted;
        }
    }
    panic!("others were faster in 50 calls");
}

/// Two people push nearly all the time while the committer does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobodys_commit_is_lost_among_people_who_push_several_times_a_second() {
    const BATCHES: i64 = 25;
    let remote = Remote::new(20);
    let mut fleet = remote.open().await;
    let humans = [remote.human("ann"), remote.human("ben")];
    let (stop, said, overtaken) =
        (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let mut moved = 0;
    // The committer runs on a thread of its own, which may wait for it.
    let runtime = tokio::runtime::Handle::current();
    thread::scope(|scope| {
        for human in &humans {
            scope.spawn(|| {
                // Not for ever: whoever never pauses is faster than one who fetches first.
                for _ in 0..200 {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let mine = said.fetch_add(1, Ordering::Relaxed);
                    overtaken.fetch_add(human.say(&format!("said {mine}")), Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(random_range(50..300)));
                }
            });
        }
        scope.spawn(|| {
            for batch in 0..BATCHES {
                let changes = (4 * batch..4 * batch + 4).map(|n| hold(n, &nth(n, 20))).collect();
                moved += runtime.block_on(insist(&mut fleet, changes));
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
    remote.assert_once(0..BATCHES * 4);
    let subjects = remote.git(&["log", "--format=%s", "main"]);
    let heard = subjects.lines().filter(|line| line.starts_with("said ")).count();
    assert_eq!(heard, said.load(Ordering::Relaxed));
    let overtaken = overtaken.load(Ordering::Relaxed);
    println!(
        "{heard} commits of people, who were overtaken {overtaken} times; {moved} calls in vain"
    );
    assert!(overtaken > 0, "nobody met");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_a_person_sets_in_the_same_moment_is_not_lost() {
    let remote = Remote::new(1);
    let (mut fleet, human) = (remote.open().await, remote.human("human"));
    for round in 0..6 {
        let (from, to) = [("pt-BR", "en"), ("\"en\"", "\"pt-BR\"")][round % 2];
        let tier = ["pro", "starter"][round % 2];
        let edits = [("/spec/tier", json!(tier))];
        let changes = [change(i64::try_from(round).unwrap(), &id(0), &edits)];
        thread::scope(|scope| {
            let edit = scope.spawn(|| human.edit(&id(0), from, to));
            let handle = tokio::runtime::Handle::current();
            let outcomes =
                tokio::task::block_in_place(|| handle.block_on(apply(&mut fleet, &changes)));
            committed(&outcomes.unwrap()[0]);
            edit.join().unwrap();
        });
        let spec = &remote.json(&id(0))["spec"];
        let locale = ["en", "pt-BR"][round % 2];
        assert_eq!((&spec["tier"], &spec["locale"]), (&json!(tier), &json!(locale)));
    }
    remote.assert_once(0..6);
}
