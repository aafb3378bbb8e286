//! What a gateway that was killed has left in OpenClaw's database, and the next one would take amiss.
//!
//! - An answer that it had begun to send. OpenClaw cannot know whether it has arrived, and gives it up. The
//!   person who waits for it would rather have it twice than not at all, so it is sent once more: what the
//!   relay had taken by then it has sent, and it counts the repeat.
//! - The start of each gateway that did not end well. After three within five minutes OpenClaw leaves
//!   Telegram alone for five more, which nobody sees but whoever writes in vain. Starting again and again
//!   is our own business, see `backoff.rs`.

use std::{ffi::OsStr, path::Path, process::Command};

use anyhow::{Result, ensure};

/// By Node, which has SQLite built in.
const SCRIPT: &str = r#"
const { DatabaseSync } = require("node:sqlite");
const database = new DatabaseSync(process.argv[1], { timeout: 5000 });
database.exec("begin immediate");
const { changes } = database.prepare(`
    update delivery_queue_entries
    set recovery_state = null,
        platform_send_started_at = null,
        entry_json = json_remove(entry_json, '$.recoveryState', '$.availableAt', '$.producerClaimId',
            '$.platformSendAttemptId', '$.platformSendStartedAt')
    where queue_name = 'outbound-prepared-v1'
        and status = 'pending'
        and recovery_state in ('producer_claimed', 'send_attempt_started')
`).run();
database.exec(`
    delete from gateway_boot_lifecycle where completed_at_ms is null or outcome = 'startup_failed';
    commit
`);
process.stdout.write(String(changes));
"#;

/// Puts it right; gives how many answers will be sent again. Call it while no gateway runs.
pub(super) fn put_right(node: &OsStr, state: &Path) -> Result<u64> {
    let database = state.join("state/openclaw.sqlite");
    if !database.is_file() {
        return Ok(0);
    }
    let done = Command::new(node).args(["--no-warnings", "-e", SCRIPT]).arg(database).output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(String::from_utf8_lossy(&done.stdout).parse()?)
}
