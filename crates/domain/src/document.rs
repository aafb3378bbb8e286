//! From bytes to a typed document, or to every error that the bytes contain.
//!
//! A good document takes one pass of serde. Only a refused one is looked at again: its syntax, its
//! duplicate keys, then the whole tree against the type's own JSON Schema, so that all errors come
//! at once and each has a pointer.

use std::fmt;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, child};

mod walk;

/// Reads `bytes` of `file` as a `T`, refusing more than `limit` bytes.
pub fn parse<T>(file: &str, bytes: &[u8], limit: usize) -> Result<T, Vec<Diagnostic>>
where
    T: DeserializeOwned + JsonSchema,
{
    let refused = |pointer: &str, message: String| vec![Diagnostic::error(file, pointer, message)];
    if bytes.len() > limit {
        return Err(too_large(file, bytes.len() as u64, limit));
    }
    match serde_json::from_slice(bytes) {
        Ok(document) => Ok(document),
        Err(error) => {
            let text = utf8(file, bytes).map_err(|diagnostic| vec![diagnostic])?;
            let (value, mut errors) = tree(file, text)?;
            walk::walk(file, &schema::<T>(), &value, &mut errors);
            if errors.is_empty() {
                // The schema is wider than the type somewhere: serde's own word is better than none.
                return Err(refused("", without_position(&error)));
            }
            errors.sort();
            errors.dedup();
            Err(errors)
        }
    }
}

/// The refusal of a file of `bytes`, where at most `limit` are read.
pub fn too_large(file: &str, bytes: u64, limit: usize) -> Vec<Diagnostic> {
    let message = format!("found {bytes} bytes, expected at most {limit}: is it the right file?");
    vec![Diagnostic::error(file, "", message)]
}

/// The JSON Schema (draft 2020-12) of `T`, as editors and [`parse`] use it.
pub fn schema<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

fn utf8<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Diagnostic> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        let message = "found a byte order mark, expected plain UTF-8";
        return Err(Diagnostic::error(file, "", message).help("save the file without the BOM"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        Diagnostic::error(file, "", format!("found invalid UTF-8 at byte {at} (line {line})"))
            .help("save the file as UTF-8")
    })
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&position).unwrap_or(&text).to_owned()
}

/// The document as a tree, with an error for each key that stands twice in one object.
fn tree(file: &str, text: &str) -> Result<(Value, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut duplicates = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Tree { pointer: String::new(), duplicates: &mut duplicates };
    let value = seed.deserialize(&mut deserializer).and_then(|value| {
        deserializer.end()?;
        Ok(value)
    });
    match value {
        Ok(value) => {
            let error = |pointer: String| {
                Diagnostic::error(file, pointer, "found the key twice, expected it once")
                    .help("remove one of the two")
            };
            Ok((value, duplicates.into_iter().map(error).collect()))
        }
        Err(error) => {
            let message = format!(
                "found no valid JSON at line {}, column {}: {}",
                error.line(),
                error.column(),
                without_position(&error)
            );
            Err(vec![Diagnostic::error(file, "", message)])
        }
    }
}

/// Builds a [`Value`] and notes the pointers of duplicate keys, which serde_json drops in silence.
struct Tree<'a> {
    pointer: String,
    duplicates: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let pointer = child(&self.pointer, &items.len().to_string());
            match access.next_element_seed(Tree { pointer, duplicates: self.duplicates })? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let pointer = child(&self.pointer, &key);
            if object.contains_key(&key) {
                self.duplicates.push(pointer.clone());
            }
            let value = access.next_value_seed(Tree { pointer, duplicates: self.duplicates })?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
