//! Edits of a JSON document by pointer, which keep its author's order of keys.

use std::{collections::BTreeMap, fmt};

use oc_domain::diagnostic::child;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor, value::SeqAccessDeserializer},
    ser::SerializeMap as _,
};
use serde_json::Value;

/// A JSON document whose objects keep their order, and keys that stand twice.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Object(Vec<(String, Node)>),
    /// Anything else: an edit puts a list as a whole.
    Other(Value),
}

/// One edit that changed something.
#[derive(Debug)]
pub(crate) struct Changed<'a> {
    pub pointer: &'a str,
    pub before: Option<Value>,
    pub after: Option<&'a Value>,
}

/// Applies `edits` in the order of their pointers and tells which of them changed something.
///
/// Objects on the way to a field that is put are made where they are missing. A pointer into a list
/// is refused: between the reading and the writing of it, its places may have come to mean others.
pub(crate) fn apply<'a>(
    document: &mut Node,
    edits: &'a BTreeMap<String, Option<Value>>,
) -> Result<Vec<Changed<'a>>, String> {
    let mut changes = Vec::new();
    for (pointer, after) in edits {
        let path = tokens(pointer)?;
        let after = after.as_ref();
        let before = document.replace("", &path, after)?;
        if before.as_ref() != after {
            changes.push(Changed { pointer, before, after });
        }
    }
    Ok(changes)
}

/// The keys that an RFC 6901 pointer to a part of a document names.
fn tokens(pointer: &str) -> Result<Vec<String>, String> {
    let invalid = || format!("{pointer:?} is no JSON pointer to a field");
    let rest = pointer.strip_prefix('/').ok_or_else(invalid)?;
    let token = |token: &str| {
        let stray = token.replace("~0", "").replace("~1", "").contains('~');
        (!stray).then(|| token.replace("~1", "/").replace("~0", "~")).ok_or_else(invalid)
    };
    rest.split('/').map(token).collect()
}

impl Node {
    /// Puts `after` in the place that `path` names, or empties it, and returns what was there. What
    /// equals `after` already is left as it is written.
    fn replace(
        &mut self,
        here: &str,
        path: &[String],
        after: Option<&Value>,
    ) -> Result<Option<Value>, String> {
        let Some((key, rest)) = path.split_first() else { return Ok(None) };
        let Self::Object(fields) = self else {
            return Err(format!("{here:?} is no object, so it has no field {key:?}"));
        };
        let found = fields.iter().position(|(name, _)| name == key);
        let field = found.and_then(|index| fields.get_mut(index)).map(|(_, node)| node);
        match (field, after) {
            (None, None) => Ok(None),
            (Some(node), _) if !rest.is_empty() => node.replace(&child(here, key), rest, after),
            (Some(node), Some(after)) => {
                let before = node.value();
                if before != *after {
                    *node = after.into();
                }
                Ok(Some(before))
            }
            (Some(node), None) => {
                let before = node.value();
                fields.retain(|(name, _)| name != key);
                Ok(Some(before))
            }
            (None, Some(after)) => {
                fields.push((key.clone(), Self::nested(rest, after)));
                Ok(None)
            }
        }
    }

    /// Objects around `value`, one for each of `path`.
    fn nested(path: &[String], value: &Value) -> Self {
        path.iter()
            .rfold(value.into(), |inner, key| Self::Object(Vec::from([(key.clone(), inner)])))
    }

    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Object(fields) => {
                let field = |(key, node): &(String, Self)| (key.clone(), node.value());
                Value::Object(fields.iter().map(field).collect())
            }
            Self::Other(value) => value.clone(),
        }
    }
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        match value {
            Value::Object(fields) => Self::Object(
                fields.iter().map(|(key, value)| (key.clone(), value.into())).collect(),
            ),
            value => Self::Other(value.clone()),
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, node) in fields {
                    map.serialize_entry(key, node)?;
                }
                map.end()
            }
            Self::Other(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Other(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Other(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Other(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Other(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Other(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Other(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Node, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(access)).map(Node::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = access.next_entry()? {
            fields.push(field);
        }
        Ok(Node::Object(fields))
    }
}

#[cfg(test)]
mod tests;
