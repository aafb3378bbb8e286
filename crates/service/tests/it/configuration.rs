//! The command line, its help, and what of it is logged.

use std::fs;

use crate::probe::{Probe, SECRET, command, output};

#[test]
fn wrong_use_exits_2() {
    for wrong in [&["--nothing"][..], &["--grace", "soon"], &["--database-url-file", "/a"]] {
        assert_eq!(output(wrong).status.code(), Some(2), "{wrong:?}");
    }
    let nothing = command(&[]).env_remove("DATABASE_URL").output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("--database-url-file <FILE>"));
}

#[test]
fn a_secret_is_neither_in_the_help_nor_in_the_log() {
    let help = output(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("[env: DATABASE_URL]") && !help.contains(SECRET), "{help}");

    let mut probe = Probe::ready(&["--log", "trace"]);
    probe.signal("TERM");
    probe.wait();
    let starting = probe.logged("starting");
    assert!(starting["config"].as_str().unwrap().contains("grace: 25s"), "{starting}");
    assert_eq!(starting["service.name"], "oc-service");
    assert!(probe.log.iter().all(|line| !line.to_string().contains(SECRET)));
}

#[test]
fn a_mounted_secret_that_is_missing_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("database-url");
    let run = || {
        let mut command = command(&["--task", "end"]);
        command.env_remove("DATABASE_URL").env("DATABASE_URL_FILE", &file).output().unwrap()
    };
    let missing = run();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8(missing.stdout).unwrap().contains("DATABASE_URL_FILE: reading"));
    fs::write(&file, "postgres://x\n").unwrap();
    assert_eq!(run().status.code(), Some(0));
}
