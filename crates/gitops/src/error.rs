//! What may go wrong with the fleet repository.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

use std::os::unix::process::ExitStatusExt as _;

use crate::oid::Oid;

/// Why a call did not do all that was asked. No message holds a credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The options contradict themselves or are unsafe.
    #[error("options of the fleet repository: {0}")]
    Options(String),
    /// A clone has one user at a time.
    #[error("another process uses the clone in {0}")]
    Locked(PathBuf),
    /// The credentials file cannot be read, or is not `user:password`.
    #[error("{0} is no readable file with user:password")]
    Credentials(PathBuf),
    /// The folder of the clone, or starting git.
    #[error("{0}")]
    Io(String, #[source] io::Error),
    /// Git took too long and was killed. A push may have happened all the same.
    #[error("git {command} took over {after:?} and was killed")]
    Timeout {
        /// Git's subcommand.
        command: String,
        /// The limit.
        after: Duration,
    },
    /// The remote is away or broken. A push may have happened all the same.
    #[error("git {command}: {text}")]
    Remote {
        /// Git's subcommand.
        command: String,
        /// Git's words.
        text: String,
    },
    /// The remote does not accept our key or credentials, or we do not accept its host key.
    #[error("access to the remote is denied: {0}")]
    Denied(String),
    /// A hook or a rule of the branch refused the push.
    #[error("a hook of the remote refused the push: {0}")]
    Hook(String),
    /// The remote refused the push for another reason.
    #[error("the remote refused the push: {0}")]
    Refused(String),
    /// Somebody else was faster each time.
    #[error("the branch moved under {rounds} pushes in a row: {text}")]
    BranchMoved {
        /// How often was tried.
        rounds: u32,
        /// Git's words for the last one.
        text: String,
    },
    /// The remote has no such branch, and has others or had it before: we make the first branch of
    /// an empty repository and no other.
    #[error("the remote has no branch {0:?}")]
    NoBranch(String),
    /// There is no room for our clone.
    #[error("no room for the clone: {0}")]
    DiskFull(String),
    /// Our clone is damaged, and making it again did not help.
    #[error("the clone is damaged: git {command}: {text}")]
    Damaged {
        /// Git's subcommand.
        command: String,
        /// Git's words.
        text: String,
    },
    /// What was to be done before the push was not done, so nothing was pushed.
    #[error("the attempt was not noted")]
    BeforePush(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The commit is not in the branch's history as we know it.
    #[error("no commit {0} is known")]
    UnknownCommit(Oid),
    /// The file is none of ours.
    #[error("{path} has {bytes} bytes, which is too large")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: usize,
    },
}

impl Error {
    /// Whether the same call may succeed later without anybody's doing. Changes that were given to
    /// `apply` are then given again, with the tip that they were attempted on.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Locked(_)
            | Self::Io(..)
            | Self::Timeout { .. }
            | Self::Remote { .. }
            | Self::BranchMoved { .. }
            | Self::DiskFull(_)
            | Self::Damaged { .. }
            | Self::BeforePush(_) => true,
            Self::Options(_)
            | Self::Credentials(_)
            | Self::Denied(_)
            | Self::Hook(_)
            | Self::Refused(_)
            | Self::NoBranch(_)
            | Self::UnknownCommit(_)
            | Self::TooLarge { .. } => false,
        }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(what),
            _ => Self::Io(what, error),
        }
    }

    /// What a command's failure on our clone means.
    pub(crate) fn local(command: &str, status: ExitStatus, text: String) -> Self {
        if is_disk_full(status, &text) {
            return Self::DiskFull(text);
        }
        Self::Damaged { command: command.to_owned(), text }
    }

    /// What a command's failure to speak with the remote means.
    pub(crate) fn remote(command: &str, status: ExitStatus, text: String) -> Self {
        const DENIED: &[&str] = &[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "Permission denied (",
            "Host key verification failed",
            "returned error: 401",
            "returned error: 403",
        ];
        // What git says when the objects or refs that it builds on are not what they were.
        const DAMAGED: &[&str] = &[
            "bad object",
            "did not send all necessary objects",
            "index-pack",
            "inflate: ",
            "is corrupt",
            "loose object",
            "not a git repository: '",
            "unable to read",
        ];
        if is_disk_full(status, &text) {
            return Self::DiskFull(text);
        }
        if ours(&text).any(|line| DAMAGED.iter().any(|sign| line.contains(sign))) {
            return Self::Damaged { command: command.to_owned(), text };
        }
        if DENIED.iter().any(|sign| text.contains(sign)) {
            return Self::Denied(text);
        }
        Self::Remote { command: command.to_owned(), text }
    }
}

/// Whether our own disk is full, or a file of ours may not grow; the remote's disk is its own.
fn is_disk_full(status: ExitStatus, text: &str) -> bool {
    const SIGNS: &[&str] = &[
        "No space left on device",
        "File too large",
        "Disk quota exceeded",
        // All that git says where it has no room for a ref.
        "couldn't write '",
    ];
    const SIGXFSZ: i32 = 25;
    status.signal() == Some(SIGXFSZ)
        || ours(text).any(|line| SIGNS.iter().any(|sign| line.contains(sign)))
}

/// The lines of git's complaint that are not the remote's.
fn ours(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with("remote:"))
}
