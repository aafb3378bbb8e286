//! From bytes to a typed document, or to every error that the bytes contain.
//!
//! Every document is held against its type's own JSON Schema before serde sees it. Serde alone
//! stops at the first error, has no pointers, keeps the last of two equal keys, and takes a list of
//! the fields for an object and `{"active": null}` for `"active"`, which no script that edits by
//! pointer, no editor and no API server would.
//!
//! A document in the very words that we would write it in holds none of that, and most files of a
//! fleet are such: those are read by serde and compared.

use std::fmt;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{
    Serialize,
    de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, child};

mod walk;

/// What a file can be read as.
pub trait Document: DeserializeOwned + Serialize + JsonSchema {
    /// The [`schema`] of the type, made once.
    fn schema() -> &'static Value;

    /// Whether the schema is known to allow whatever this writes itself as; where nobody knows, it
    /// is asked.
    fn is_plain(&self) -> bool {
        false
    }
}

/// Reads `bytes` of `file` as a `T`, refusing more than `limit` bytes.
pub fn parse<T: Document>(file: &str, bytes: &[u8], limit: usize) -> Result<T, Vec<Diagnostic>> {
    match read(file, bytes, limit) {
        (Some(document), errors) if errors.is_empty() => Ok(document),
        (_, errors) => Err(errors),
    }
}

/// Like [`parse`], for callers with rules of their own: where the errors are such that there is a
/// `T` nevertheless, it is given, so that one run finds what is wrong with it too.
pub(crate) fn read<T: Document>(
    file: &str,
    bytes: &[u8],
    limit: usize,
) -> (Option<T>, Vec<Diagnostic>) {
    if bytes.len() > limit {
        return (None, too_large(file, bytes.len() as u64, limit));
    }
    if let Some(document) = as_written(bytes) {
        return (Some(document), Vec::new());
    }
    let (value, mut errors) = match utf8(file, bytes).and_then(|text| tree(file, text)) {
        Ok(read) => read,
        Err(error) => return (None, vec![error]),
    };
    let kinds_fit = walk::walk(file, T::schema(), &value, &mut errors);
    errors.sort();
    errors.dedup();
    if !kinds_fit {
        // Serde may find its way nevertheless, but pointers into what it made would mislead.
        return (None, errors);
    }
    let document = T::deserialize(value);
    if let (Err(error), true) = (&document, errors.is_empty()) {
        // Where the schema is wider than the type, serde's own word is better than none.
        errors.push(Diagnostic::error(file, "", error.to_string()));
    }
    (document.ok(), errors)
}

/// The document, where the bytes are what [`text`] makes of it and it [is plain](Document::is_plain).
fn as_written<T: Document>(bytes: &[u8]) -> Option<T> {
    let document: T = serde_json::from_slice(bytes).ok()?;
    let same = document.is_plain() && text(&document).ok()?.as_bytes() == bytes;
    same.then_some(document)
}

/// The refusal of a file of `bytes`, where at most `limit` are read.
pub fn too_large(file: &str, bytes: u64, limit: usize) -> Vec<Diagnostic> {
    let message = format!("found {bytes} bytes, expected at most {limit}: is it the right file?");
    vec![Diagnostic::error(file, "", message)]
}

/// A document as our tools write it: two spaces a level, and a line end.
pub fn text(document: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    Ok(text)
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
        let utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
        let found = if utf16 { "UTF-16" } else { "bytes that are no UTF-8" };
        let message = format!("found {found} at line {line} (byte {at}), expected UTF-8");
        Diagnostic::error(file, "", message).help("save the file as UTF-8")
    })
}

/// The document as a tree, with an error for each key that stands twice in one object.
fn tree(file: &str, text: &str) -> Result<(Value, Vec<Diagnostic>), Diagnostic> {
    let mut duplicates = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Tree { pointer: String::new(), duplicates: &mut duplicates };
    let value = seed.deserialize(&mut deserializer).and_then(|value| {
        deserializer.end()?;
        Ok(value)
    });
    let value = value.map_err(|error| syntax(file, text, &error))?;
    let error = |pointer: String| {
        Diagnostic::error(file, pointer, "found the key twice, expected it once")
            .help("remove one of the two")
    };
    Ok((value, duplicates.into_iter().map(error).collect()))
}

/// What is wrong with a text that is no JSON, in the words of its author and not of the parser.
fn syntax(file: &str, text: &str, error: &serde_json::Error) -> Diagnostic {
    let (line, column) = (error.line(), error.column());
    let refused = |message: String| Diagnostic::error(file, "", message);
    if text.trim().is_empty() {
        return refused("found an empty file, expected a JSON object".to_owned());
    }
    let content = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    if ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|marker| content.starts_with(marker)) {
        return refused(format!("found a merge conflict at line {line}, expected it resolved"));
    }
    // The parser counts a line end as the start of the next line.
    let at = match column {
        0 => format!("at the end of line {}", line.saturating_sub(1)),
        _ => format!("at line {line}, column {column}"),
    };
    if error.is_eof() {
        return refused(format!("found the end of the file {at}, expected more: is it cut off?"));
    }
    let character = content.get(column.saturating_sub(1)..).and_then(|rest| rest.chars().next());
    let found =
        character.map_or("the end of the line".to_owned(), |c| format!("{:?}", c.to_string()));
    let quotes = "JSON has no comments, no comma before a closing brace, and double quotes only";
    match without_position(error).as_str() {
        "trailing comma" => refused(format!(
            "found a comma before {found} {at}, expected none after the last entry"
        )),
        "key must be a string" => {
            refused(format!("found {found} {at}, expected a field's name in double quotes"))
                .help(quotes)
        }
        "expected value" | "expected ident" => {
            refused(format!("found {found} {at}, expected a value")).help(quotes)
        }
        "trailing characters" => {
            refused(format!("found {found} {at}, after the end of the document, expected no more"))
        }
        "recursion limit exceeded" => {
            refused(format!("found values nested over 100 deep {at}, expected a few levels"))
        }
        "number out of range" => refused(format!("found too large a number {at}")),
        other if other.starts_with("control character") => refused(format!(
            "found a line break or control character in a text {at}, expected its closing quote"
        )),
        other if other.contains("escape") || other.contains("surrogate") => {
            refused(format!("found a backslash with no valid escape {at}"))
        }
        other if other.starts_with("expected") => refused(format!("found {found} {at}, {other}")),
        other => refused(format!("found {found} {at}: {other}")),
    }
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&position).unwrap_or(&text).to_owned()
}

/// Builds a [`Value`] and notes the pointers of duplicate keys, which `serde_json` drops in silence.
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
