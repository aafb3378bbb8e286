//! All there is, in a file.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::sleep;

use super::{Shared, state::State};

/// How soon a change is on disk.
const PAUSE: Duration = Duration::from_millis(300);

/// The state of before, if there is one.
pub(super) fn load(path: &Path) -> io::Result<Option<State>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the file after every change, and no oftener than [`PAUSE`].
pub(super) async fn keep(shared: Arc<Shared>, path: PathBuf) {
    let mut changed = shared.changed.subscribe();
    while changed.changed().await.is_ok() {
        sleep(PAUSE).await;
        changed.mark_unchanged();
        let bytes = serde_json::to_vec(&*shared.state.lock());
        let staged = path.with_extension("tmp");
        let written = bytes.map_err(io::Error::from).and_then(|bytes| {
            fs::write(&staged, bytes)?;
            fs::rename(&staged, &path)
        });
        if let Err(error) = written {
            anstream::eprintln!("{}: {error}", path.display());
        }
    }
}

/// Bytes as hexadecimal text; of large files none, for all of it is written at every change.
pub(super) mod bytes {
    use bytes::Bytes;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// The most bytes of a file that outlives a restart.
    const LARGE: usize = 1 << 20;

    pub(in super::super) fn serialize<S: Serializer>(
        bytes: &Bytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let kept = if bytes.len() > LARGE { &[] } else { bytes.as_ref() };
        serializer.serialize_str(&hex::encode(kept))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(text).map(Bytes::from).map_err(D::Error::custom)
    }
}
