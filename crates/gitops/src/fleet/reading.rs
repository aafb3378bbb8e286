//! What the fleet repository says, for those who read it.
//!
//! Nothing here fetches, unless the clone is damaged: every revision is a tip that was returned, or in
//! its history.

use std::collections::HashMap;

use super::Fleet;
use crate::{
    error::Error, listing::Files, objects::Object, oid::Oid, origin::Origin,
    repository::Repository, tree::Entry,
};

/// The largest file that [`Fleet::read`] reads, in bytes.
const MAX_READ_BYTES: usize = 16 * 1024 * 1024;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blob {
    /// All of it.
    Bytes(Vec<u8>),
    /// More than was asked for.
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

impl Fleet {
    /// Reads the file at `path` in the commit `revision`: nothing where there is none, or a link.
    pub async fn read(&mut self, revision: Oid, path: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.read_once(revision, path).await {
            Err(error) => {
                self.mend(error).await?;
                self.read_once(revision, path).await
            }
            file => file,
        }
    }

    /// Every file below `folder` in the commit `revision`; none where there is no such folder.
    ///
    /// Folders are remembered, so that of the next revision those are read that differ.
    pub async fn files(&mut self, revision: Oid, folder: &str) -> Result<Files, Error> {
        match self.files_once(revision, folder).await {
            Err(error) => {
                self.mend(error).await?;
                self.files_once(revision, folder).await
            }
            files => files,
        }
    }

    /// What files hold that [`Self::files`] has found, in their order, of each no more than `most`
    /// bytes.
    pub async fn blobs(&mut self, oids: &[Oid], most: usize) -> Result<Vec<Blob>, Error> {
        match self.blobs_once(oids, most).await {
            Err(error) => {
                self.mend(error).await?;
                self.blobs_once(oids, most).await
            }
            blobs => blobs,
        }
    }

    /// For each path below `tenants/` and `nodes/` that commits in `from..to` touched, the newest
    /// commit that did; a path may be gone since.
    ///
    /// Nothing where `from` is none, unknown, or not in `to`'s history, since it was rewritten:
    /// then everything comes from [`Self::commit`] of `to`.
    pub async fn origins(
        &mut self,
        from: Option<Oid>,
        to: Oid,
    ) -> Result<Option<HashMap<String, Origin>>, Error> {
        match self.origins_once(from, to).await {
            Err(error) => {
                self.mend(error).await?;
                self.origins_once(from, to).await
            }
            origins => origins,
        }
    }

    /// A commit, as the origin of what it touched.
    pub async fn commit(&mut self, commit: Oid) -> Result<Origin, Error> {
        match self.commit_once(commit).await {
            Err(error) => {
                self.mend(error).await?;
                self.commit_once(commit).await
            }
            origin => origin,
        }
    }

    /// The commits up to `to` that touched `path`, newest first, `limit` at most.
    pub async fn history(&mut self, to: Oid, path: &str, limit: u32) -> Result<Vec<Oid>, Error> {
        match self.history_once(to, path, limit).await {
            Err(error) => {
                self.mend(error).await?;
                self.history_once(to, path, limit).await
            }
            commits => commits,
        }
    }

    async fn read_once(&mut self, revision: Oid, path: &str) -> Result<Option<Vec<u8>>, Error> {
        if revision.is_null() {
            return Ok(None);
        }
        self.require(revision).await?;
        let Self { repository: Repository { git, limits, .. }, objects, .. } = self;
        let found = objects.find(git, limits.fetch, revision, path).await?;
        let Some(Entry::File(oid)) = found else { return Ok(None) };
        let object = objects.require(git, limits.fetch, &oid.to_string(), MAX_READ_BYTES).await?;
        let (path, bytes) = (path.to_owned(), object.size);
        object.bytes.map(Some).ok_or(Error::TooLarge { path, bytes })
    }

    async fn files_once(&mut self, revision: Oid, folder: &str) -> Result<Files, Error> {
        if revision.is_null() {
            return Ok(Files::default());
        }
        self.require(revision).await?;
        let Self { repository: Repository { git, limits, .. }, objects, .. } = self;
        objects.list(git, limits.fetch, revision, folder).await
    }

    async fn blobs_once(&mut self, oids: &[Oid], most: usize) -> Result<Vec<Blob>, Error> {
        let Self { repository: Repository { git, limits, .. }, objects, .. } = self;
        let names: Vec<String> = oids.iter().map(Oid::to_string).collect();
        let found = objects.require_all(git, limits.fetch, &names, most).await?;
        let blob = |object: Object| match object.bytes {
            Some(bytes) => Blob::Bytes(bytes),
            None => Blob::TooLarge { bytes: object.size },
        };
        Ok(found.into_iter().map(blob).collect())
    }

    async fn origins_once(
        &mut self,
        from: Option<Oid>,
        to: Oid,
    ) -> Result<Option<HashMap<String, Origin>>, Error> {
        self.require(to).await?;
        let Some(from) = from else { return Ok(None) };
        if !self.knows(from).await? || !self.repository.is_ancestor(from, to).await? {
            return Ok(None);
        }
        self.repository.origins(from, to).await.map(Some)
    }

    async fn commit_once(&mut self, commit: Oid) -> Result<Origin, Error> {
        self.require(commit).await?;
        self.repository.origin(commit).await
    }

    async fn history_once(&mut self, to: Oid, path: &str, limit: u32) -> Result<Vec<Oid>, Error> {
        if to.is_null() {
            return Ok(Vec::new());
        }
        self.require(to).await?;
        self.repository.commits_to(to, path, limit).await
    }

    async fn require(&mut self, commit: Oid) -> Result<(), Error> {
        let known = self.knows(commit).await?;
        known.then_some(()).ok_or(Error::UnknownCommit(commit))
    }

    /// Repairs a damaged clone, so that it is worth reading again, or gives the error back.
    pub(super) async fn mend(&mut self, error: Error) -> Result<(), Error> {
        if !matches!(error, Error::Damaged { .. }) {
            return Err(error);
        }
        self.heal(error).await?;
        self.fetch().await.map(drop)
    }
}
