//! Each problem is told from the others, and is answered in its time.

use serde_json::{Value, json};

use super::{
    pods::{
        crash_loop, creating, evicted, healthy, killed_for_memory, leaving, not_ready,
        on_a_lost_node, placed, pulling_in_vain, restarted, running, starting, terminated,
        unschedulable, waiting,
    },
    *,
};

/// A pod, and at which times what is said of it; the last column: when it is replaced.
type Case = (fn() -> Value, &'static [(&'static str, &'static str)], Option<&'static str>);

const CASES: &[Case] = &[
    (healthy, &[("12:01:00", ""), ("23:00:00", "")], None),
    (
        starting,
        &[("12:00:06", "Starting"), ("12:06:04", "Starting"), ("12:06:05", "NeverReady")],
        Some("12:13:05"),
    ),
    (not_ready, &[("12:30:00", "NotReady"), ("13:00:00", "NotReady")], Some("12:30:40")),
    (unschedulable, &[("12:00:00", "Unschedulable")], None),
    (pulling_in_vain, &[("12:00:20", "ImageNotPulled")], Some("12:10:02")),
    (creating, &[("12:02:01", "Starting"), ("12:02:02", "VolumeNotMounted")], Some("12:10:02")),
    (crash_loop, &[("12:20:00", "CrashLoop"), ("14:00:00", "CrashLoop")], None),
    (
        killed_for_memory,
        &[("12:20:02", "OutOfMemory"), ("12:29:59", "OutOfMemory")],
        Some("12:33:01"),
    ),
    (
        restarted,
        &[("12:20:00", "Starting"), ("12:25:59", "Starting"), ("12:26:00", "NeverReady")],
        Some("12:33:00"),
    ),
    (on_a_lost_node, &[("12:30:00", "NodeLost"), ("14:00:00", "NodeLost")], None),
    (evicted, &[("12:00:10", "Starting"), ("12:00:30", "NoPod")], None),
];

#[test]
fn each_problem_is_told_from_the_others_and_answered_in_its_time() {
    for (make, said_at, replaced) in CASES {
        let pod = pod(make());
        for (time, expected) in *said_at {
            assert_eq!(reason(&said(&pod, time)), *expected, "{pod:#?} at {time}");
        }
        let (pods, budget) = ([pod], Budget::default());
        let first = first_replacement(&input(&pods, &budget), at("12:00:00"));
        assert_eq!(first, replaced.map(at), "{pods:#?}");
    }
}

#[test]
fn a_replacement_names_the_pod_and_its_identity() {
    let pod = pod(not_ready());
    let Action::ReplacePod { name, uid } = said(&pod, "12:30:40").action else { panic!("{pod:?}") };
    assert_eq!((name, uid), (pod.name, pod.uid));
}

#[test]
fn a_failed_mount_is_a_problem_at_once_and_replaced_after_five_minutes() {
    let (pods, budget) = ([pod(creating())], Budget::default());
    let message = "MountVolume.SetUp failed for volume \"state\" : rpc error";
    let input = Input { failed_mount: Some(message), ..input(&pods, &budget) };
    let said = assess(&input, at("12:00:30"));
    assert_eq!(reason(&said), "VolumeNotMounted");
    assert!(said.problem.unwrap().to_string().contains(message));
    assert_eq!(first_replacement(&input, at("12:00:30")), Some(at("12:05:02")));
}

#[test]
fn an_old_failed_mount_says_nothing_of_a_container_that_runs() {
    let (pods, budget) = ([pod(starting())], Budget::default());
    let input = Input { failed_mount: Some("MountVolume.SetUp failed"), ..input(&pods, &budget) };
    assert_eq!(reason(&assess(&input, at("12:01:00"))), "Starting");
}

#[test]
fn a_refused_pod_is_told_from_one_that_does_not_come() {
    let budget = Budget::default();
    let message = "pods \"openclaw-gateway-7c9d8b6f5-\" is forbidden: exceeded quota: tier-limits";
    let refused = Input { replica_failure: Some(message), ..input(&[], &budget) };
    let said = assess(&refused, at("12:00:01"));
    assert_eq!((reason(&said), said.since), ("PodRefused", Some(at("12:00:00"))));
    let missing = input(&[], &budget);
    let said = assess(&missing, at("12:00:01"));
    assert_eq!((reason(&said), said.recheck_at), ("Starting", Some(at("12:00:30"))));
    assert_eq!(reason(&assess(&missing, at("12:00:30"))), "NoPod");
}

#[test]
fn a_refused_container_is_replaced_like_one_that_is_stuck() {
    let message = "secret \"openclaw-config\" not found";
    let container = json!({"state": waiting("CreateContainerConfigError", message)});
    let pod = pod(placed("Pending", (false, "12:00:02"), &container));
    assert_eq!(reason(&said(&pod, "12:00:03")), "ContainerRefused");
    assert!(replaces(&said(&pod, "12:10:02")) && !replaces(&said(&pod, "12:10:01")));
}

#[test]
fn a_container_that_ends_again_and_again_is_a_crash_loop_while_it_runs_in_between() {
    let container = json!({
        "restartCount": 3, "state": running("12:20:41"), "lastState": terminated("Error", 1, "12:20:00"),
    });
    let pod = pod(placed("Running", (false, "12:20:00"), &container));
    assert_eq!(reason(&said(&pod, "12:20:50")), "CrashLoop");
    let message = said(&pod, "12:20:50").problem.unwrap().to_string();
    assert!(message.contains("exit code 1 after 3 restarts"), "{message}");
}

#[test]
fn a_crash_loop_of_kills_is_out_of_memory() {
    let container = json!({
        "restartCount": 6, "state": waiting("CrashLoopBackOff", "back-off 2m40s"),
        "lastState": terminated("OOMKilled", 137, "12:20:00"),
    });
    let said = said(&pod(placed("Running", (false, "12:20:00"), &container)), "12:20:30");
    assert_eq!(said.problem, Some(Problem::OutOfMemory { restarts: 6 }));
    assert!(!replaces(&said));
}

#[test]
fn a_start_that_is_tried_again_by_the_kubelet_stays_one_that_never_got_ready() {
    // The startup probe killed it after six minutes; the second try began two minutes ago.
    let container = json!({
        "restartCount": 1, "state": running("12:06:36"), "lastState": terminated("Error", 137, "12:06:35"),
    });
    let pod = pod(placed("Running", (false, "12:00:02"), &container));
    assert!(!pod.was_ready);
    assert_eq!(reason(&said(&pod, "12:08:36")), "NeverReady");
}

#[test]
fn a_gateway_that_is_silent_for_a_minute_is_replaced_and_one_that_never_reported_is_not() {
    let (pods, budget) = ([pod(healthy())], Budget::default());
    let silent = |heartbeat| Input { heartbeat, ..input(&pods, &budget) };
    assert!(assess(&silent(None), at("20:00:00")).ready);
    let said = assess(&silent(Some(at("12:10:00"))), at("12:10:59"));
    assert!(said.ready && said.recheck_at == Some(at("12:11:00")));
    let said = assess(&silent(Some(at("12:10:00"))), at("12:11:00"));
    assert!(!said.ready && replaces(&said) && reason(&said) == "Silent");
    // The last word of the pod before it is not held against this one.
    assert!(assess(&silent(Some(at("11:00:00"))), at("12:01:59")).ready);
}

#[test]
fn a_pod_on_its_way_out_is_left_alone_until_its_node_is_known_to_be_lost() {
    let (pods, budget) = ([pod(leaving(not_ready()))], Budget::default());
    let input = input(&pods, &budget);
    assert_eq!(reason(&assess(&input, at("12:36:29"))), "Starting");
    assert_eq!(reason(&assess(&input, at("12:36:30"))), "NodeLost");
    assert_eq!(first_replacement(&input, at("12:00:00")), None);
}

#[test]
fn the_pod_that_counts_is_the_one_that_stays() {
    let pods = [pod(leaving(healthy())), pod(starting()), pod(evicted())];
    let budget = Budget::default();
    assert_eq!(reason(&assess(&input(&pods, &budget), at("12:01:00"))), "Starting");
}

#[test]
fn where_nothing_should_run_nothing_is_wrong() {
    let (pods, budget) = ([pod(not_ready())], Budget::default());
    let said = assess(&Input { expected_since: None, ..input(&pods, &budget) }, at("20:00:00"));
    assert!(said.problem.is_none() && !said.ready && !replaces(&said) && said.recheck_at.is_none());
}

#[test]
fn a_spent_budget_is_said_and_keeps_the_pod() {
    let pods = [pod(not_ready())];
    let mut budget = Budget::default();
    for time in ["11:40:00", "11:45:00", "12:00:00"] {
        budget.take(at(time));
    }
    let said = assess(&input(&pods, &budget), at("12:31:00"));
    assert!(said.budget_spent && !replaces(&said));
    assert_eq!(said.recheck_at, Some(at("12:40:00")));
    let said = assess(&input(&pods, &budget), at("12:40:00"));
    assert!(!said.budget_spent && replaces(&said));
}
