//! Who ends a group whose test process is gone.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use rustix::process::Signal;

/// What it does. Its standard input is a pipe that only the test process holds, so it is at its end
/// with that process, whatever killed it. `$1` is the process group, `$2` the directory that ends
/// too, if any, `$3` the signal to begin with. The parent-death signal would be no alternative: it
/// tells of the thread that spawned, and setting it takes `unsafe` code.
const SCRIPT: &str = r#"
    trap '' HUP INT TERM
    cat >/dev/null
    kill "-$3" "-$1"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        kill -0 "-$1" || break
        sleep 0.1
    done
    kill -KILL "-$1"
    [ -z "$2" ] || rm -rf -- "$2"
"#;

/// Runs for as long as this value and the group live.
#[derive(Debug)]
pub(super) struct Watchdog(Child);

impl Watchdog {
    /// Watches over the group that `leader` leads, and over the directory that ends with it.
    pub(super) fn start(leader: u32, directory: Option<&Path>, farewell: Signal) -> Result<Self> {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "oc-testkit-watchdog", &leader.to_string()])
            .arg(directory.unwrap_or(Path::new("")))
            .arg(farewell.as_raw().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting the watchdog")?;
        Ok(Self(child))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
