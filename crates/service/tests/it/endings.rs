//! How a process ends, and with which exit code.

use std::time::Duration;

use crate::probe::{Probe, output};

#[test]
fn sigterm_and_sigint_drain_and_exit_0() {
    for signal in ["TERM", "INT"] {
        let mut probe = Probe::ready(&["--takes", "500ms"]);
        probe.signal(signal);
        let (code, took) = probe.wait();
        assert_eq!(code, Some(0));
        assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(5), "{took:?}");
        assert_eq!(probe.logged("ended")["end"], "Some(Drained)");
    }
}

#[test]
fn a_task_that_hangs_is_cut_at_the_grace_and_named() {
    let mut probe = Probe::ready(&["--task", "hang", "--grace", "700ms"]);
    probe.signal("TERM");
    let (code, took) = probe.wait();
    assert_eq!(code, Some(1));
    assert!(took >= Duration::from_millis(600) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(probe.logged("cut off")["tasks"], r#"["probe"]"#);
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut probe = Probe::ready(&["--task", "hang", "--grace", "1h"]);
    probe.signal("TERM");
    probe.wait_for("draining");
    probe.signal("TERM");
    let (code, took) = probe.wait();
    assert_eq!(code, Some(1));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_panic_of_a_task_is_logged_and_ends_the_process() {
    let mut probe = Probe::start(&["--task", "panic"]);
    assert_eq!(probe.wait().0, Some(1));
    let panic = probe.logged("panic");
    assert!(panic["panic"].as_str().unwrap().contains("as the test wants"), "{panic}");
    assert_eq!(panic["spans"][0]["task"], "probe", "the task's span: {panic}");
    assert_eq!(probe.logged("a task failed")["task"], "probe");
}

#[test]
fn an_error_is_logged_with_its_causes() {
    let mut probe = Probe::start(&["--task", "fail"]);
    assert_eq!(probe.wait().0, Some(1));
    assert_eq!(probe.logged("a task failed")["error"], "the failure: the cause");
}

#[test]
fn a_panic_of_run_drains_its_tasks() {
    let mut probe = Probe::start(&["--task", "outlive-run", "--takes", "300ms"]);
    assert_eq!(probe.wait().0, Some(1));
    assert_eq!(probe.logged("a task failed")["task"], "run");
    assert_eq!(probe.logged("ended")["end"], "Some(Drained)");
}

#[test]
fn run_may_end_the_process_itself() {
    let mut probe = Probe::start(&["--task", "end"]);
    assert_eq!(probe.wait().0, Some(0));
}

#[test]
fn a_process_that_cannot_start_exits_1_and_says_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = output(&["--admin-listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(log.contains(&format!("the admin listener on {address}: Address")), "{log}");
}
