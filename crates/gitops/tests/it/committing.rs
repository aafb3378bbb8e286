//! What becomes of changes on a good day.

use std::{collections::BTreeSet, future::ready, sync::Mutex};

use oc_gitops::{Change, Error, Fleet, Oid, Outcome};
use serde_json::json;

use crate::support::{Remote, apply, change, committed, hold, id, nth, path, tenant};

#[tokio::test]
async fn a_change_is_one_commit_that_tells_its_story() {
    let remote = Remote::new(3);
    let mut fleet = remote.open().await;
    let edits = [("/spec/tier", json!("pro")), ("/spec/state", json!("suspended"))];
    let change =
        Change { reason: "tier pro, state suspended".to_owned(), ..change(42, &id(1), &edits) };
    let before = remote.tip();
    let outcomes = apply(&mut fleet, &[change]).await.unwrap();
    assert_eq!(outcomes, [Outcome::Committed(remote.tip())]);
    assert_eq!(remote.git(&["rev-parse", "main^"]), before.to_string());
    assert_eq!(
        remote.git(&["log", "-1", "--format=%an <%ae>|%cn <%ce>%n%B", "main"]).trim_end(),
        format!(
            "Billing <billing@example.org>|Billing <billing@example.org>\n\
             {}: tier pro, state suspended\n\n\
             /spec/state: \"active\" -> \"suspended\"\n\
             /spec/tier: \"starter\" -> \"pro\"\n\n\
             Change-Id: 42\nEvent: evt_42\nTrace: trace-42",
            id(1),
        ),
    );
    assert_eq!(remote.git(&["diff", "--name-only", "main^", "main"]), path(&id(1)));
    // The order of a person's keys, and every other line.
    let expected = tenant(&id(1)).replace("\"starter\"", "\"pro\"");
    assert_eq!(remote.file(&id(1)), expected.replace("\"active\"", "\"suspended\""));
}

#[tokio::test]
async fn a_change_of_nothing_makes_no_commit_and_is_not_pushed() {
    let remote = Remote::new(1);
    let mut fleet = remote.open().await;
    let before = remote.tip();
    let same = [
        ("/spec/tier", json!("starter")),
        ("/spec/hold", json!(null)),
        ("/metadata", json!({ "name": id(0) })),
    ];
    let outcomes = fleet
        .apply(&[change(1, &id(0), &same)], |_| ready(Err("nothing is to be pushed".into())))
        .await;
    assert_eq!(outcomes.unwrap(), [Outcome::Unchanged]);
    assert_eq!(remote.tip(), before);
    assert_eq!(apply(&mut fleet, &[]).await.unwrap(), []);
}

#[tokio::test]
async fn changes_of_one_tenant_see_each_other() {
    let remote = Remote::new(1);
    let mut fleet = remote.open().await;
    let state = |id, state| change(id, &self::id(0), &[("/spec/state", json!(state))]);
    let changes =
        [state(1, "suspended"), state(2, "suspended"), hold(3, &id(0)), state(4, "active")];
    let outcomes = apply(&mut fleet, &changes).await.unwrap();
    assert_eq!(outcomes[1], Outcome::Unchanged);
    let made: BTreeSet<Oid> = [0, 2, 3].map(|index| committed(&outcomes[index])).into();
    assert_eq!(made.len(), 3);
    assert_eq!(committed(&outcomes[3]), remote.tip());
    remote.assert_once([1, 3, 4].into_iter());
    let spec = &remote.json(&id(0))["spec"];
    assert_eq!((&spec["state"], &spec["hold"]["reason"]), (&json!("active"), &json!("change 3")));
}

#[tokio::test]
async fn one_invalid_change_keeps_none_of_199_good_ones_back() {
    let remote = Remote::new(200);
    let mut fleet = remote.open().await;
    let mut changes: Vec<Change> = (0..200).map(|n| hold(n, &nth(n, 200))).collect();
    changes[77] = change(77, &id(77), &[("/spec/tier", json!("platinum")), ("/spec/x", json!(1))]);
    let outcomes = apply(&mut fleet, &changes).await.unwrap();
    let Outcome::Invalid(why) = &outcomes[77] else { panic!("{:?}", outcomes[77]) };
    assert!(why.contains("platinum") && why.contains("/spec/x"), "every error at once: {why}");
    assert_eq!(outcomes.iter().filter(|it| matches!(it, Outcome::Committed(_))).count(), 199);
    remote.assert_once((0..200).filter(|id| *id != 77));
    assert_eq!(remote.file(&id(77)), tenant(&id(77)));
}

#[tokio::test]
async fn somebody_elses_edit_of_another_field_meanwhile_is_kept() {
    let remote = Remote::new(1);
    let (mut fleet, human) = (remote.open().await, remote.human("human"));
    let mut tips = Vec::new();
    let changes = [change(1, &id(0), &[("/spec/tier", json!("pro"))])];
    let outcomes = fleet.apply(&changes, |tip| {
        tips.push(tip);
        if tips.len() == 1 {
            human.edit(&id(0), "pt-BR", "en");
        }
        ready(Ok(()))
    });
    let outcomes = outcomes.await.unwrap();
    assert_eq!(committed(&outcomes[0]), remote.tip());
    assert_eq!(tips.len(), 2, "the second push is on the new tip");
    assert_eq!(remote.git(&["rev-parse", "main^"]), tips[1].to_string());
    let expected = tenant(&id(0)).replace("\"starter\"", "\"pro\"").replace("pt-BR", "en");
    assert_eq!(remote.file(&id(0)), expected);
    remote.assert_once([1].into_iter());
}

#[tokio::test]
async fn what_was_pushed_by_one_who_died_is_not_done_again_over_a_later_edit() {
    let remote = Remote::new(2);
    let (mut fleet, human) = (remote.open().await, remote.human("human"));
    let mut attempted = None;
    let mut changes = vec![change(1, &id(0), &[("/spec/tier", json!("pro"))])];
    let outcomes = fleet.apply(&changes, |tip| {
        attempted = Some(tip);
        ready(Ok(()))
    });
    let first = committed(&outcomes.await.unwrap()[0]);
    // The outcome is lost; a person changes the tier; then the change comes again with another.
    human.edit(&id(0), "\"pro\"", "\"team\"");
    changes[0].attempted = attempted;
    changes.push(hold(2, &id(1)));
    let outcomes = apply(&mut fleet, &changes).await.unwrap();
    assert_eq!(committed(&outcomes[0]), first);
    assert_eq!(remote.json(&id(0))["spec"]["tier"], "team");
    remote.assert_once([1, 2].into_iter());
    // The same in a clone that has never seen that tip's name, and on a branch that has lost it.
    changes[0].attempted = Some("0123456789012345678901234567890123456789".parse().unwrap());
    let outcomes = apply(&mut fleet, &changes).await.unwrap();
    assert_eq!((committed(&outcomes[0]), &outcomes[1]), (first, &Outcome::Unchanged));
    // Without the note it would have been.
    changes[0].attempted = None;
    apply(&mut fleet, &changes).await.unwrap();
    assert_eq!(remote.json(&id(0))["spec"]["tier"], "pro");
}

#[tokio::test]
async fn an_attempt_that_cannot_be_noted_pushes_nothing() {
    let remote = Remote::new(1);
    let mut fleet = remote.open().await;
    let before = remote.tip();
    let error = fleet.apply(&[hold(1, &id(0))], |_| ready(Err("Postgres is away".into()))).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::BeforePush(_)) && error.is_transient(), "{error:?}");
    assert_eq!(remote.tip(), before);
    apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap();
    remote.assert_once([1].into_iter());
}

#[tokio::test]
async fn an_empty_remote_gets_its_first_branch() {
    let remote = Remote::empty();
    let mut fleet = remote.open().await;
    assert!(fleet.tip().await.unwrap().is_null());
    let create = serde_json::from_str(&tenant(&id(0))).unwrap();
    let first = Change { create: Some(create), ..change(1, &id(0), &[]) };
    let mut noted = None;
    let changes = [first, hold(2, &id(0)), hold(3, &id(1))];
    let outcomes = fleet.apply(&changes, |tip| {
        noted = Some(tip);
        ready(Ok(()))
    });
    let outcomes = outcomes.await.unwrap();
    assert_eq!(noted, Some(Oid::NULL));
    assert_eq!(committed(&outcomes[1]), remote.tip());
    assert!(matches!(outcomes[2], Outcome::Invalid(_)));
    // Also this one is found again.
    let again: Vec<Change> =
        changes.into_iter().map(|change| Change { attempted: noted, ..change }).collect();
    assert_eq!(apply(&mut fleet, &again).await.unwrap(), outcomes);
    remote.assert_once([1, 2].into_iter());
}

#[tokio::test]
async fn no_branch_is_made_beside_others_or_in_place_of_one_that_was_there() {
    let remote = Remote::new(1);
    let misnamed = oc_gitops::Options { branch: "mian".to_owned(), ..remote.options() };
    let error = Fleet::open(misnamed).await.err().unwrap();
    assert!(matches!(&error, Error::NoBranch(branch) if branch == "mian"), "{error:?}");
    let mut fleet = remote.open().await;
    remote.git(&["update-ref", "-d", "refs/heads/main"]);
    let error = apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap_err();
    assert!(matches!(error, Error::NoBranch(_)) && !error.is_transient(), "{error:?}");
    assert_eq!(remote.git(&["for-each-ref"]), "");
}

#[tokio::test]
async fn a_story_is_found_by_its_event_or_trace() {
    let remote = Remote::new(2);
    let mut fleet = remote.open().await;
    let told = |number| Change { trace: "t-1".to_owned(), ..hold(number, &id(0)) };
    let other = Change { trace: "t-11".to_owned(), event: None, ..hold(3, &id(1)) };
    let outcomes = apply(&mut fleet, &[told(1), told(2), other]).await.unwrap();
    let found = fleet.trace("t-1").await.unwrap();
    let oids: Vec<Oid> = found.iter().map(|commit| commit.oid).collect();
    assert_eq!(oids, [committed(&outcomes[1]), committed(&outcomes[0])]);
    assert_eq!(found[0].subject, "c-00000000: a test");
    assert_eq!((found[0].change, found[0].event.as_deref()), (Some(2), Some("evt_2")));
    assert_eq!(fleet.trace("evt_1").await.unwrap(), [found[1].clone()]);
    assert_eq!(fleet.trace("t-11").await.unwrap()[0].event, None);
    // A part of a word, an option, the subject: no trailer is that.
    for needle in ["t-", "--all", "a test", ""] {
        assert_eq!(fleet.trace(needle).await.unwrap(), [], "{needle:?}");
    }
}

#[tokio::test]
async fn a_call_can_be_a_task() {
    fn task<T: Send>(future: T) -> T {
        future
    }
    let remote = Remote::new(1);
    let mut fleet = remote.open().await;
    let (noted, changes) = (&Mutex::new(Vec::new()), &[hold(1, &id(0))]);
    let outcomes = task(fleet.apply(changes, |tip| async move {
        tokio::task::yield_now().await;
        noted.lock().unwrap().push((tip, changes[0].id));
        Ok(())
    }));
    assert_eq!(outcomes.await.unwrap().len(), 1);
    assert_eq!(noted.lock().unwrap().len(), 1);
    task(fleet.trace("x")).await.unwrap();
}
