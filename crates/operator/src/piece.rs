//! An object that is to be applied, as bytes.

use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::{
    digest::Digest,
    kind::{Key, Kind},
};

/// An object of a tenant.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) key: Key,
    /// As JSON.
    pub(crate) body: Vec<u8>,
    pub(crate) digest: Digest,
}

/// Why a rendering is none that can be applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it is no JSON")]
    Json(#[from] serde_json::Error),
    #[error("it holds an object of kind {0:?}")]
    Kind(String),
    #[error("it holds an object without a name")]
    Name,
}

impl Piece {
    /// An object as it was rendered.
    pub(crate) fn new(kind: &str, name: &str, object: &impl Serialize) -> Result<Self, Unreadable> {
        let known: Kind = kind.parse().map_err(|_| Unreadable::Kind(kind.to_owned()))?;
        let body = serde_json::to_vec(object)?;
        let digest = Digest::of(&body);
        Ok(Self { key: (known, name.to_owned()), body, digest })
    }

    /// The objects of a rendering that was kept, see [`Self::join`].
    pub(crate) fn split(json: &[u8]) -> Result<Vec<Self>, Unreadable> {
        // As they were, byte for byte: another order of fields would be another digest.
        let objects: Vec<&RawValue> = serde_json::from_slice(json)?;
        objects
            .into_iter()
            .map(|raw| {
                let object: Value = serde_json::from_str(raw.get())?;
                let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
                let kind = text("/kind").unwrap_or_default();
                Self::new(kind, text("/metadata/name").ok_or(Unreadable::Name)?, &raw)
            })
            .collect()
    }

    /// Objects as one JSON array.
    pub(crate) fn join(pieces: &[Self]) -> Vec<u8> {
        let bodies: Vec<&[u8]> = pieces.iter().map(|piece| piece.body.as_slice()).collect();
        [b"[", bodies.join(&b","[..]).as_slice(), b"]"].concat()
    }

    /// A text in it.
    pub(crate) fn text(&self, pointer: &str) -> Option<String> {
        let object: Value = serde_json::from_slice(&self.body).ok()?;
        object.pointer(pointer)?.as_str().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_kept_is_byte_for_byte_what_was_rendered() {
        let metadata = ObjectMeta { name: Some("a".to_owned()), ..ObjectMeta::default() };
        let data = Some(BTreeMap::from([("b".to_owned(), "c".to_owned())]));
        // Its fields are not in the order of their names.
        let object = ConfigMap { metadata, data, ..ConfigMap::default() };
        let piece = Piece::new("ConfigMap", "a", &object).unwrap();
        let again = Piece::split(&Piece::join(std::slice::from_ref(&piece))).unwrap();
        assert_eq!(again[0].digest, piece.digest);
    }

    #[test]
    fn what_is_joined_is_split_into_the_same() {
        let object = |kind: &str, name: &str| {
            let object = json!({ "kind": kind, "metadata": { "name": name } });
            Piece::new(kind, name, &object).unwrap()
        };
        let pieces = [object("Namespace", "a"), object("Deployment", "b")];
        let again = Piece::split(&Piece::join(&pieces)).unwrap();
        let keys = |pieces: &[Piece]| pieces.iter().map(|it| it.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&again), keys(&pieces));
        assert_eq!(again[0].digest, pieces[0].digest);
        assert!(Piece::split(&Piece::join(&[])).unwrap().is_empty());
        assert!(Piece::new("Pod", "a", &json!({})).is_err());
    }
}
