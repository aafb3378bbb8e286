//! Answers that a gateway had begun to send when it was killed.
//!
//! OpenClaw cannot know whether such an answer has arrived, and gives it up. The person who waits for it
//! would rather have it twice than not at all, so it is sent once more. What the relay had taken by then
//! it has sent, and it counts the repeat.

use std::{ffi::OsStr, path::Path, process::Command};

use anyhow::{Result, ensure};

/// Makes entries of OpenClaw's queue what they were before anybody took them on: whoever did is dead.
const SCRIPT: &str = r#"
const { DatabaseSync } = require("node:sqlite");
const database = new DatabaseSync(process.argv[1], { timeout: 5000 });
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
process.stdout.write(String(changes));
"#;

/// Has the next gateway send them; gives how many there are. Call it while no gateway runs.
pub(super) fn send_again(node: &OsStr, state: &Path) -> Result<u64> {
    let database = state.join("state/openclaw.sqlite");
    if !database.is_file() {
        return Ok(0);
    }
    let done = Command::new(node).args(["--no-warnings", "-e", SCRIPT]).arg(database).output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(String::from_utf8_lossy(&done.stdout).parse()?)
}
