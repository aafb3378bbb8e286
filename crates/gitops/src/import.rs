//! Makes commits without a working copy, by `git fast-import`.

use crate::{
    error::Error,
    oid::Oid,
    options::Author,
    repository::{NEXT, Repository},
};

/// A commit to be made: one file, on top of the one before.
pub(crate) struct Draft {
    pub message: String,
    pub path: String,
    pub text: String,
}

impl Repository {
    /// Makes `drafts` into commits, the first on top of `tip`, and returns them in their order.
    ///
    /// Only what changes is written: the files, their folders' trees, the commits.
    pub(crate) async fn import(
        &self,
        author: &Author,
        tip: Oid,
        drafts: &[Draft],
    ) -> Result<Vec<Oid>, Error> {
        let arguments = ["fast-import", "--done", "--quiet", "--force", "--date-format=now"];
        let input = stream(author, tip, drafts);
        let output = self.git.local(&arguments, input.as_bytes(), self.limits.fetch).await?;
        let output = String::from_utf8_lossy(&output);
        let commits: Vec<Oid> = output.lines().filter_map(|line| line.parse().ok()).collect();
        if commits.len() == drafts.len() {
            return Ok(commits);
        }
        let text = format!("{} commits for {} changes", commits.len(), drafts.len());
        Err(Error::Damaged { command: "fast-import".to_owned(), text })
    }
}

fn stream(author: &Author, tip: Oid, drafts: &[Draft]) -> String {
    let Author { name, email } = author;
    let mut stream = String::new();
    for (index, Draft { message, path, text }) in drafts.iter().enumerate() {
        // A commit without parents where the branch does not exist.
        let from = match index {
            0 if !tip.is_null() => format!("from {tip}\n"),
            _ => String::new(),
        };
        let lines = [
            &format!("commit {NEXT}\nmark :1\ncommitter {name} <{email}> now\n"),
            &data(message),
            &from,
            &format!("M 100644 inline {path}\n"),
            &data(text),
            "get-mark :1\n",
        ];
        stream.extend(lines);
    }
    stream.push_str("done\n");
    stream
}

fn data(text: &str) -> String {
    format!("data {}\n{text}\n", text.len())
}
