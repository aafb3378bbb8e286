//! What a request asks for, in either dialect.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// The body of a request; the two dialects differ little enough to share it.
#[derive(Deserialize)]
pub(super) struct Request<'a> {
    #[serde(borrow)]
    pub(super) model: Cow<'a, str>,
    #[serde(default)]
    pub(super) stream: bool,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
    #[serde(borrow, default)]
    system: Content<'a>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    pub(super) thinking: Option<Thinking<'a>>,
    #[serde(borrow)]
    reasoning_effort: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// The `thinking` of both dialects.
#[derive(Deserialize)]
pub(super) struct Thinking<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    pub(super) budget_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Content<'a>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<Cow<'a, str>>,
}

/// Who has said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// The operator, in the system prompt.
    System,
    /// A person, or a client in its name.
    Person,
    /// The model.
    Model,
    /// A tool, as its result.
    Tool,
}

/// A tool that the model may call.
#[derive(Debug, PartialEq)]
pub(super) struct Tool {
    pub(super) name: String,
    /// JSON Schema of the arguments.
    pub(super) schema: Value,
}

/// What a message says: its characters and images, and its texts for those who look for words.
#[derive(Default)]
struct Content<'a> {
    texts: Vec<Cow<'a, str>>,
    other_chars: usize,
    images: u64,
    tool_result: bool,
    /// The texts of results of tools.
    results: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Content<'a>,
}

impl Request<'_> {
    /// Whether the stream is to end with its usage.
    pub(super) fn include_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage)
    }

    /// The most tokens that the answer may have.
    pub(super) fn max_tokens(&self) -> Option<u64> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    /// Whether reasoning is wanted.
    pub(super) fn thinks(&self) -> bool {
        let effort = self.reasoning_effort.as_ref().is_some_and(|effort| effort != "none");
        self.thinking.as_ref().map_or(effort, |thinking| thinking.kind != "disabled")
    }

    /// Characters and images of the prompt.
    pub(super) fn size(&self) -> (usize, u64) {
        let start = (
            self.system.chars() + self.tools.map_or(0, |tools| tools.get().len()),
            self.system.images,
        );
        self.messages.iter().fold(start, |(chars, images), message| {
            let calls = message.tool_calls.map_or(0, |calls| calls.get().len());
            let reasoning = message.reasoning_content.as_ref().map_or(0, |text| text.len());
            (chars + message.content.chars() + calls + reasoning, images + message.content.images)
        })
    }

    /// The texts of the user's messages at the end: a client may append its own to the user's.
    pub(super) fn asked(&self) -> impl Iterator<Item = &str> {
        let last = self.messages.iter().rev();
        let users = last.take_while(|one| one.role == "user" && !one.content.tool_result);
        users.flat_map(|message| message.content.texts.iter().rev().map(Cow::as_ref))
    }

    /// The words of `[[kimi ...]]`, if the user says it.
    pub(super) fn marker(&self) -> Option<&str> {
        self.asked().find_map(|text| Some(text.split_once("[[kimi")?.1.split_once("]]")?.0))
    }

    /// All that was said, in order.
    pub(super) fn said(&self) -> impl Iterator<Item = (Speaker, Cow<'_, str>)> {
        let system = self.system.texts.iter().map(|text| (Speaker::System, Cow::Borrowed(&**text)));
        system.chain(self.messages.iter().flat_map(|message| {
            let speaker = match &*message.role {
                "user" => Speaker::Person,
                "assistant" => Speaker::Model,
                "tool" => Speaker::Tool,
                _ => Speaker::System,
            };
            let results = message.content.results.iter().map(|text| (Speaker::Tool, text));
            let texts = message.content.texts.iter().map(move |text| (speaker, text));
            results.chain(texts).map(|(speaker, text)| (speaker, Cow::Borrowed(&**text)))
        }))
    }

    /// The tools that the model may call.
    pub(super) fn tools(&self) -> Vec<Tool> {
        let list =
            self.tools.and_then(|tools| serde_json::from_str::<Vec<Value>>(tools.get()).ok());
        list.iter().flatten().filter_map(tool).collect()
    }

    /// The tool that the user wants called with `tool:NAME`.
    pub(super) fn tool(&self) -> Option<&str> {
        self.tools?;
        let named = self.asked().find_map(|text| Some(text.split_once("tool:")?.1))?;
        let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
        named.split(ends).next().filter(|name| !name.is_empty())
    }
}

/// A tool of either dialect.
fn tool(value: &Value) -> Option<Tool> {
    let function = value.get("function").unwrap_or(value);
    let name = function.get("name")?.as_str()?.to_owned();
    let schema = function.get("parameters").or_else(|| function.get("input_schema"));
    Some(Tool { name, schema: schema.cloned().unwrap_or_default() })
}

impl Content<'_> {
    fn chars(&self) -> usize {
        self.other_chars + self.texts.iter().map(|text| text.chars().count()).sum::<usize>()
    }
}

impl<'a> Extend<Block<'a>> for Content<'a> {
    fn extend<T: IntoIterator<Item = Block<'a>>>(&mut self, blocks: T) {
        for block in blocks {
            self.images += u64::from(matches!(&*block.kind, "image" | "image_url"));
            self.images += block.content.images;
            self.results.extend(block.content.texts.iter().cloned());
            self.tool_result |= block.kind == "tool_result";
            self.other_chars += block.content.chars();
            self.other_chars += block.thinking.map_or(0, |text| text.chars().count());
            self.other_chars += block.input.map_or(0, |input| input.get().len());
            self.texts.extend(block.text);
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, blocks or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Content::default())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Content { texts: vec![Cow::Borrowed(text)], ..Content::default() })
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Content { texts: vec![Cow::Owned(text.to_owned())], ..Content::default() })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut blocks: A) -> Result<Self::Value, A::Error> {
        let mut content = Content::default();
        while let Some(block) = blocks.next_element::<Block<'de>>()? {
            content.extend([block]);
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Request<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn texts_images_tools_and_calls_are_counted() {
        let request = parse(
            r#"{"model":"m","tools":[{}],"system":[{"type":"text","text":"ab"}],"messages":[
                {"role":"user","content":[{"type":"text","text":"ção"},
                    {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]},
                {"role":"assistant","content":null,"tool_calls":[1],"reasoning_content":"why"},
                {"role":"tool","tool_call_id":"c","content":"four"}]}"#,
        );
        assert_eq!(request.size(), (4 + 2 + 3 + 3 + 3 + 4, 1));
        assert_eq!(request.asked().count(), 0);
    }

    #[test]
    fn what_a_client_appends_does_not_hide_the_marker() {
        let request = parse(
            r#"{"model":"m","messages":[{"role":"user","content":"[[kimi status=500]]"},
                {"role":"assistant","content":"no"},
                {"role":"user","content":"go [[kimi frames=2 crlf]] \n"},
                {"role":"user","content":"(internal context)"}]}"#,
        );
        assert_eq!(request.marker(), Some(" frames=2 crlf"));
    }

    #[test]
    fn a_tool_is_called_once_and_its_result_answered_in_text() {
        let ask =
            r#"{"model":"m","tools":[],"messages":[{"role":"user","content":"tool:look_up!"}"#;
        assert_eq!(parse(&format!("{ask}]}}")).tool(), Some("look_up"));
        let result = r#"{"role":"user","content":[{"type":"tool_result","content":"tool:x"}]}"#;
        assert_eq!(parse(&format!("{ask},{result}]}}")).tool(), None);
    }
}
