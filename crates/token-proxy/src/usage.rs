//! What an answer says that it cost, read on the side while its bytes go on to the client.
//!
//! Providers say it in several places, and their documents contradict themselves: a last chunk
//! without choices, the chunk with the finish reason, its only choice, and for Anthropic's dialect
//! the first and the last events. All are read, the last wins, and an explicit 0 is a value.

use oc_domain::usage::Tokens;
use serde::Deserialize;

use crate::json::{Path, Token, walk_paths};

mod sse;

pub(crate) use sse::{Events, Withhold};

/// Bytes of text that make a token, in tenths: as for the input.
const BYTES_PER_TEN_TOKENS: u64 = 36;

/// What has been seen of an answer so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    usage: Usage,
    /// Bytes of text that the model wrote.
    text_bytes: u64,
    /// The answer says that it is whole.
    pub(crate) finished: bool,
    /// The provider reported an error inside of the answer.
    pub(crate) failed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    input: Option<u64>,
    cached: u64,
    output: Option<u64>,
    reasoning: u64,
}

/// What one payload was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Usage and no choice: the chunk that `include_usage` adds.
    UsageOnly,
    /// Anything else.
    Other,
}

/// Usage as both dialects write it.
#[derive(Debug, Deserialize)]
struct Wire {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl Seen {
    /// The provider's count, once the answer has said all of it.
    pub(crate) fn measured(&self) -> Option<Tokens> {
        let Usage { input: Some(input), cached, output: Some(output), reasoning } = self.usage
        else {
            return None;
        };
        self.finished.then_some(Tokens { input, cached_input: cached, output, reasoning })
    }

    /// Output tokens by our own count of the text so far.
    pub(crate) fn counted_output(&self) -> u64 {
        self.text_bytes.saturating_mul(10).div_ceil(BYTES_PER_TEN_TOKENS)
    }

    /// The best that can be said of an answer that did not say it: its own word on the input where
    /// it gave one, else `input`, and the text that was counted.
    pub(crate) fn estimated(&self, input: u64) -> Tokens {
        let counted = self.counted_output();
        Tokens {
            input: self.usage.input.unwrap_or(input),
            cached_input: self.usage.cached,
            output: self.usage.output.unwrap_or(0).max(counted),
            reasoning: self.usage.reasoning,
        }
    }

    /// Reads one payload: an event's data, or the whole of an answer that is no stream.
    pub(crate) fn read(&mut self, payload: &[u8]) -> Payload {
        let Ok(text) = std::str::from_utf8(payload) else { return Payload::Other };
        let text = text.trim();
        if text == "[DONE]" {
            self.finished = true;
            return Payload::Other;
        }
        let mut reader =
            Reader { text, seen: self, usage_at: 0, found_usage: false, choices: None };
        let walked =
            walk_paths(text, |path, token, at| reader.visit(path, token, at.start, at.end));
        let usage_only = walked.is_ok() && reader.found_usage && reader.choices == Some(0);
        if usage_only {
            self.finished = true;
        }
        if usage_only { Payload::UsageOnly } else { Payload::Other }
    }

    fn take(&mut self, wire: &Wire) {
        let cached_in_prompt =
            wire.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens);
        if let Some(prompt) = wire.prompt_tokens {
            // Both spellings of the same number, and the prompt includes it.
            let cached = wire.cached_tokens.or(cached_in_prompt).unwrap_or(0).min(prompt);
            self.usage.input = Some(prompt - cached);
            self.usage.cached = cached;
        }
        if let Some(output) = wire.completion_tokens.or(wire.output_tokens) {
            self.usage.output = Some(output);
        }
        if let Some(details) = &wire.completion_tokens_details {
            self.usage.reasoning = details.reasoning_tokens.unwrap_or(0);
        }
        if let Some(input) = wire.input_tokens {
            let created = wire.cache_creation_input_tokens.unwrap_or(0);
            self.usage.input = Some(input.saturating_add(created));
        }
        if let Some(cached) = wire.cache_read_input_tokens {
            self.usage.cached = cached;
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    seen: &'a mut Seen,
    usage_at: usize,
    found_usage: bool,
    /// How many choices there are, where it is said.
    choices: Option<u32>,
}

impl Reader<'_> {
    fn visit(&mut self, path: &Path<'_>, token: Token, start: usize, end: usize) {
        match (path.name(), token) {
            ("usage", Token::Open) if is_usage(path) => self.usage_at = start,
            ("usage", Token::Close) if is_usage(path) => {
                let text = self.text.get(self.usage_at..end).unwrap_or_default();
                if let Ok(wire) = serde_json::from_str::<Wire>(text) {
                    self.seen.take(&wire);
                    self.found_usage = true;
                }
            }
            ("choices", Token::Open) if path.depth() == 1 => self.choices = Some(0),
            ("*", Token::Open) if path.is(&["choices"]) => {
                self.choices = self.choices.map(|choices| choices + 1);
            }
            ("error", Token::Open) if path.depth() == 1 => self.seen.failed = true,
            ("finish_reason" | "stop_reason", Token::Text) => self.seen.finished = true,
            ("type", Token::Text) if path.depth() == 1 => match self.text.get(start..end) {
                Some(r#""message_stop""#) => self.seen.finished = true,
                Some(r#""error""#) => self.seen.failed = true,
                _ => {}
            },
            (
                "content" | "reasoning_content" | "text" | "thinking" | "partial_json"
                | "arguments",
                Token::Text,
            ) => {
                let bytes = u64::try_from(end - start).unwrap_or_default();
                self.seen.text_bytes += bytes.saturating_sub(2);
            }
            _ => {}
        }
    }
}

/// Where usage stands: in the payload, in its only choice, in the message that begins.
fn is_usage(path: &Path<'_>) -> bool {
    path.depth() == 1 || path.is(&["choices", "*"]) || path.is(&["message"])
}

#[cfg(test)]
mod tests;
