//! An output folder that is replaced as a whole.
//!
//! Everything is written to a sibling, `.<name>.staging`, which then changes places with the output
//! in one rename. A kill before leaves the old output, a kill after leaves the new one and a
//! sibling that the next run removes. A lock on `.<name>.lock` keeps a second run waiting.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read as _},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest, Sha256};

use super::Index;
use crate::failure::Failure;

/// The file by which we know a folder as our own output.
pub(super) const INDEX: &str = "index.json";

/// A new output in the making.
pub(super) struct Staging {
    out: PathBuf,
    staged: PathBuf,
    /// Held until the output is in its place; the system frees it when the process dies.
    _lock: File,
}

/// A file of the output, rendered and compared with the one before.
pub(super) struct Prepared {
    pub path: String,
    pub sha256: String,
    /// Nothing where the old file has the same.
    bytes: Option<Vec<u8>>,
}

/// Refuses an output folder that holds anything but an earlier output.
pub(super) fn refuse_foreign(out: &Path) -> Result<(), Failure> {
    let refuse = |what: &str| {
        Err(Failure::Usage(format!("--out {} {what}; it is left as it is", out.display())))
    };
    match fs::symlink_metadata(out) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::io("read", out, &error)),
        Ok(metadata) if metadata.is_symlink() => return refuse("is a symbolic link"),
        Ok(metadata) if !metadata.is_dir() => return refuse("is no folder"),
        Ok(_) => {}
    }
    let mut entries = fs::read_dir(out).map_err(|error| Failure::io("read", out, &error))?;
    if entries.next().is_some() && !is_index(&out.join(INDEX)) {
        return refuse("is not empty and has no index.json of ours");
    }
    Ok(())
}

/// Whether the file is an index as we write it, not somebody else's `index.json`.
fn is_index(path: &Path) -> bool {
    // A pipe of that name would keep us waiting for its writer.
    if !path.is_file() {
        return false;
    }
    fs::read(path).is_ok_and(|bytes| serde_json::from_slice::<Index>(&bytes).is_ok())
}

impl Staging {
    /// Waits for its turn and makes an empty sibling of `out`.
    pub(super) fn begin(out: &Path) -> Result<Self, Failure> {
        let Some(name) = out.file_name() else {
            return Err(Failure::Usage(format!("--out {} has no name", out.display())));
        };
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(|error| Failure::io("make", parent, &error))?;
        let sibling = |suffix: &str| {
            let mut sibling = std::ffi::OsString::from(".");
            sibling.push(name);
            sibling.push(suffix);
            parent.join(sibling)
        };
        let lock = lock(&sibling(".lock"))?;
        // Again, now that nobody else writes.
        refuse_foreign(out)?;
        let staged = sibling(".staging");
        remove(&staged)?;
        fs::create_dir(&staged).map_err(|error| Failure::io("make", &staged, &error))?;
        Ok(Self { out: out.to_path_buf(), staged, _lock: lock })
    }

    /// Makes a folder of the output.
    pub(super) fn folder(&self, path: &str) -> Result<(), Failure> {
        let path = self.staged.join(path);
        fs::create_dir(&path).map_err(|error| Failure::io("make", &path, &error))
    }

    /// Makes a file ready to be written. Touches no folder, so it may run on many threads.
    pub(super) fn prepare(&self, path: String, bytes: Vec<u8>) -> Prepared {
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let bytes = (!has_bytes(&self.out.join(&path), &bytes)).then_some(bytes);
        Prepared { path, sha256, bytes }
    }

    /// Writes a file of the output: the old one again where it has the same bytes.
    pub(super) fn write(&self, file: &Prepared) -> Result<(), Failure> {
        let (old, new) = (self.out.join(&file.path), self.staged.join(&file.path));
        match &file.bytes {
            Some(bytes) => fs::write(&new, bytes),
            // A file system that refuses links gets a copy.
            None => fs::hard_link(&old, &new).or_else(|_| fs::copy(&old, &new).map(drop)),
        }
        .map_err(|error| Failure::io("write", &new, &error))
    }

    /// Puts the new output into its place and removes the old one.
    pub(super) fn commit(self) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::io("replace", &self.out, &error);
        match renameat_with(CWD, &self.staged, CWD, &self.out, RenameFlags::EXCHANGE) {
            Ok(()) => remove(&self.staged),
            Err(rustix::io::Errno::NOENT) => fs::rename(&self.staged, &self.out).map_err(failed),
            Err(error) => Err(failed(error.into())),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After a failure only; what cannot be removed now is removed by the next run.
        let _ = fs::remove_dir_all(&self.staged);
    }
}

fn lock(path: &Path) -> Result<File, Failure> {
    let failed = |error: io::Error| Failure::io("lock", path, &error);
    let file = File::options().create(true).append(true).open(path).map_err(failed)?;
    if file.try_lock().is_err() {
        anstream::eprintln!("waiting for another render into the same folder");
        file.lock().map_err(failed)?;
    }
    Ok(file)
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Failure::io("remove", path, &error))
        }
        _ => Ok(()),
    }
}

/// Whether `path` is a regular file of just these bytes. What is none is not opened: a pipe would
/// block, and a link would be kept as a link.
fn has_bytes(path: &Path, bytes: &[u8]) -> bool {
    let same_size = fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes.len() as u64);
    let mut old = vec![0; if same_size { bytes.len() } else { 0 }];
    same_size
        && File::open(path).and_then(|mut file| file.read_exact(&mut old)).is_ok()
        && old == bytes
}
