//! A private Postgres.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tokio::{process::Command, sync::OnceCell};

use crate::{
    port::ReservedPort,
    process::{Group, User},
    wait_for,
};

/// How long starting and recovering may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The folder on Debian, which keeps the server's programs off `PATH`, one folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Wanted in one folder: on Debian another `psql`, a script that looks for clusters, is on `PATH`.
const PROGRAMS: [&str; 4] = ["initdb", "postgres", "pg_isready", "psql"];

/// A running Postgres of this machine's own version, on loopback, without a password.
///
/// It does not wait for the disk, so a crash of the machine would lose data; a crash of the server
/// does not. Dropping it ends it and removes its data, unless they are kept; so does the end of this
/// process.
#[derive(Debug)]
pub struct Postgres {
    group: Group,
    port: ReservedPort,
    programs: PathBuf,
    pid: u32,
    databases: AtomicU32,
}

impl Postgres {
    /// Makes a new database cluster, starts a server on it and waits until it answers.
    pub async fn start() -> Result<Self> {
        Self::start_with(Group::new()?).await
    }

    /// Starts a server on the data in `directory`, which stay there; makes them first if there are
    /// none.
    pub async fn start_in(directory: &Path) -> Result<Self> {
        Self::start_with(Group::kept(directory)?).await
    }

    async fn start_with(group: Group) -> Result<Self> {
        let programs = programs(&env::var_os("PATH").unwrap_or_default(), Path::new(DEBIAN))?;
        // An immediate shutdown: killed, Postgres leaves a segment of shared memory behind.
        let mut group = group.farewell(Signal::QUIT);
        if geteuid().is_root() {
            // Postgres refuses to be root.
            group = group.run_as(User::find(&["postgres", "nobody"])?)?;
        }
        let port = ReservedPort::new()?;
        let mut server = Self { group, port, programs, pid: 0, databases: AtomicU32::new(0) };
        let data = server.group.directory().join("data");
        if !data.join("PG_VERSION").exists() {
            server.initialise().await?;
        }
        // Left by a server that was killed with this process; ours is the only one on these data.
        let _ = fs::remove_file(data.join("postmaster.pid"));
        server.restart().await?;
        Ok(server)
    }

    /// The one server that the tests of this process share.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// The database `postgres`, with every right: `postgres://postgres@127.0.0.1:<port>/postgres`.
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// Makes an empty database of its own for a test, and gives its URL.
    pub async fn create_database(&self) -> Result<String> {
        self.named_database(&format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed)))
            .await
    }

    /// The database of this name, made if there is none, and its URL.
    pub async fn named_database(&self, name: &str) -> Result<String> {
        let known = format!("select 1 from pg_database where datname = '{name}'");
        if self.execute(&self.url(), &known).await?.is_empty() {
            // Not template1, to which somebody may be connected.
            let create = format!("create database {name} template template0");
            self.execute(&self.url(), &create).await?;
        }
        Ok(self.database_url(name))
    }

    /// Executes statements by `psql` on the database at `url`, and gives what the last one returns:
    /// a row a line, columns separated by `|`.
    pub async fn execute(&self, url: &str, statements: &str) -> Result<String> {
        let output = Command::new(self.programs.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--dbname", url, "--command", statements])
            .output()
            .await
            .context("starting psql")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// The process id of the server that runs, or that ran last.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills the server and the processes of its sessions with SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid))?;
        self.group.kill();
        for child in children.split_whitespace() {
            // They notice by themselves as well, unless they are busy.
            let _ = Pid::from_raw(child.parse()?).map(|child| kill_process(child, Signal::KILL));
        }
        // Until the last of them is gone, the memory that they share keeps a new server from
        // starting.
        for _ in 0..200 {
            if children.split_whitespace().all(has_ended) {
                break;
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Starts the server again on the same data and port, after [`Self::kill`].
    pub async fn restart(&mut self) -> Result<()> {
        let arguments = [
            ["-D".to_owned(), self.data()],
            ["-h".to_owned(), self.port.address.ip().to_string()],
            ["-p".to_owned(), self.port.address.port().to_string()],
            ["-k".to_owned(), String::new()],
            ["-c".to_owned(), "fsync=off".to_owned()],
            ["-c".to_owned(), "max_connections=300".to_owned()],
            // In the directory, where else a killed server would leave files on tmpfs.
            ["-c".to_owned(), "dynamic_shared_memory_type=mmap".to_owned()],
        ];
        self.group.spawn("postgres", &self.programs.join("postgres"), arguments.as_flattened())?;
        self.pid = self.group.first().context("no process")?;
        let ready = Command::new(self.programs.join("pg_isready"));
        let answers = self.answers(ready).await;
        answers.map_err(|error| anyhow!("{error:#}\n{}", self.group.tails()))
    }

    async fn answers(&mut self, mut ready: Command) -> Result<()> {
        ready.args(["--quiet", "--dbname", &self.url()]);
        wait_for(PATIENCE, "Postgres to be ready", async || {
            self.group.check()?;
            Ok(ready.status().await?.success().then_some(()))
        })
        .await
    }

    /// As a member of the group, so that it too ends with this process.
    async fn initialise(&mut self) -> Result<()> {
        let arguments = ["-D", &self.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8"];
        let more = ["--locale=C", "--no-sync", "--no-instructions"];
        let arguments = [&arguments[..], &more].concat().into_iter().map(str::to_owned);
        let program = self.programs.join("initdb");
        self.group.spawn("initdb", &program, &arguments.collect::<Vec<_>>())?;
        let status = wait_for(PATIENCE, "initdb to end", async || self.group.ended()).await?;
        ensure!(status.success(), "initdb ended ({status})\n{}", self.group.tails());
        self.group.kill();
        Ok(())
    }

    fn data(&self) -> String {
        self.group.directory().join("data").display().to_string()
    }

    fn database_url(&self, name: &str) -> String {
        format!("postgres://postgres@{}/{name}", self.port.address)
    }
}

/// Whether a process is gone, or only its parent has not taken note yet.
fn has_ended(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which may hold anything.
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// The folder of Postgres' programs: the first one on `search`, or else the newest in `debian`.
fn programs(search: &OsStr, debian: &Path) -> Result<PathBuf> {
    let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let mut versions: Vec<PathBuf> = fs::read_dir(debian)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    versions.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    env::split_paths(search)
        .chain(versions.into_iter().map(|folder| folder.join("bin")))
        .find(|folder| PROGRAMS.iter().all(|program| folder.join(program).is_file()))
        .with_context(|| {
            format!(
                "{} are not in one folder of PATH or of {}: install Debian's package postgresql",
                PROGRAMS.join(", "),
                debian.display()
            )
        })
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, fs};

    use super::{PROGRAMS, programs};

    #[test]
    fn a_missing_postgres_names_the_package_and_the_newest_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let error = programs(OsStr::new(""), folder.path()).unwrap_err();
        assert!(error.to_string().contains("Debian's package postgresql"), "{error}");
        for version in ["9", "15", "common"] {
            let bin = folder.path().join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            for program in PROGRAMS {
                fs::write(bin.join(program), "").unwrap();
            }
        }
        let found = programs(OsStr::new(""), folder.path()).unwrap();
        assert_eq!(found, folder.path().join("15/bin"));
    }
}
