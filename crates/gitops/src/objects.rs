//! Reads objects through one `git cat-file --batch`, which stays.

use std::{collections::HashMap, io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy, sink},
    process::{ChildStdin, ChildStdout},
    time::timeout,
};

use crate::{command::Git, error::Error, group::Group, oid::Oid};

/// The largest tree that is read, in bytes: half a million files in one folder.
const TREE_BYTES: usize = 32 * 1024 * 1024;

/// How many trees are remembered: those of a fleet with a folder for each two letters.
const TREES: usize = 2_048;

/// The objects of our clone.
#[derive(Default)]
pub(crate) struct Objects {
    process: Option<Process>,
    /// By name, so always true; the same few hundred folders are asked for again and again.
    trees: HashMap<Oid, Vec<u8>>,
}

struct Process {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Kills the process when this is dropped.
    _group: Group,
}

/// An object, without its bytes where they are more than was asked for.
pub(crate) struct Object {
    pub oid: Oid,
    pub size: usize,
    pub bytes: Option<Vec<u8>>,
}

/// What a path is in a commit.
#[derive(Clone, Copy)]
pub(crate) enum Entry {
    File(Oid),
    Folder(Oid),
    /// A link or a submodule.
    Other,
}

impl Objects {
    /// Reads the object that `name` means, or nothing where there is none; at most `most` bytes.
    pub(crate) async fn get(
        &mut self,
        git: &Git,
        limit: Duration,
        name: &str,
        most: usize,
    ) -> Result<Option<Object>, Error> {
        // Taken out: whoever gives up in the middle of an answer must not leave the rest of it.
        let mut process = match self.process.take() {
            Some(process) => process,
            None => Process::start(git)?,
        };
        let command = || "cat-file".to_owned();
        let object = timeout(limit, process.get(name, most))
            .await
            .map_err(|_| Error::Timeout { command: command(), after: limit })?
            .map_err(|error| Error::Damaged { command: command(), text: error.to_string() })?;
        self.process = Some(process);
        Ok(object)
    }

    /// Reads an object that must be there.
    pub(crate) async fn require(
        &mut self,
        git: &Git,
        limit: Duration,
        name: &str,
        most: usize,
    ) -> Result<Object, Error> {
        let object = self.get(git, limit, name, most).await?;
        object.ok_or_else(|| damaged(name, "is missing"))
    }

    /// What `path` is in the commit `revision`, which must be there.
    ///
    /// Tree by tree and not by git's own `<commit>:<path>`, which says the same of a file that does
    /// not exist as of one whose folder is lost.
    pub(crate) async fn find(
        &mut self,
        git: &Git,
        limit: Duration,
        revision: Oid,
        path: &str,
    ) -> Result<Option<Entry>, Error> {
        // A commit is remembered as its tree.
        let mut entry = Entry::Folder(revision);
        for name in path.split('/') {
            let Entry::Folder(tree) = entry else { return Ok(None) };
            let bytes = self.tree(git, limit, tree).await?;
            match entry_of(bytes, name.as_bytes()) {
                Some(found) => entry = found,
                None => return Ok(None),
            }
        }
        Ok(Some(entry))
    }

    /// Ends the process: what it knows of the clone's files is no longer true.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The tree that a commit or a tree is.
    async fn tree(&mut self, git: &Git, limit: Duration, oid: Oid) -> Result<&[u8], Error> {
        if !self.trees.contains_key(&oid) {
            let name = format!("{oid}^{{tree}}");
            let object = self.require(git, limit, &name, TREE_BYTES).await?;
            let bytes = object.bytes.ok_or_else(|| damaged(&name, "is too large"))?;
            if self.trees.len() >= TREES {
                self.trees.clear();
            }
            self.trees.insert(oid, bytes);
        }
        Ok(self.trees.get(&oid).map(Vec::as_slice).unwrap_or_default())
    }
}

impl Process {
    fn start(git: &Git) -> Result<Self, Error> {
        let mut group = git.start(&["cat-file", "--batch"])?;
        let pipes = group.child.stdin.take().zip(group.child.stdout.take());
        let (stdin, stdout) = pipes.ok_or_else(|| damaged("cat-file", "has no pipes"))?;
        Ok(Self { stdin, stdout: BufReader::new(stdout), _group: group })
    }

    /// `<object> <type> <size>`, a line end, that many bytes, a line end.
    async fn get(&mut self, name: &str, most: usize) -> io::Result<Option<Object>> {
        self.stdin.write_all(format!("{name}\n").as_bytes()).await?;
        let mut head = String::new();
        self.stdout.read_line(&mut head).await?;
        let head = head.trim_end();
        if head.ends_with(" missing") {
            return Ok(None);
        }
        let unknown = || io::Error::other(format!("{name}: {head:?}"));
        let mut words = head.split(' ');
        let oid = words.next().and_then(|oid| oid.parse().ok()).ok_or_else(unknown)?;
        let size: usize = words.nth(1).and_then(|size| size.parse().ok()).ok_or_else(unknown)?;
        let mut bytes = None;
        if size <= most {
            let mut buffer = vec![0; size];
            self.stdout.read_exact(&mut buffer).await?;
            bytes = Some(buffer);
        } else {
            copy(&mut (&mut self.stdout).take(size as u64), &mut sink()).await?;
        }
        self.stdout.read_exact(&mut [0]).await?;
        Ok(Some(Object { oid, size, bytes }))
    }
}

/// Finds `name` in a tree: entries of `<mode> <name>`, a zero and the object's bytes.
fn entry_of(mut tree: &[u8], name: &[u8]) -> Option<Entry> {
    loop {
        let zero = tree.iter().position(|byte| *byte == 0)?;
        let (head, rest) = tree.split_at_checked(zero)?;
        let (oid, next) = rest.get(1..)?.split_first_chunk()?;
        let space = head.iter().position(|byte| *byte == b' ')?;
        let (mode, found) = head.split_at_checked(space)?;
        if found.get(1..) == Some(name) {
            let oid = Oid::from_bytes(*oid);
            return Some(match mode {
                b"40000" => Entry::Folder(oid),
                mode if mode.starts_with(b"100") => Entry::File(oid),
                _ => Entry::Other,
            });
        }
        tree = next;
    }
}

fn damaged(object: &str, what: &str) -> Error {
    Error::Damaged { command: "cat-file".to_owned(), text: format!("{object} {what}") }
}
