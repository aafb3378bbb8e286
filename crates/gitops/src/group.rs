//! A git process and all that it started, which end together.

use std::{io, process::ExitStatus, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, copy, sink},
    process::{Child, Command},
    time::timeout,
};

/// How much of what git complains about is kept, in bytes.
const STDERR_BYTES: u64 = 16 * 1024;

/// A process that leads a group of its own. The group is killed when this is dropped before the
/// process has ended, so a call that is given up leaves nothing behind.
pub(crate) struct Group {
    pub child: Child,
    leader: Option<Pid>,
}

/// What a process left behind.
pub(crate) struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Group {
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self { child, leader })
    }

    /// Gives `input` to the process and waits for its end and for the end of its output, or kills
    /// the group once `limit` has passed: then there is nothing.
    pub(crate) async fn finish(
        mut self,
        input: &[u8],
        limit: Duration,
    ) -> io::Result<Option<Finished>> {
        let finished = timeout(limit, self.talk(input)).await;
        if finished.is_err() {
            self.kill().await;
        }
        finished.ok().transpose()
    }

    async fn talk(&mut self, input: &[u8]) -> io::Result<Finished> {
        let stdin = self.child.stdin.take();
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let write = async {
            // Who ends early does not read on; the exit status says why.
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(input).await;
            }
        };
        let ((), stdout, stderr) =
            tokio::join!(write, read(stdout, u64::MAX), read(stderr, STDERR_BYTES));
        // Only now: a leader that was not waited for keeps its id, so a kill hits nobody else.
        let status = self.child.wait().await?;
        self.leader = None;
        Ok(Finished { status, stdout: stdout?, stderr: stderr? })
    }

    pub(crate) async fn kill(&mut self) {
        self.signal();
        let _ = timeout(Duration::from_secs(5), self.child.wait()).await;
        self.leader = None;
    }

    fn signal(&self) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal();
    }
}

/// Reads to the end and keeps the first `keep` bytes.
async fn read(from: Option<impl AsyncRead + Unpin>, keep: u64) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut from) = from {
        (&mut from).take(keep).read_to_end(&mut kept).await?;
        copy(&mut from, &mut sink()).await?;
    }
    Ok(kept)
}
