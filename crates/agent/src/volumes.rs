//! What the pod's volumes say, and when they say something else.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// The gateway's configuration, among the files of the ConfigMap.
pub(crate) const CONFIG: &str = "openclaw.json";

/// The volumes of a ConfigMap and a Secret, as a kubelet keeps them: the files are links through
/// `..data`, itself a link to a folder that never changes, which is exchanged as a whole.
#[derive(Debug)]
pub(crate) struct Volumes {
    workspace: PathBuf,
    secret: PathBuf,
    seen: Option<[PathBuf; 2]>,
}

/// What they say at one moment.
pub(crate) struct Given {
    /// Configuration and prompts by name, without any secret.
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) platform_token: String,
    /// What stands before the token in the path of the Bot API root.
    pub(crate) telegram_number: String,
}

impl Volumes {
    /// The volumes `workspace` and `secret` below `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { workspace: folder.join("workspace"), secret: folder.join("secret"), seen: None }
    }

    /// What they say, if that is something else than at the last call which gave something.
    pub(crate) fn poll(&mut self) -> Result<Option<Given>> {
        let now = [current(&self.workspace)?, current(&self.secret)?];
        if self.seen.as_ref() == Some(&now) {
            return Ok(None);
        }
        let [workspace, secret] = &now;
        let given = Given {
            files: read_all(workspace)?,
            platform_token: read(&secret.join("platform-token"))?,
            telegram_number: read(&secret.join("telegram-number"))?,
        };
        self.seen = Some(now);
        Ok(Some(given))
    }

    /// The next call gives what they say then, whatever that is.
    pub(crate) fn forget(&mut self) {
        self.seen = None;
    }
}

impl Given {
    /// SHA-256 in hex of names and contents, each ended by a zero byte, in the order of the names.
    pub(crate) fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for part in self.files.iter().flat_map(|(name, text)| [name, text]) {
            hash.update(part);
            hash.update([0]);
        }
        hex::encode(hash.finalize())
    }

    /// The gateway's configuration with its variables filled in.
    pub(crate) fn configuration(&self, gateway_token: &str, workspace: &Path) -> Result<String> {
        let mut text = self.files.get(CONFIG).context(CONFIG)?.clone();
        let telegram = format!("{}:{}", self.telegram_number, self.platform_token);
        for (name, value) in [
            ("OPENCLAW_PLATFORM_TOKEN", self.platform_token.as_str()),
            ("OPENCLAW_TELEGRAM_TOKEN", &telegram),
            ("OPENCLAW_GATEWAY_TOKEN", gateway_token),
            ("OPENCLAW_WORKSPACE_DIR", workspace.to_str().context("the workspace's path")?),
        ] {
            // Each stands inside of a JSON string.
            let quoted = serde_json::to_string(value)?;
            let inside = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            text = text.replace(&format!("${{{name}}}"), inside.unwrap_or_default());
        }
        Ok(text)
    }
}

/// The folder that `..data` names now.
fn current(volume: &Path) -> Result<PathBuf> {
    let link = volume.join("..data");
    let target = fs::read_link(&link).with_context(|| link.display().to_string())?;
    Ok(volume.join(target))
}

fn read_all(folder: &Path) -> Result<BTreeMap<String, String>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    entries
        .map(|entry| {
            let name = entry?.file_name().into_string().ok().context("a file's name")?;
            let text = read_whole(&folder.join(&name))?;
            Ok((name, text))
        })
        .collect()
}

/// A secret, without the file's last line end.
fn read(path: &Path) -> Result<String> {
    Ok(read_whole(path)?.trim_end_matches(['\r', '\n']).to_owned())
}

fn read_whole(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// Exchanges a volume's content as a kubelet does.
    fn publish(volume: &Path, version: &str, files: &[(&str, &str)]) {
        let folder = volume.join(version);
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        symlink(version, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    }

    fn volumes() -> (TempDir, Volumes) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let config = r#"{"token": "${OPENCLAW_GATEWAY_TOKEN}", "x": "${OPENCLAW_PLATFORM_TOKEN}",
            "bot": "${OPENCLAW_TELEGRAM_TOKEN}", "at": "${OPENCLAW_WORKSPACE_DIR}", "y": "${OTHER}"}"#;
        publish(&path.join("workspace"), "..1", &[(CONFIG, config), ("SOUL.md", "Kind.")]);
        publish(
            &path.join("secret"),
            "..1",
            &[("platform-token", "abc.def\n"), ("telegram-number", "7")],
        );
        let volumes = Volumes::new(path);
        (folder, volumes)
    }

    #[test]
    fn every_variable_of_ours_is_filled_in_and_no_other() {
        let (_folder, mut volumes) = volumes();
        let given = volumes.poll().unwrap().unwrap();
        let text = given.configuration("g", Path::new(r#"/a "b""#)).unwrap();
        let filled: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({"token": "g", "x": "abc.def", "bot": "7:abc.def",
            "at": r#"/a "b""#, "y": "${OTHER}"});
        assert_eq!(filled, expected);
    }

    #[test]
    fn only_what_has_changed_is_told_and_the_hash_knows_no_secret() {
        let (folder, mut volumes) = volumes();
        let first = volumes.poll().unwrap().unwrap();
        assert!(volumes.poll().unwrap().is_none());
        let secret = [("platform-token", "new"), ("telegram-number", "8")];
        publish(&folder.path().join("secret"), "..2", &secret);
        let second = volumes.poll().unwrap().unwrap();
        assert_eq!((second.platform_token.as_str(), second.telegram_number.as_str()), ("new", "8"));
        assert_eq!(first.hash(), second.hash());
        publish(&folder.path().join("workspace"), "..2", &[(CONFIG, "{}"), ("SOUL.md", "Kind.")]);
        assert_ne!(volumes.poll().unwrap().unwrap().hash(), first.hash());
    }

    #[test]
    fn a_volume_that_cannot_be_read_is_read_again() {
        let (folder, mut volumes) = volumes();
        volumes.poll().unwrap();
        publish(&folder.path().join("secret"), "..2", &[("platform-token", "new")]);
        assert!(volumes.poll().is_err());
        fs::write(folder.path().join("secret/..2/telegram-number"), "8").unwrap();
        assert_eq!(volumes.poll().unwrap().unwrap().telegram_number, "8");
    }
}
