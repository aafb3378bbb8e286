//! What a gateway that was killed has left in OpenClaw's databases, and the next one would take amiss.
//!
//! - An answer that it had begun to send. OpenClaw cannot know whether it has arrived, and gives it up. The
//!   person who waits for it would rather have it twice than not at all, so it is sent once more: what the
//!   relay had taken by then it has sent, and it counts the repeat.
//! - An answer that it had in hand and not yet begun to send. The conversation does not say that it runs, so
//!   OpenClaw would not look at it. Now the model is asked once more, and told what it had said.
//! - The start of each gateway that did not end well. After three within five minutes OpenClaw leaves
//!   Telegram alone for five more, which nobody sees but whoever writes in vain. Starting again and again
//!   is our own business, see `backoff.rs`.

use std::{ffi::OsStr, path::Path, process::Command};

use anyhow::{Result, ensure};

/// Run by Node, which has a driver built in.
const SCRIPT: &str = include_str!("leftovers.mjs");

/// Puts it right; gives how many answers and turns the next gateway takes up again. Call it while no
/// gateway runs.
pub(super) fn put_right(node: &OsStr, state: &Path) -> Result<u64> {
    if !state.join("state").is_dir() {
        return Ok(0);
    }
    let mut script = Command::new(node);
    script.args(["--no-warnings", "--input-type=module", "--eval", SCRIPT, "--"]).arg(state);
    let done = script.output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(String::from_utf8_lossy(&done.stdout).parse()?)
}
