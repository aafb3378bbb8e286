//! Looks for our commits by their trailers.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::{
    change::{CHANGE_ID, EVENT, TRACE},
    error::Error,
    oid::Oid,
    repository::Repository,
};

/// A commit, as its message tells the story of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The commit.
    pub oid: Oid,
    /// When it was made.
    pub at: Timestamp,
    /// The first line of its message.
    pub subject: String,
    /// The row in `spec_changes`.
    pub change: Option<i64>,
    /// Stripe's event.
    pub event: Option<String>,
    /// The trace id.
    pub trace: Option<String>,
}

impl Repository {
    /// The commits of changes in `since..tip` by the change's id; all of `tip`'s for no `since`.
    pub(crate) async fn changes(
        &self,
        since: Option<Oid>,
        tip: Oid,
    ) -> Result<HashMap<i64, Oid>, Error> {
        let range = since.map_or(tip.to_string(), |since| format!("{since}..{tip}"));
        let commits = self.log(&format!("--grep={CHANGE_ID}: "), &range).await?;
        let change = |commit: Commit| Some((commit.change?, commit.oid));
        Ok(commits.into_iter().filter_map(change).collect())
    }

    /// The commits up to `tip` with a trailer that is `needle`, an event or a trace, newest first.
    pub(crate) async fn commits_of(&self, needle: &str, tip: Oid) -> Result<Vec<Commit>, Error> {
        let mut commits = self.log(&format!("--grep={needle}"), &tip.to_string()).await?;
        commits.retain(|commit| {
            [&commit.event, &commit.trace].into_iter().flatten().any(|found| found == needle)
        });
        Ok(commits)
    }

    async fn log(&self, grep: &str, range: &str) -> Result<Vec<Commit>, Error> {
        let trailer = |name| format!("%(trailers:key={name},valueonly,separator=%x20)%x00");
        let trailers = [CHANGE_ID, EVENT, TRACE].map(trailer).concat();
        let format = format!("--format=%H%x00%ct%x00{trailers}%s%x00");
        let arguments = ["log", "--fixed-strings", grep, &format, range, "--"];
        let output = self.git.local(&arguments, &[], self.limits.clone).await?;
        let output = String::from_utf8_lossy(&output);
        let fields: Vec<&str> = output.split('\0').collect();
        Ok(fields.as_chunks().0.iter().filter_map(commit).collect())
    }
}

fn commit([oid, at, change, event, trace, subject]: &[&str; 6]) -> Option<Commit> {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Some(Commit {
        // A line end comes before each commit but the first.
        oid: oid.trim_start().parse().ok()?,
        at: Timestamp::from_second(at.parse().ok()?).ok()?,
        subject: (*subject).to_owned(),
        change: change.parse().ok(),
        event: some(event),
        trace: some(trace),
    })
}
