//! Builds the commits of a batch on one tip.

use std::collections::{HashMap, HashSet};

use oc_domain::{TenantId, document, tenant::MAX_FILE_BYTES};

use super::Fleet;
use crate::{
    change::{Change, Outcome},
    error::Error,
    import::Draft,
    objects::Object,
    oid::Oid,
    repository::Repository,
    revise::{Revised, diagnosed, paths, revise},
    tree::Entry,
};

/// A batch that is ready to be pushed.
pub(super) struct Batch {
    pub outcomes: Vec<Outcome>,
    /// The last commit, where there is one.
    pub head: Option<Oid>,
}

/// A tenant's file while a batch is built.
struct File {
    path: String,
    /// Nothing where there is no file; or why it cannot be edited.
    text: Result<Option<String>, String>,
}

impl Fleet {
    /// Makes the commits of all changes that need one, on top of `tip`.
    pub(super) async fn build(
        &mut self,
        changes: &[Change],
        pushed_on: Option<Oid>,
        tip: Oid,
    ) -> Result<Batch, Error> {
        let done = self.done(changes, pushed_on, tip).await?;
        let mut files: HashMap<&TenantId, File> = HashMap::new();
        let mut outcomes = Vec::with_capacity(changes.len());
        let mut drafts = Vec::new();
        for change in changes {
            let outcome = if let Some(commit) = done.get(&change.id) {
                Some(Outcome::Committed(*commit))
            } else {
                let file = match files.remove(&change.tenant) {
                    Some(file) => file,
                    None => self.file(tip, &change.tenant).await?,
                };
                draft(change, files.entry(&change.tenant).or_insert(file), &mut drafts)
            };
            outcomes.push(outcome);
        }
        let commits = match drafts.as_slice() {
            [] => Vec::new(),
            drafts => self.repository.import(&self.author, tip, drafts).await?,
        };
        let head = commits.last().copied();
        // One commit for each change that had no outcome yet, in their order.
        let mut commits = commits.into_iter().map(Outcome::Committed);
        let outcomes = outcomes.into_iter().filter_map(|it| it.or_else(|| commits.next()));
        Ok(Batch { outcomes: outcomes.collect(), head })
    }

    /// The changes that are on the branch already: pushed by a process that died before it said
    /// so, or by a push of this call whose answer was lost.
    async fn done(
        &mut self,
        changes: &[Change],
        pushed_on: Option<Oid>,
        tip: Oid,
    ) -> Result<HashMap<i64, Oid>, Error> {
        let mut done = HashMap::new();
        if tip.is_null() {
            return Ok(done);
        }
        let attempted = |change: &Change| change.attempted.or(pushed_on);
        let tips: HashSet<Oid> = changes.iter().filter_map(attempted).collect();
        for since in tips.into_iter().filter(|since| *since != tip) {
            // A rewritten branch or a new clone may not have it: then all of the history counts.
            let known = !since.is_null() && self.knows(since).await?;
            let found = self.repository.changes(known.then_some(since), tip).await?;
            let tried = changes.iter().filter(|change| attempted(change) == Some(since));
            done.extend(tried.filter_map(|change| Some((change.id, *found.get(&change.id)?))));
        }
        Ok(done)
    }

    /// Reads a tenant's file from whichever of its places it is in.
    async fn file(&mut self, tip: Oid, tenant: &TenantId) -> Result<File, Error> {
        let Self { repository: Repository { git, limits, .. }, objects, .. } = self;
        let mut found = None;
        let places = if tip.is_null() { Vec::new() } else { paths(tenant) };
        for path in places {
            let Some(entry) = objects.find(git, limits.fetch, tip, &path).await? else { continue };
            let text = match (&found, entry) {
                (Some(File { path: other, .. }), _) => {
                    Err(format!("{tenant} has two files, remove one: {other} and {path}"))
                }
                (None, Entry::File(oid)) => {
                    let oid = oid.to_string();
                    text(&path, objects.require(git, limits.fetch, &oid, MAX_FILE_BYTES).await?)
                }
                (None, _) => Err(format!("{path} is no file")),
            };
            found = Some(File { path, text: text.map(Some) });
        }
        Ok(found.unwrap_or_else(|| File { path: tenant.path(), text: Ok(None) }))
    }
}

fn text(path: &str, object: Object) -> Result<String, String> {
    let size = object.size as u64;
    let too_large = || diagnosed(&document::too_large(path, size, MAX_FILE_BYTES));
    let bytes = object.bytes.ok_or_else(too_large)?;
    String::from_utf8(bytes).map_err(|error| format!("{path}: {}", error.utf8_error()))
}

/// Adds the commit of `change` to `drafts`, where it needs one, or says what became of it. Later
/// changes of the tenant see it.
fn draft(change: &Change, file: &mut File, drafts: &mut Vec<Draft>) -> Option<Outcome> {
    let text = match &file.text {
        Ok(text) => text.as_deref(),
        Err(why) => return Some(Outcome::Invalid(why.clone())),
    };
    match revise(change, &file.path, text) {
        Revised::Unchanged => Some(Outcome::Unchanged),
        Revised::Invalid(why) => Some(Outcome::Invalid(why)),
        Revised::File { text, body } => {
            let (message, path) = (change.message(&body), file.path.clone());
            drafts.push(Draft { message, path, text: text.clone() });
            file.text = Ok(Some(text));
            None
        }
    }
}
