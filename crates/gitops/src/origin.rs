//! Which commit made a file what it is.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::{change::TRACE, error::Error, oid::Oid, repository::Repository};

/// A commit that something comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The commit.
    pub commit: Oid,
    /// The trace that it belongs to, where its message names one.
    pub trace: Option<String>,
    /// When it was made, by its committer's clock.
    pub committed_at: Timestamp,
}

/// What a fleet is made of.
const FOLDERS: [&str; 2] = ["tenants", "nodes"];

impl Repository {
    /// The origin that a commit is, which must be there.
    pub(crate) async fn origin(&self, commit: Oid) -> Result<Origin, Error> {
        let (format, name) = (format(), commit.to_string());
        let arguments = ["log", "--max-count=1", &format, &name, "--"];
        let output = self.git.local(&arguments, &[], self.limits.fetch).await?;
        let text = String::from_utf8_lossy(&output);
        let invalid =
            || Error::Damaged { command: "log".to_owned(), text: format!("{name} is no commit") };
        origin(text.trim_end_matches('\n')).ok_or_else(invalid)
    }

    /// For each path that commits in `from..to` touched, the newest of them; both must be there.
    pub(crate) async fn origins(
        &self,
        from: Oid,
        to: Oid,
    ) -> Result<HashMap<String, Origin>, Error> {
        let (format, range) = (format(), format!("{from}..{to}"));
        let [tenants, nodes] = FOLDERS;
        let arguments = [
            "log",
            "-z",
            "--name-only",
            "--no-renames",
            // Of a merge what is neither parent's, since what is one's has an origin there.
            "--diff-merges=combined",
            // By descent, since clocks differ.
            "--topo-order",
            &format,
            &range,
            "--",
            tenants,
            nodes,
        ];
        let output = self.git.local(&arguments, &[], self.limits.clone).await?;
        let output = String::from_utf8_lossy(&output);
        let mut origins = HashMap::new();
        let mut newest = None;
        for item in output.split('\0').map(|item| item.trim_start_matches('\n')) {
            // No commit's name begins like a folder of ours.
            if !FOLDERS.iter().any(|folder| item.starts_with(folder)) {
                newest = origin(item).or(newest);
            } else if let Some(newest) = &newest {
                origins.entry(item.to_owned()).or_insert_with(|| newest.clone());
            }
        }
        Ok(origins)
    }

    /// Whether `older` is `newer` or in its history; both must be there.
    pub(crate) async fn is_ancestor(&self, older: Oid, newer: Oid) -> Result<bool, Error> {
        let (older, not) = (older.to_string(), format!("^{newer}"));
        let arguments = ["rev-list", "--max-count=1", &older, &not, "--"];
        Ok(self.git.local(&arguments, &[], self.limits.clone).await?.is_empty())
    }

    /// The commits up to `to` that touched `path`, newest first, `limit` at most.
    pub(crate) async fn commits_to(
        &self,
        to: Oid,
        path: &str,
        limit: u32,
    ) -> Result<Vec<Oid>, Error> {
        let (to, count) = (to.to_string(), format!("--max-count={limit}"));
        let path = format!(":(literal){path}");
        let arguments = ["rev-list", "--topo-order", &count, &to, "--", &path];
        let output = self.git.local(&arguments, &[], self.limits.clone).await?;
        let output = String::from_utf8_lossy(&output);
        Ok(output.lines().filter_map(|line| line.parse().ok()).collect())
    }
}

/// `<commit> <seconds> <trace>`, on one line.
fn format() -> String {
    format!("--format=%H %ct %(trailers:key={TRACE},valueonly,unfold,separator=%x20)")
}

fn origin(line: &str) -> Option<Origin> {
    let (commit, rest) = line.split_once(' ')?;
    let (at, trace) = rest.split_once(' ')?;
    Some(Origin {
        commit: commit.parse().ok()?,
        trace: (!trace.is_empty()).then(|| trace.to_owned()),
        committed_at: Timestamp::from_second(at.parse().ok()?).ok()?,
    })
}
