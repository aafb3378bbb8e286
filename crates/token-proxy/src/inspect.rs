//! What a request asks for, read from its body without building it.
//!
//! One pass finds the parameters that policy may change, each with its place, and estimates the
//! input. Everything else is never looked at, and reaches the provider as it came.

use std::ops::Range;

use serde::Deserialize;

use crate::json::{Malformed, Path, Token, walk_paths};

/// Bytes of text that make a token, in tenths: what Kimi's tokenizer makes of the prompts that
/// `OpenClaw` sends (33 KB are about 9,000 tokens).
const BYTES_PER_TEN_TOKENS: usize = 36;
/// What a picture counts, whatever its size.
const TOKENS_PER_IMAGE: u64 = 1_200;
/// Roles, brackets and templates around each message.
const TOKENS_PER_REQUEST: u64 = 16;

/// A parameter's value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) at: Range<usize>,
}

/// A body, read. A parameter that is `null` stands somewhere, but has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inspected {
    pub(crate) model: Placed<String>,
    /// Whether the answer is to come as an event stream.
    pub(crate) stream: bool,
    pub(crate) stream_options: Option<Placed<Option<StreamOptions>>>,
    pub(crate) max_tokens: Option<Placed<Option<u64>>>,
    pub(crate) max_completion_tokens: Option<Placed<Option<u64>>>,
    /// Answers wanted; each has the cap for itself.
    pub(crate) choices: u64,
    /// Both dialects have it, in the same form.
    pub(crate) thinking: Option<Placed<Option<Thinking>>>,
    pub(crate) reasoning_effort: Option<Placed<Option<String>>>,
    /// The estimate of the input, in tokens.
    pub(crate) input_tokens: u64,
}

/// The parameter `stream_options`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct StreamOptions {
    pub(crate) include_usage: Option<bool>,
}

/// The parameter `thinking`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Thinking {
    /// `enabled`, `disabled`, `adaptive`.
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    /// Tokens that may be thought, a part of the output.
    pub(crate) budget_tokens: Option<u64>,
}

/// Why a body is not a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotARequest {
    #[error("the body is not valid UTF-8")]
    NotText,
    #[error("the body is not valid JSON (at byte {at})")]
    NotJson { at: usize },
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("the name of a parameter is written with an escape")]
    EscapedName,
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` is not valid: expected {1}")]
    Invalid(&'static str, &'static str),
}

impl From<Malformed> for NotARequest {
    fn from(Malformed { at }: Malformed) -> Self {
        Self::NotJson { at }
    }
}

/// Parameters that policy looks at.
const NAMES: [&str; 8] = [
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "thinking",
    "reasoning_effort",
];

/// Reads a body.
pub(crate) fn inspect(body: &[u8]) -> Result<Inspected, NotARequest> {
    let text = std::str::from_utf8(body).map_err(|_| NotARequest::NotText)?;
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(NotARequest::NotAnObject);
    }
    let mut reader = Reader {
        text,
        value_at: 0,
        text_bytes: 0,
        images: 0,
        found: [const { None }; NAMES.len()],
        fault: None,
    };
    walk_paths(text, |path, token, at| reader.visit(path, token, at))?;
    reader.finish()
}

struct Reader<'a> {
    text: &'a str,
    value_at: usize,
    text_bytes: usize,
    images: u64,
    /// Where the members that `NAMES` names lie, in its order.
    found: [Option<Range<usize>>; NAMES.len()],
    fault: Option<NotARequest>,
}

impl Reader<'_> {
    fn visit(&mut self, path: &Path<'_>, token: Token, at: Range<usize>) {
        let member = path.depth() == 1;
        match token {
            Token::Open if member => self.value_at = at.start,
            Token::Close if member => self.member(path.name(), self.value_at..at.end),
            Token::Open | Token::Close => {}
            Token::Key => {
                self.text_bytes += at.len();
                if member && path.name().contains('\\') {
                    self.fault = Some(NotARequest::EscapedName);
                }
            }
            Token::Text if self.is_image(path, &at) => self.images += 1,
            Token::Text | Token::Scalar => {
                self.text_bytes += at.len();
                if member {
                    self.member(path.name(), at);
                }
            }
        }
    }

    /// A member of the body itself has been read.
    fn member(&mut self, name: &str, at: Range<usize>) {
        let found = self.found.iter_mut().zip(NAMES).find(|(_, known)| *known == name);
        if let Some((slot, known)) = found
            && slot.replace(at).is_some()
        {
            self.fault = Some(NotARequest::Twice(known));
        }
    }

    /// Whether a text is a picture where a provider takes it for one. Anything else that looks like
    /// one is text, and costs what text costs.
    fn is_image(&self, path: &Path<'_>, at: &Range<usize>) -> bool {
        match path.name() {
            "url" => {
                let rest = self.text.get(at.start + 1..).unwrap_or_default();
                rest.starts_with("data:")
                    && path.is(&["messages", "*", "content", "*", "image_url"])
            }
            "data" => {
                path.is(&["messages", "*", "content", "*", "source"])
                    || path.is(&["messages", "*", "content", "*", "content", "*", "source"])
            }
            _ => false,
        }
    }

    fn finish(self) -> Result<Inspected, NotARequest> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let [model, stream, stream_options, max_tokens, max_completion_tokens, n, thinking, effort] =
            self.found;
        let values = Values { text: self.text };
        let model = values.read("model", model, "a text")?.ok_or(NotARequest::Missing("model"))?;
        let stream = values.read("stream", stream, "true or false")?;
        let (expected, caps) = ("a number from 1 to 128", "a whole number");
        let choices = values.read("n", n, expected)?.and_then(|n| n.value).unwrap_or(1);
        if !(1..=128).contains(&choices) {
            return Err(NotARequest::Invalid("n", expected));
        }
        let tokens = self.text_bytes.saturating_mul(10).div_ceil(BYTES_PER_TEN_TOKENS);
        Ok(Inspected {
            model,
            stream: stream.and_then(|stream| stream.value).unwrap_or(false),
            stream_options: values.read("stream_options", stream_options, "an object")?,
            max_tokens: values.read("max_tokens", max_tokens, caps)?,
            max_completion_tokens: values.read(
                "max_completion_tokens",
                max_completion_tokens,
                caps,
            )?,
            choices,
            thinking: values.read("thinking", thinking, "an object with a type")?,
            reasoning_effort: values.read("reasoning_effort", effort, "a text")?,
            input_tokens: u64::try_from(tokens).unwrap_or(u64::MAX)
                + self.images * TOKENS_PER_IMAGE
                + TOKENS_PER_REQUEST,
        })
    }
}

struct Values<'a> {
    text: &'a str,
}

impl<'a> Values<'a> {
    fn read<T: Deserialize<'a>>(
        &self,
        name: &'static str,
        at: Option<Range<usize>>,
        expected: &'static str,
    ) -> Result<Option<Placed<T>>, NotARequest> {
        let Some(at) = at else { return Ok(None) };
        let text = self.text.get(at.clone()).unwrap_or_default();
        let value = serde_json::from_str(text).map_err(|_| NotARequest::Invalid(name, expected))?;
        Ok(Some(Placed { value, at }))
    }
}

#[cfg(test)]
mod tests;
