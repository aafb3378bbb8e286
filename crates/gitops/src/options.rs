//! Where the fleet repository is and how it is reached.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::error::Error;

/// What a [`Fleet`](crate::Fleet) is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// A folder for our clone and its lock; it is made where there is none, and what is in its
    /// `clone.git` is ours to delete.
    pub directory: PathBuf,
    /// A local path, or an `https`, `ssh` or `user@host:path` address. Plain `http` carries no
    /// credentials but to loopback.
    pub remote: String,
    /// The branch that tenants live on.
    pub branch: String,
    /// Who our commits are by.
    pub author: Author,
    /// How long git may take.
    pub limits: Limits,
    /// A file with `user:password` for an `https` remote, read again for every call, so that a
    /// token rotates without a restart.
    pub credentials: Option<PathBuf>,
    /// The way in to an `ssh` remote.
    pub ssh: Option<Ssh>,
}

/// The author and committer of our commits.
#[derive(Clone, Debug)]
pub struct Author {
    /// A name, as `OpenClaw billing`.
    pub name: String,
    /// An e-mail address.
    pub email: String,
}

/// How long a git process may take before it and all that it started are killed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a fetch, and for each process that works on our clone alone.
    pub fetch: Duration,
    /// For a push, the remote's hooks included.
    pub push: Duration,
    /// For the first fetch, which brings everything, and for checking or repacking the clone.
    pub clone: Duration,
}

/// A key of our own, and the hosts that it is shown to. Nothing in anybody's `~/.ssh` is used.
#[derive(Clone, Debug)]
pub struct Ssh {
    /// The private key.
    pub key: PathBuf,
    /// The remote's host keys; an unknown host is refused.
    pub known_hosts: PathBuf,
}

impl Default for Limits {
    /// Half a minute for a fetch, a minute for a push, ten for a clone.
    fn default() -> Self {
        Self {
            fetch: Duration::from_secs(30),
            push: Duration::from_mins(1),
            clone: Duration::from_mins(10),
        }
    }
}

impl Options {
    /// Refuses what git would misread or would tell to the wrong host.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let refuse = |why: &str| Err(Error::Options(why.to_owned()));
        let Self { remote, author, credentials, .. } = self;
        if remote.is_empty() || remote.starts_with('-') || remote.contains(char::is_control) {
            return refuse("the remote is no path or address");
        }
        let scheme = remote.split_once("://");
        if let Some((scheme, rest)) = scheme {
            if !["file", "https", "http", "ssh"].contains(&scheme) {
                return refuse("the remote's scheme is none of https, ssh, http and file");
            }
            let login = host(rest).1;
            if login.is_some_and(|login| scheme != "ssh" || login.contains(':')) {
                return refuse("the remote's address has a login in it: use a credentials file");
            }
        }
        if credentials.is_some() && !scheme.is_some_and(|(scheme, rest)| private(scheme, rest)) {
            return refuse("credentials are for https remotes");
        }
        if self.is_ssh() && self.ssh.is_none() {
            return refuse("an ssh remote needs a key and a file of known hosts");
        }
        let paths = self.ssh.iter().flat_map(|ssh| [&ssh.key, &ssh.known_hosts]);
        if paths.into_iter().any(|path| !quotable(path)) {
            return refuse("a path for ssh has a quote, backslash, percent sign or control in it");
        }
        let name = |text: &str| !text.trim().is_empty() && !text.contains(['<', '>', '\n', '\0']);
        if !name(&author.name) || !name(&author.email) {
            return refuse("the author's name or address is empty or has < > or a line end in it");
        }
        Ok(())
    }

    /// Git takes `host:path` for ssh unless a slash comes before the colon.
    fn is_ssh(&self) -> bool {
        match self.remote.split_once("://") {
            Some((scheme, _)) => scheme == "ssh",
            None => self.remote.split_once(':').is_some_and(|(host, _)| !host.contains('/')),
        }
    }
}

/// The host of what follows `scheme://`, and the login before it.
fn host(rest: &str) -> (&str, Option<&str>) {
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((login, host)) => (host, Some(login)),
        None => (authority, None),
    }
}

/// Whether nobody on the way can read along.
fn private(scheme: &str, rest: &str) -> bool {
    let host = host(rest).0;
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    scheme == "https" || (scheme == "http" && ["127.0.0.1", "localhost", "[::1]"].contains(&name))
}

/// Whether a path means itself to the shell and to ssh, once it is quoted.
fn quotable(path: &Path) -> bool {
    path.to_str().is_some_and(|path| {
        !path.contains(['\'', '"', '\\', '%']) && !path.contains(char::is_control)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(remote: &str) -> Options {
        Options {
            directory: PathBuf::from("fleet"),
            remote: remote.to_owned(),
            branch: "main".to_owned(),
            author: Author { name: "Billing".to_owned(), email: "b@example.org".to_owned() },
            limits: Limits::default(),
            credentials: None,
            ssh: None,
        }
    }

    #[test]
    fn a_remote_with_a_login_in_its_address_is_refused_without_a_word_of_it() {
        for remote in ["https://u:hush@host/x", "https://hush@host/x", "ssh://u:hush@host/x"] {
            let error = options(remote).validate().unwrap_err().to_string();
            assert!(error.contains("login") && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn credentials_travel_where_nobody_reads_along() {
        let with = |remote: &str| {
            Options { credentials: Some(PathBuf::from("secret")), ..options(remote) }.validate()
        };
        for remote in ["https://host/x", "http://127.0.0.1:80/x", "http://[::1]:80/x"] {
            assert!(with(remote).is_ok(), "{remote}");
        }
        for remote in ["http://host/x", "http://127.0.0.1.evil.org/x", "/x", "host:x"] {
            assert!(with(remote).is_err(), "{remote}");
        }
    }

    #[test]
    fn an_ssh_remote_needs_a_key_of_its_own() {
        for remote in ["ssh://git@host/x", "git@host:x"] {
            assert!(options(remote).validate().is_err(), "{remote}");
            let ssh = Ssh { key: PathBuf::from("key"), known_hosts: PathBuf::from("hosts") };
            assert!(Options { ssh: Some(ssh), ..options(remote) }.validate().is_ok(), "{remote}");
        }
        for remote in ["/a:b", "./a:b", "file:///a"] {
            assert!(options(remote).validate().is_ok(), "{remote}");
        }
        for remote in ["", "--upload-pack=x", "ext://x", "git://host/x"] {
            assert!(options(remote).validate().is_err(), "{remote}");
        }
    }
}
