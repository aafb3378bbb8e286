//! Our clone: a cache of the remote, laid out, cleaned and thrown away by nobody but us.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{FlockOperation, flock};
use tokio::task::spawn_blocking;

use crate::{
    command::{Answer, Git},
    error::Error,
    oid::Oid,
    options::{Limits, Options},
};

/// The remote's branch as last fetched.
pub(crate) const TIP: &str = "refs/openclaw/tip";

/// Keeps commits from being packed away before they are pushed. Nobody reads it.
pub(crate) const NEXT: &str = "refs/openclaw/next";

/// More packs than this are put together; each batch leaves one or two.
const MAX_PACKS: usize = 32;

/// Git wants one. Nobody reads it.
const HEAD: &str = "ref: refs/openclaw/tip\n";

/// No surprise in the background, no loose objects, and no waiting for the disk: what a power cut
/// takes from a cache is fetched again.
const CONFIG: &str = "\
[core]
\trepositoryFormatVersion = 0
\tbare = true
\tfsync = none
\thooksPath = /dev/null
[fastimport]
\tunpackLimit = 1
[fetch]
\trecurseSubmodules = no
\tunpackLimit = 1
[gc]
\tauto = 0
[http]
\tfollowRedirects = false
\tlowSpeedLimit = 1
\tlowSpeedTime = 60
[maintenance]
\tauto = false
";

/// A bare clone that is locked for as long as this lives.
pub(crate) struct Repository {
    pub git: Git,
    pub remote: String,
    pub branch: String,
    pub limits: Limits,
    path: Arc<Path>,
    _lock: Lock,
}

/// A lock on a folder, which ends with this and not with a process that was forked meanwhile.
struct Lock(File);

impl Repository {
    /// Locks the folder and makes the clone usable, without asking the remote.
    pub(crate) async fn open(options: &Options) -> Result<Self, Error> {
        options.validate()?;
        let directory = options.directory.clone();
        let lock = blocking(&options.directory, move || lock(&directory)).await?;
        let path: PathBuf = options.directory.join("clone.git");
        let repository = Self {
            git: Git::new(options, &path),
            remote: options.remote.clone(),
            branch: options.branch.clone(),
            limits: options.limits,
            path: path.into(),
            _lock: lock.ok_or_else(|| Error::Locked(options.directory.clone()))?,
        };
        if repository.clean().await.is_err() {
            // Something else lies where a folder of ours belongs.
            repository.begin_again().await?;
        }
        let branch = format!("refs/heads/{}", repository.branch);
        if repository
            .git
            .local(&["check-ref-format", &branch], &[], repository.limits.fetch)
            .await
            .is_err()
        {
            return Err(Error::Options(format!("{:?} is no branch", repository.branch)));
        }
        Ok(repository)
    }

    /// Removes what a killed git left and puts what git needs in its place; says whether one of its
    /// locks was in the way.
    pub(crate) async fn clean(&self) -> Result<bool, Error> {
        let path = Arc::clone(&self.path);
        blocking(&self.path, move || clean(&path)).await
    }

    /// Throws the clone away and begins with an empty one.
    pub(crate) async fn begin_again(&self) -> Result<(), Error> {
        let path = Arc::clone(&self.path);
        blocking(&self.path, move || {
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() == ErrorKind::NotADirectory => fs::remove_file(&path),
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }?;
            clean(&path).map(drop)
        })
        .await
    }

    /// Whether something was fetched, and all that its last commit consists of is there.
    ///
    /// Older history is not looked at: what is wrong with it is noticed when it is read.
    pub(crate) async fn is_whole(&self) -> bool {
        let arguments = ["rev-list", "--objects", "--quiet", "--max-count=1", TIP, "--"];
        self.has_tip() && self.git.local(&arguments, &[], self.limits.clone).await.is_ok()
    }

    /// Whether something was ever fetched.
    pub(crate) fn has_tip(&self) -> bool {
        self.path.join(TIP).exists()
    }

    /// Fetches the branch; false where the remote is empty.
    pub(crate) async fn fetch(&self) -> Result<bool, Error> {
        let limit = if self.has_tip() { self.limits.fetch } else { self.limits.clone };
        let refspec = format!("+refs/heads/{}:{TIP}", self.branch);
        let arguments = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--",
            &self.remote,
            &refspec,
        ];
        let Answer { status, stderr, .. } = self.git.remote(&arguments, limit).await?;
        if status.success() {
            return Ok(true);
        }
        if !stderr.contains("couldn't find remote ref") {
            return Err(Error::remote("fetch", status, stderr));
        }
        if self.has_tip() || !self.is_remote_empty().await? {
            return Err(Error::NoBranch(self.branch.clone()));
        }
        Ok(false)
    }

    async fn is_remote_empty(&self) -> Result<bool, Error> {
        let arguments = ["ls-remote", "--heads", "--", &self.remote];
        let Answer { status, stdout, stderr } =
            self.git.remote(&arguments, self.limits.fetch).await?;
        if !status.success() {
            return Err(Error::remote("ls-remote", status, stderr));
        }
        Ok(stdout.is_empty())
    }

    /// Puts small packs together where they are many; says whether it did.
    ///
    /// Geometrically: the cost follows what was added, not what is there, so a batch never waits
    /// for the whole history to be packed.
    pub(crate) async fn repack(&self) -> Result<bool, Error> {
        let packs = self.path.join("objects/pack");
        let count = blocking(&self.path, move || {
            let mut count = 0;
            for entry in fs::read_dir(packs)? {
                count += usize::from(entry?.path().extension().is_some_and(|it| it == "pack"));
            }
            Ok(count)
        });
        if count.await? <= MAX_PACKS {
            return Ok(false);
        }
        let arguments = ["repack", "--geometric=2", "-d", "--quiet"];
        self.git.local(&arguments, &[], self.limits.clone).await?;
        Ok(true)
    }

    /// The name of a commit's place on the remote, for a push.
    pub(crate) fn refspec(&self, commit: Oid) -> String {
        format!("{commit}:refs/heads/{}", self.branch)
    }
}

/// Runs what works on files where it holds up nobody.
async fn blocking<T: Send + 'static>(
    folder: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = spawn_blocking(work).await.map_err(io::Error::other);
    done.flatten().map_err(Error::io(format!("the clone in {}", folder.display())))
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

fn lock(directory: &Path) -> io::Result<Option<Lock>> {
    fs::create_dir_all(directory)?;
    let lock = File::create(directory.join("lock"))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Lock(lock))),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Leaves objects and [`TIP`], and writes the rest anew: it is so little that it need not be
/// looked at.
fn clean(clone: &Path) -> io::Result<bool> {
    let packs = clone.join("objects/pack");
    fs::create_dir_all(&packs)?;
    let tip = clone.join(TIP);
    fs::create_dir_all(tip.parent().unwrap_or(clone))?;
    let mut locked = false;
    let mut sweep = |folder: &Path, keep: fn(&str) -> bool| {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !keep(&name) {
                locked |= name.ends_with(".lock");
                remove(&entry)?;
            }
        }
        io::Result::Ok(())
    };
    sweep(clone, |name| matches!(name, "HEAD" | "config" | "objects" | "refs"))?;
    sweep(&clone.join("refs"), |name| name == "openclaw")?;
    sweep(&clone.join("refs/openclaw"), |name| name == "tip")?;
    sweep(&clone.join("objects"), |name| name == "pack")?;
    sweep(&packs, |name| {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension);
        name.starts_with("pack-") && matches!(extension, Some("pack" | "idx" | "rev" | "mtimes"))
    })?;
    for (name, text) in [("HEAD", HEAD), ("config", CONFIG)] {
        let path = clone.join(name);
        // Not in vain: where the disk is full, nothing would be left of what is good.
        if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
            fs::write(path, text)?;
        }
    }
    Ok(locked)
}

fn remove(entry: &fs::DirEntry) -> io::Result<()> {
    if entry.file_type()?.is_dir() {
        return fs::remove_dir_all(entry.path());
    }
    fs::remove_file(entry.path())
}
