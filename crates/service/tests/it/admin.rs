//! The admin listener.

use crate::probe::Probe;

#[test]
fn a_draining_process_lives_but_is_not_ready() {
    let mut probe = Probe::ready(&["--task", "hang", "--grace", "1h"]);
    let ready = probe.ask("GET", "/readyz", "");
    assert_eq!((ready.status, ready.body.as_str()), (200, "[]"));
    probe.signal("TERM");
    probe.wait_for("draining");
    let ready = probe.ask("GET", "/readyz", "");
    assert_eq!((ready.status, ready.body.as_str()), (503, r#"["draining"]"#));
    assert_eq!(probe.ask("GET", "/livez", "").status, 200);
}

#[test]
fn metrics_are_open_metrics_text() {
    let probe = Probe::ready(&[]);
    let answer = probe.ask("GET", "/metrics", "");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("application/openmetrics-text; version=1.0.0"), "{answer:?}");
    let (text, end) = answer.body.split_at(answer.body.len() - "# EOF\n".len());
    assert_eq!(end, "# EOF\n");
    for line in text.lines().filter(|line| !line.starts_with("# ")) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("openclaw_") || name.starts_with("process_"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("openclaw_build_info{{service=\"oc-service\",version=\"{version}\"}} 1");
    assert!(text.contains(&build), "{text}");
    assert!(text.contains("openclaw_ready{check=\"probe\"} 1"), "{text}");
}

#[test]
fn the_log_level_changes_while_it_runs() {
    let mut probe = Probe::ready(&[]);
    assert_eq!(probe.ask("PUT", "/log-level", "a=loud").status, 400);
    assert_eq!(probe.ask("PUT", "/log-level", "off\n").status, 204);
    assert_eq!(probe.ask("PUT", "/log-level", "oc_service=info").status, 204);
    probe.wait_for("log level");
    probe.signal("TERM");
    probe.wait();
    let levels = probe.log.iter().filter(|line| line["message"] == "log level");
    assert_eq!(levels.count(), 1, "nothing is logged while it is off: {:?}", probe.log);
}
