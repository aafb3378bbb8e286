//! The processes of one cluster or server, and the certainty that they end.

use std::{
    env,
    fs::{self, OpenOptions},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use self::watchdog::Watchdog;

mod watchdog;

/// Room that etcd's preallocated log, its database and the audit log find on tmpfs, in bytes.
const ROOM: u64 = 1 << 30;

/// Processes of one process group and the directory they write to; both end with this value, but
/// for a directory that is to be kept.
#[derive(Debug)]
pub(crate) struct Group {
    members: Vec<Member>,
    leader: Option<u32>,
    watchdog: Option<Watchdog>,
    directory: Directory,
    user: Option<User>,
    farewell: Signal,
}

/// Where a group writes.
#[derive(Debug)]
enum Directory {
    /// It ends with the group.
    Temporary(TempDir),
    /// The next group goes on with it.
    Kept(PathBuf),
}

impl Directory {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Kept(path) => path,
        }
    }

    /// The one that ends with the group.
    fn temporary(&self) -> Option<&Path> {
        match self {
            Self::Temporary(directory) => Some(directory.path()),
            Self::Kept(_) => None,
        }
    }
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

/// A process, and how it was started.
#[derive(Debug)]
pub(crate) struct Member {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    child: Child,
    log: PathBuf,
}

impl Member {
    fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
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
        if roomy { Self::within(memory) } else { Self::on_disk() }
    }

    /// An empty group with a new directory where temporary files are.
    pub(crate) fn on_disk() -> Result<Self> {
        Self::within(&env::temp_dir())
    }

    fn within(parent: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("oc-testkit-").tempdir_in(parent);
        Ok(Self::writing_to(Directory::Temporary(directory.context("a temporary directory")?)))
    }

    /// An empty group that goes on with what is in `directory`, and leaves it there.
    pub(crate) fn kept(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        Ok(Self::writing_to(Directory::Kept(directory.canonicalize()?)))
    }

    fn writing_to(directory: Directory) -> Self {
        Self {
            members: Vec::new(),
            leader: None,
            watchdog: None,
            directory,
            user: None,
            farewell: Signal::KILL,
        }
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

    /// Starts `program` with its output in `<name>.log`; the first one leads the group, also when
    /// all others have ended.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        program: &Path,
        arguments: &[String],
    ) -> Result<()> {
        let log = self.directory().join(format!("{name}.log"));
        let out = OpenOptions::new().create(true).append(true).open(&log)?;
        // The id of a group stays taken, also when its leader has ended, until all of it has.
        let alive = self.members.iter_mut().any(Member::runs);
        let leader = self.leader.filter(|_| alive);
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
            .process_group(leader.unwrap_or(0).cast_signed())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let pid = child.id();
        let (program, arguments) = (program.to_owned(), arguments.to_owned());
        self.members.push(Member { name, program, arguments, child, log });
        if leader.is_none() {
            self.leader = Some(pid);
            // Before the one of an earlier leader ends.
            self.watchdog = Some(Watchdog::start(pid, self.directory.temporary(), self.farewell)?);
        }
        Ok(())
    }

    /// How the first process ended, once it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.members.first_mut().context("no process")?.child.try_wait()?)
    }

    /// The first process.
    pub(crate) fn first(&self) -> Option<u32> {
        self.members.first().map(|first| first.child.id())
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

    /// Kills one process with SIGKILL, which is no member afterwards; the files stay.
    pub(crate) fn kill_one(&mut self, name: &str) -> Result<Member> {
        let index = self.members.iter().position(|member| member.name == name);
        let mut member =
            self.members.remove(index.with_context(|| format!("{name} does not run"))?);
        member.child.kill()?;
        member.child.wait()?;
        Ok(member)
    }

    /// Starts what was killed as it was started before.
    pub(crate) fn revive(&mut self, killed: &Member) -> Result<()> {
        self.spawn(killed.name, &killed.program, &killed.arguments)
    }

    /// Whether a process of this name is a member.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
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

    /// Asks the processes to end, and gives them a moment.
    fn bid_farewell(&mut self) {
        for member in &mut self.members {
            if let Some(pid) = Pid::from_raw(member.child.id().cast_signed()) {
                let _ = kill_process(pid, self.farewell);
            }
        }
        for _ in 0..200 {
            if self.members.iter_mut().all(|member| !member.runs()) {
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
        if let Some(path) = self.directory.temporary() {
            let _ = fs::remove_dir_all(path);
        }
        drop(self.watchdog.take());
    }
}

/// The last lines of a log file.
fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(25)..).unwrap_or_default().join("\n")
}
