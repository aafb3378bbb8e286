//! Reads objects through one `git cat-file --batch`, which stays.

use std::{collections::HashMap, io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy, sink},
    process::{ChildStdin, ChildStdout},
    time::timeout,
    try_join,
};

use crate::{
    command::Git,
    error::Error,
    group::Group,
    oid::Oid,
    tree::{self, Entry},
};

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

impl Objects {
    /// Reads the object that `name` means, or nothing where there is none; at most `most` bytes.
    pub(crate) async fn get(
        &mut self,
        git: &Git,
        limit: Duration,
        name: &str,
        most: usize,
    ) -> Result<Option<Object>, Error> {
        Ok(self.get_all(git, limit, &[name], most).await?.pop().flatten())
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

    /// Reads objects that must be there, in their order; at most `most` bytes of each.
    pub(crate) async fn require_all(
        &mut self,
        git: &Git,
        limit: Duration,
        names: &[String],
        most: usize,
    ) -> Result<Vec<Object>, Error> {
        let objects = self.get_all(git, limit, names, most).await?;
        let found = objects.into_iter().zip(names);
        found.map(|(object, name)| object.ok_or_else(|| damaged(name, "is missing"))).collect()
    }

    async fn get_all(
        &mut self,
        git: &Git,
        limit: Duration,
        names: &[impl AsRef<str>],
        most: usize,
    ) -> Result<Vec<Option<Object>>, Error> {
        // Taken out: whoever gives up in the middle of an answer must not leave the rest of it.
        let mut process = match self.process.take() {
            Some(process) => process,
            None => Process::start(git)?,
        };
        let command = || "cat-file".to_owned();
        let objects = timeout(limit, process.get_all(names, most))
            .await
            .map_err(|_| Error::Timeout { command: command(), after: limit })?
            .map_err(|error| Error::Damaged { command: command(), text: error.to_string() })?;
        self.process = Some(process);
        Ok(objects)
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
            match tree::find(bytes, name.as_bytes()) {
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
    pub(crate) async fn tree(
        &mut self,
        git: &Git,
        limit: Duration,
        oid: Oid,
    ) -> Result<&[u8], Error> {
        self.load(git, limit, &[oid]).await?;
        Ok(self.trees.get(&oid).map(Vec::as_slice).unwrap_or_default())
    }

    /// Remembers trees, all that are not yet in one go.
    pub(crate) async fn load(
        &mut self,
        git: &Git,
        limit: Duration,
        oids: &[Oid],
    ) -> Result<(), Error> {
        let unknown = |trees: &HashMap<Oid, _>| -> Vec<Oid> {
            oids.iter().filter(|oid| !trees.contains_key(oid)).copied().collect()
        };
        let mut missing = unknown(&self.trees);
        if self.trees.len() + missing.len() > TREES {
            self.trees.clear();
            missing = unknown(&self.trees);
        }
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = missing.iter().map(|oid| format!("{oid}^{{tree}}")).collect();
        let objects = self.require_all(git, limit, &names, TREE_BYTES).await?;
        for (oid, object) in missing.into_iter().zip(objects) {
            let too_large = || damaged(&oid.to_string(), "is too large");
            self.trees.insert(oid, object.bytes.ok_or_else(too_large)?);
        }
        Ok(())
    }
}

impl Process {
    fn start(git: &Git) -> Result<Self, Error> {
        let mut group = git.start(&["cat-file", "--batch"])?;
        let pipes = group.child.stdin.take().zip(group.child.stdout.take());
        let (stdin, stdout) = pipes.ok_or_else(|| damaged("cat-file", "has no pipes"))?;
        Ok(Self { stdin, stdout: BufReader::new(stdout), _group: group })
    }

    async fn get_all(
        &mut self,
        names: &[impl AsRef<str>],
        most: usize,
    ) -> io::Result<Vec<Option<Object>>> {
        let lines: Vec<&str> = names.iter().flat_map(|name| [name.as_ref(), "\n"]).collect();
        let lines = lines.concat();
        let Self { stdin, stdout, .. } = self;
        // Both at once: git stops reading when nobody takes its answers.
        let write = stdin.write_all(lines.as_bytes());
        let read = async {
            let mut objects = Vec::with_capacity(names.len());
            for name in names {
                objects.push(answer(stdout, name.as_ref(), most).await?);
            }
            Ok(objects)
        };
        let ((), objects) = try_join!(write, read)?;
        Ok(objects)
    }
}

/// `<object> <type> <size>`, a line end, that many bytes, a line end.
async fn answer(
    from: &mut BufReader<ChildStdout>,
    name: &str,
    most: usize,
) -> io::Result<Option<Object>> {
    let mut head = String::new();
    from.read_line(&mut head).await?;
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
        from.read_exact(&mut buffer).await?;
        bytes = Some(buffer);
    } else {
        copy(&mut from.take(size as u64), &mut sink()).await?;
    }
    from.read_exact(&mut [0]).await?;
    Ok(Some(Object { oid, size, bytes }))
}

pub(crate) fn damaged(object: &str, what: &str) -> Error {
    Error::Damaged { command: "cat-file".to_owned(), text: format!("{object} {what}") }
}
