//! Tools: which one is asked for, and with what.

use serde_json::{Map, Value, json};

use super::{Conversation, Language, Tool, language::words};

/// Words that ask to note something, and to read.
const NOTE: &[&str] =
    &["anote", "anota", "anotar", "escreva", "grave", "registre", "note", "write"];
const READ: &[&str] = &["leia", "lê", "ler", "abra", "read", "open"];

impl Conversation {
    /// The tool that the person asks for, if there is such a one, and its arguments.
    pub(super) fn call(&self) -> Option<(String, Value)> {
        let words = words(self.last());
        let tool = self.asked(&words)?;
        let arguments = Filler { talk: self, words: &words, tool: &tool.name };
        let arguments = arguments.object(&tool.schema);
        Some((tool.name.clone(), arguments))
    }

    fn asked(&self, words: &[String]) -> Option<&Tool> {
        let find = |name: &str| self.tools.iter().find(|tool| tool.name.eq_ignore_ascii_case(name));
        let text = self.last();
        if let Some(rest) = text.split_once("tool:").map(|(_, rest)| rest) {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')));
            return find(rest.get(..end.unwrap_or(rest.len()))?);
        }
        let has = |list: &[&str]| words.iter().take(6).any(|word| list.contains(&word.as_str()));
        if has(&["ferramenta", "tool"]) {
            let named = words.iter().find_map(|word| find(word));
            if named.is_some() {
                return named;
            }
        }
        // What is asked about notes is a question, unless it begins with the verb.
        let first = |list: &[&str]| words.iter().take(3).any(|word| list.contains(&word.as_str()));
        match () {
            () if first(NOTE) => find("write"),
            () if first(READ) => find("read"),
            () if has(&["status"]) => find("session_status"),
            () => None,
        }
    }

    /// Where notes are.
    fn notes(&self) -> &'static str {
        match self.language {
            Language::Portuguese => "notas.md",
            Language::English => "notes.md",
        }
    }
}

/// Fills arguments by their schema.
struct Filler<'a> {
    talk: &'a Conversation,
    words: &'a [String],
    tool: &'a str,
}

impl Filler<'_> {
    /// An object with all fields that have to be there, and those that were plainly said.
    fn object(&self, schema: &Value) -> Value {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let fields = schema["properties"].as_object();
        let fields =
            fields.into_iter().flatten().filter(|(name, _)| required.contains(&name.as_str()));
        fields
            .map(|(name, schema)| (name.clone(), self.value(name, schema)))
            .collect::<Map<_, _>>()
            .into()
    }

    fn value(&self, name: &str, schema: &Value) -> Value {
        if let Some(fixed) = schema.get("const").or_else(|| schema["enum"].get(0)) {
            return fixed.clone();
        }
        let variants = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array());
        if let Some(first) = variants.into_iter().flatten().find(|one| one["type"] != "null") {
            return self.value(name, first);
        }
        let kind = schema["type"].as_str().or_else(|| schema.pointer("/type/0")?.as_str());
        match kind {
            Some("integer" | "number") => self.number(schema),
            Some("boolean") => false.into(),
            Some("array") => {
                let least = schema["minItems"].as_u64().unwrap_or(0);
                (0..least.min(3)).map(|_| self.value(name, &schema["items"])).collect()
            }
            Some("object") => self.object(schema),
            Some("null") => Value::Null,
            _ => self.text(name).into(),
        }
    }

    fn number(&self, schema: &Value) -> Value {
        let said = self.words.iter().find_map(|word| word.parse::<i64>().ok());
        said.map_or_else(|| schema.get("minimum").cloned().unwrap_or(json!(1)), Value::from)
    }

    fn text(&self, name: &str) -> String {
        match name {
            "path" | "file_path" | "file" | "filename" => self.path(),
            "content" | "contents" if self.tool == "write" => self.notes(),
            _ => matter(self.talk.last()).to_owned(),
        }
    }

    /// The file that is named, or that of the notes.
    fn path(&self) -> String {
        let is_file = |word: &&String| {
            word.rsplit_once('.')
                .is_some_and(|(stem, kind)| !stem.is_empty() && (1..=5).contains(&kind.len()))
                && !word.starts_with('/')
                && !word.contains("..")
        };
        self.words.iter().find(is_file).cloned().unwrap_or_else(|| self.talk.notes().to_owned())
    }

    /// All that was to be noted so far: a file is written whole.
    fn notes(&self) -> String {
        let asks =
            |text: &&String| words(text).iter().take(3).any(|word| NOTE.contains(&word.as_str()));
        let lines = self.talk.said.iter().filter(asks).map(|text| format!("- {}\n", matter(text)));
        lines.collect()
    }
}

/// What a request is about: without the words that ask.
fn matter(text: &str) -> &str {
    let mut rest = text.trim();
    let before = [
        "por favor",
        "please",
        "anote",
        "anota",
        "anotar",
        "escreva",
        "grave",
        "registre",
        "note down",
        "note",
        "write down",
        "write",
        "leia",
        "read",
        "que",
        "that",
        "aí",
        ":",
        ",",
        "-",
    ];
    while let Some(next) = before.iter().find_map(|word| strip(rest, word)) {
        rest = next;
    }
    if rest.is_empty() { text.trim() } else { rest }
}

/// A text without a word at its start, in any case.
fn strip<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(word.len())?;
    let ends = !word.ends_with(char::is_alphanumeric) || !rest.starts_with(char::is_alphanumeric);
    (start.eq_ignore_ascii_case(word) && ends).then(|| rest.trim_start())
}
