//! The processes of one cluster or server, and the certainty that they end.

use std::{
    fs::{self, File},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Room that etcd's preallocated log, its database and the audit log find on tmpfs, in bytes.
const ROOM: u64 = 1 << 30;

/// Ends a group whose test process is gone: its standard input is a pipe that only the test process
/// holds, so it ends with that process, whatever killed it. `$1` is the process group, `$2` the
/// directory, `$3` the signal to begin with. The parent-death signal would be no alternative: it
/// tells of the thread that spawned, and setting it takes `unsafe` code.
const WATCHDOG: &str = r#"
    trap '' HUP INT TERM
    cat >/dev/null
    kill "-$3" "-$1"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        kill -0 "-$1" || break
        sleep 0.1
    done
    kill -KILL "-$1"
    rm -rf -- "$2"
"#;

/// Processes of one process group and the directory they write to; both end with this value.
#[derive(Debug)]
pub(crate) struct Group {
    members: Vec<Member>,
    watchdog: Option<Child>,
    directory: TempDir,
    user: Option<User>,
    farewell: Signal,
}

/// Whom programs run as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// The first of `names` that this machine knows.
    pub(crate) fn find(names: &[&str]) -> Result<Self> {
        let table = fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
        let find = |name: &&str| {
            let mut rows = table.lines().map(|row| row.split(':').collect::<Vec<_>>());
            rows.find_map(|row| match row[..] {
                [user, _, uid, gid, ..] if user == *name => {
                    Some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
                }
                _ => None,
            })
        };
        names.iter().find_map(find).with_context(|| format!("no user {}", names.join(" or ")))
    }
}

#[derive(Debug)]
struct Member {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// What one process of a cluster has taken from the machine so far.
#[derive(Clone, Debug)]
pub struct Usage {
    /// The program.
    pub name: &'static str,
    /// Its process id.
    pub pid: u32,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
}

impl Group {
    /// An empty group with a new directory, on tmpfs where there is room.
    pub(crate) fn new() -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let roomy = rustix::fs::statvfs(memory).is_ok_and(|fs| fs.f_bavail * fs.f_frsize > ROOM);
        let mut builder = tempfile::Builder::new();
        builder.prefix("oc-testkit-");
        let directory = if roomy { builder.tempdir_in(memory) } else { builder.tempdir() }
            .context("a temporary directory")?;
        let farewell = Signal::KILL;
        Ok(Self { members: Vec::new(), watchdog: None, directory, user: None, farewell })
    }

    /// Gives the directory to `user`, and starts programs as that user.
    pub(crate) fn run_as(mut self, user: User) -> Result<Self> {
        chown(self.directory(), Some(user.uid), Some(user.gid))?;
        self.user = Some(user);
        Ok(self)
    }

    /// Begins the end with `signal`, for programs that leave something behind when they are killed.
    pub(crate) fn farewell(mut self, signal: Signal) -> Self {
        self.farewell = signal;
        self
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts `program` with its output in `<name>.log`; the first one leads the group.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        program: &Path,
        arguments: &[String],
    ) -> Result<()> {
        let log = self.directory().join(format!("{name}.log"));
        let out = File::create(&log)?;
        let leader = self.members.first().map(|member| member.child.id().cast_signed());
        let mut command = Command::new(program);
        if let Some(User { uid, gid }) = self.user {
            command.uid(uid).gid(gid);
        }
        let child = command
            .args(arguments)
            .env_clear() // No proxy, no Go tuning and no settings file of whoever runs the tests.
            .env("HOME", self.directory())
            .current_dir(self.directory())
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out)
            // Not the terminal's: Ctrl-C reaches the test process alone.
            .process_group(leader.unwrap_or(0))
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        self.members.push(Member { name, child, log });
        if leader.is_none() {
            self.watch()?;
        }
        Ok(())
    }

    /// How the process that leads the group ended, once it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let leader = self.members.first_mut().context("no process")?;
        Ok(leader.child.try_wait()?)
    }

    /// The process that leads the group.
    pub(crate) fn leader(&self) -> Option<u32> {
        self.members.first().map(|leader| leader.child.id())
    }

    /// Kills every process with SIGKILL; the files stay.
    pub(crate) fn kill(&mut self) {
        for member in &mut self.members {
            // Refused only where it has ended by itself.
            let _ = member.child.kill();
        }
        for mut member in self.members.drain(..) {
            let _ = member.child.wait();
        }
    }

    /// An error if a process has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        for member in &mut self.members {
            if let Some(status) = member.child.try_wait()? {
                bail!("{} ended ({status})", member.name);
            }
        }
        Ok(())
    }

    /// The last lines of each log.
    pub(crate) fn tails(&self) -> String {
        let tail = |member: &Member| format!("--- {}\n{}\n", member.name, tail(&member.log));
        self.members.iter().map(tail).collect::<Vec<_>>().concat()
    }

    pub(crate) fn usage(&self) -> Result<Vec<Usage>> {
        let usage = |member: &Member| {
            let pid = member.child.id();
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kibibytes: u64 =
                line.and_then(|line| line.split_whitespace().next()).unwrap_or("0").parse()?;
            Ok(Usage { name: member.name, pid, resident_bytes: kibibytes * 1024 })
        };
        self.members.iter().map(usage).collect()
    }

    fn watch(&mut self) -> Result<()> {
        let Some(leader) = self.members.first() else { return Ok(()) };
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "oc-testkit-watchdog", &leader.child.id().to_string()])
            .arg(self.directory())
            .arg(self.farewell.as_raw().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting the watchdog")?;
        // The one of an earlier leader, after a restart.
        end(self.watchdog.replace(watchdog));
        Ok(())
    }

    /// Asks the processes to end, and gives them a moment.
    fn bid_farewell(&mut self) {
        for member in &mut self.members {
            if let Some(pid) = Pid::from_raw(member.child.id().cast_signed()) {
                let _ = kill_process(pid, self.farewell);
            }
        }
        for _ in 0..200 {
            if self.members.iter_mut().all(|member| !matches!(member.child.try_wait(), Ok(None))) {
                return;
            }
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Group {
    /// Also runs when a test panics; there is nobody to report to, and the watchdog stays until all
    /// else is gone.
    fn drop(&mut self) {
        if self.farewell != Signal::KILL {
            self.bid_farewell();
        }
        self.kill();
        let _ = fs::remove_dir_all(self.directory.path());
        end(self.watchdog.take());
    }
}

fn end(watchdog: Option<Child>) {
    if let Some(mut watchdog) = watchdog {
        let _ = watchdog.kill();
        let _ = watchdog.wait();
    }
}

/// The last lines of a log file.
fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(25)..).unwrap_or_default().join("\n")
}
