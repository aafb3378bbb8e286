//! Every file below a folder.

use std::{str, time::Duration};

use crate::{
    command::Git,
    error::Error,
    objects::{Objects, damaged},
    oid::Oid,
    tree::{Entry, first},
};

/// Folders in folders that are searched; two are in use.
const MAX_DEPTH: usize = 8;

/// Folders that are read at once.
const FOLDERS: usize = 512;

/// What lies below a folder, in the order of the paths, which begin with the folder's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The regular files, and the names of their bytes.
    pub files: Vec<(String, Oid)>,
    /// What is none, for people: links, submodules, names that are not UTF-8, folders more than
    /// eight deep.
    pub odd: Vec<String>,
}

struct Folder {
    path: String,
    tree: Oid,
    depth: usize,
}

impl Objects {
    /// What lies below `folder` in the commit `revision`, which must be there.
    pub(crate) async fn list(
        &mut self,
        git: &Git,
        limit: Duration,
        revision: Oid,
        folder: &str,
    ) -> Result<Files, Error> {
        let mut found = Files::default();
        let mut folders = Vec::new();
        match self.find(git, limit, revision, folder).await? {
            None => {}
            Some(Entry::Folder(tree)) => {
                folders.push(Folder { path: folder.to_owned(), tree, depth: 0 });
            }
            Some(Entry::File(_) | Entry::Other) => found.odd.push(folder.to_owned()),
        }
        while !folders.is_empty() {
            let next = folders.split_off(folders.len().saturating_sub(FOLDERS));
            let trees: Vec<Oid> = next.iter().map(|folder| folder.tree).collect();
            self.load(git, limit, &trees).await?;
            for folder in next {
                found.add(&folder, self.tree(git, limit, folder.tree).await?, &mut folders)?;
            }
        }
        found.files.sort();
        found.odd.sort();
        Ok(found)
    }
}

impl Files {
    /// Adds what stands in the `tree` of `folder`, and the folders in it to `folders`.
    fn add(
        &mut self,
        folder: &Folder,
        mut tree: &[u8],
        folders: &mut Vec<Folder>,
    ) -> Result<(), Error> {
        while !tree.is_empty() {
            // Not as if it ended here: a file that is overlooked looks like one that was removed.
            let invalid = || damaged(&folder.tree.to_string(), "is no tree");
            let (name, entry, rest) = first(tree).ok_or_else(invalid)?;
            tree = rest;
            let path = format!("{}/{}", folder.path, String::from_utf8_lossy(name));
            match entry {
                _ if str::from_utf8(name).is_err() => self.odd.push(path),
                Entry::File(oid) => self.files.push((path, oid)),
                Entry::Folder(tree) if folder.depth < MAX_DEPTH => {
                    folders.push(Folder { path, tree, depth: folder.depth + 1 });
                }
                Entry::Folder(_) | Entry::Other => self.odd.push(path),
            }
        }
        Ok(())
    }
}
