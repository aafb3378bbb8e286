//! The keys of a local stack, made once.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use oc_platform_token::SigningKey;

/// A folder with one file for each key.
#[derive(Clone, Debug)]
pub(super) struct Keys(PathBuf);

/// Keys that are random letters: of our own APIs, of short links, of Stripe's events.
const RANDOM: [&str; 4] = ["internal", "admin", "links", "webhook"];

impl Keys {
    /// Those in `folder`; what is missing is made.
    pub(super) fn in_folder(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        let keys = Self(folder.to_owned());
        for name in RANDOM {
            keys.make(name, || Ok(hex::encode(random::<24>()?)))?;
        }
        keys.make("envelope", || Ok(format!("local {}", STANDARD.encode(random::<32>()?))))?;
        keys.make("signing", || Ok(SigningKey::generate()?))?;
        let public = SigningKey::parse(&keys.read("signing")?)?.public().to_string();
        fs::write(keys.path("public"), public)?;
        Ok(keys)
    }

    /// Where a key lies.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A key.
    pub(super) fn read(&self, name: &str) -> Result<String> {
        let path = self.path(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// Writes a key that somebody else has made.
    pub(super) fn write(&self, name: &str, key: &str) -> Result<()> {
        let path = self.path(name);
        fs::write(&path, key).with_context(|| path.display().to_string())
    }

    fn make(&self, name: &str, key: impl FnOnce() -> Result<String>) -> Result<()> {
        if self.path(name).exists() { Ok(()) } else { self.write(name, &key()?) }
    }
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes)?;
    Ok(bytes)
}
