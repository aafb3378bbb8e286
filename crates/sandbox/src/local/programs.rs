//! Where our own programs are.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result, ensure};

/// A folder with the services' programs, as `cargo build` leaves them.
#[derive(Clone, Debug)]
pub(super) struct Programs(PathBuf);

impl Programs {
    /// Those beside this program, or beside a test's.
    pub(super) fn beside_this_one() -> Result<Self> {
        let program = env::current_exe()?;
        let folder = program.parent().context("a program without a folder")?;
        let tests = folder.file_name().is_some_and(|name| name == "deps");
        let folder = if tests { folder.parent().unwrap_or(folder) } else { folder };
        Ok(Self(folder.to_owned()))
    }

    /// The program of this name.
    pub(super) fn find(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        ensure!(path.exists(), "{} is missing: cargo build --workspace --bins", path.display());
        Ok(path)
    }
}
