//! The processes below the agent. It is init for all of them: in a pod as PID 1, elsewhere as their
//! subreaper.

use std::{fs, time::Duration};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait};
use tokio::time::sleep;

/// How often what has been killed is looked for.
const PAUSE: Duration = Duration::from_millis(10);
/// How often at most: a process that hangs in the kernel is left to it.
const LOOKS: usize = 500;

/// Collects every process that has ended; how `minded` did, if it is one of them.
pub(crate) fn reap(minded: Option<Pid>) -> Option<WaitStatus> {
    let mut found = None;
    // An error says that there is no process at all.
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if Some(pid) == minded {
            found = Some(status);
        }
    }
    found
}

/// Kills all processes below this one, orphans that turn up on the way included.
pub(super) async fn end_all() {
    for _ in 0..LOOKS {
        let left = children(getpid());
        if left.is_empty() {
            return;
        }
        for pid in left {
            // Refused only where it has just ended.
            let _ = kill_process(pid, Signal::KILL);
        }
        reap(None);
        sleep(PAUSE).await;
    }
}

/// This process and all below it.
pub(crate) fn family() -> Vec<Pid> {
    let mut family = vec![getpid()];
    let mut next = 0;
    while let Some(pid) = family.get(next).copied() {
        family.extend(children(pid));
        next += 1;
    }
    family
}

/// The children of all threads of a process; of one that has ended, none.
fn children(pid: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
    let lists = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let pids = |list: String| -> Vec<Pid> {
        list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
    };
    lists.flat_map(pids).collect()
}
