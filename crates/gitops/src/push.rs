//! Pushes our commits, never by force.

use crate::{command::Answer, error::Error, oid::Oid, repository::Repository};

/// What became of a push that did not fail.
pub(crate) enum Pushed {
    /// The branch is ours.
    Done,
    /// The branch is not what it was, or somebody is changing it right now, in git's words.
    Moved(String),
}

impl Repository {
    /// Puts the branch to `commit`, which is on top of what was fetched.
    pub(crate) async fn push(&self, commit: Oid) -> Result<Pushed, Error> {
        let refspec = self.refspec(commit);
        let arguments = ["push", "--porcelain", "--", &self.remote, &refspec];
        let Answer { status, stdout, stderr } =
            self.git.remote(&arguments, self.limits.push).await?;
        if status.success() {
            return Ok(Pushed::Done);
        }
        match stdout.lines().find_map(refusal) {
            Some(reason) => refused(reason, &stderr),
            None => Err(Error::remote("push", status, stderr)),
        }
    }
}

/// The summary of a refused ref: `!`, a tab, `<from>:<to>`, a tab, `[rejected] (why)`.
fn refusal(line: &str) -> Option<&str> {
    line.strip_prefix("!\t")?.split_once('\t').map(|(_, summary)| summary)
}

fn refused(reason: &str, stderr: &str) -> Result<Pushed, Error> {
    // Somebody else holds the lock of the ref, or had it since we were told of the tip.
    const RACES: &[&str] = &[
        "cannot lock ref",
        "failed to lock",
        "failed to update ref",
        "fetch first",
        "incorrect old value",
        "non-fast-forward",
        "reference already exists",
        "stale info",
    ];
    let text = || match said_by_the_remote(stderr) {
        said if said.is_empty() => reason.to_owned(),
        said => format!("{reason}: {said}"),
    };
    if RACES.iter().any(|race| reason.contains(race)) {
        return Ok(Pushed::Moved(reason.to_owned()));
    }
    if reason.contains("hook declined") {
        return Err(Error::Hook(text()));
    }
    // Its disk, its memory, a quarantine that it could not make: not about our commits.
    if reason.contains("unpacker error") || reason.contains("remote failure") {
        return Err(Error::Remote { command: "push".to_owned(), text: text() });
    }
    Err(Error::Refused(text()))
}

/// What hooks and servers print comes line by line with a mark.
fn said_by_the_remote(stderr: &str) -> String {
    let lines = stderr.lines().filter_map(|line| line.strip_prefix("remote:"));
    lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
