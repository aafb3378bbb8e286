//! What policy changes in a request, and nothing else. `docs/token-proxy.md` says it for people.
//!
//! The body is not written anew: pieces of it are replaced where they stand, and the provider gets
//! the rest as it came.

use std::ops::Range;

use bytes::Bytes;
use oc_domain::{Thinking, catalog::Model};

use crate::{
    inspect::{Inspected, NotARequest, Placed},
    route::Dialect,
};

/// Output tokens below which a clamped answer is of no use.
const LEAST_OUTPUT: u64 = 256;
/// The smallest thinking budget that Anthropic's dialect accepts.
const LEAST_BUDGET: u64 = 1_024;
/// What a model must have left for its answer after it has thought.
const ANSWER: u64 = 256;

/// Output tokens that a request may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// What it asks for, all its answers together.
    pub(crate) wanted: u64,
    /// Below this it is not sent.
    pub(crate) least: u64,
}

/// The output that a request asks for.
pub(crate) fn output(
    asked: &Inspected,
    dialect: Dialect,
    model: &Model,
) -> Result<Output, NotARequest> {
    let value = |cap: &Option<Placed<Option<u64>>>| cap.as_ref().and_then(|cap| cap.value);
    let given = value(&asked.max_completion_tokens).max(value(&asked.max_tokens));
    let cap = match (given, dialect) {
        (Some(cap), _) => cap,
        (None, Dialect::Anthropic) => return Err(NotARequest::Missing("max_tokens")),
        (None, Dialect::OpenAi) => u64::from(model.max_output_tokens),
    };
    let wanted = cap.min(u64::from(model.context_tokens)).saturating_mul(asked.choices);
    Ok(Output { wanted, least: wanted.min(LEAST_OUTPUT * asked.choices) })
}

/// A body for a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shaped {
    /// The body, in pieces.
    pub(crate) pieces: Vec<Bytes>,
    /// Whether the usage chunk is ours alone: the client has not asked for it.
    pub(crate) withhold_usage: bool,
}

/// What a request may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant<'a> {
    /// Output tokens, all answers together; what was wanted, or less.
    pub(crate) output: Output,
    /// Of them granted.
    pub(crate) granted: u64,
    /// How long the model may think at most.
    pub(crate) thinking: Thinking,
    /// The model's name at the provider.
    pub(crate) model: &'a str,
}

/// The body for the provider.
pub(crate) fn shape(body: &Bytes, asked: &Inspected, dialect: Dialect, grant: Grant<'_>) -> Shaped {
    let mut edits = Edits { body, list: Vec::with_capacity(4) };
    edits.replace(&asked.model.at, quoted(grant.model));
    let cap = grant.granted / asked.choices;
    caps(&mut edits, asked, dialect, cap);
    thinking(&mut edits, asked, grant, cap);
    let withhold_usage = dialect == Dialect::OpenAi && asked.stream && usage(&mut edits, asked);
    Shaped { pieces: edits.apply(), withhold_usage }
}

/// The body with the provider's name of the model, and nothing else changed.
pub(crate) fn rename(body: &Bytes, asked: &Inspected, model: &str) -> Vec<Bytes> {
    let mut edits = Edits { body, list: Vec::with_capacity(1) };
    edits.replace(&asked.model.at, quoted(model));
    edits.apply()
}

fn caps(edits: &mut Edits<'_>, asked: &Inspected, dialect: Dialect, cap: u64) {
    let mut capped = false;
    for given in [&asked.max_tokens, &asked.max_completion_tokens].into_iter().flatten() {
        let Some(value) = given.value else { continue };
        capped = true;
        if value > cap {
            edits.replace(&given.at, cap.to_string());
        }
    }
    if !capped && dialect == Dialect::OpenAi {
        match &asked.max_completion_tokens {
            Some(null) => edits.replace(&null.at, cap.to_string()),
            None => edits.insert("max_completion_tokens", &cap.to_string()),
        }
    }
}

/// The tokens that a level lets a model think.
fn budget(level: Thinking) -> u64 {
    match level {
        Thinking::Off => 0,
        Thinking::Minimal => 1_024,
        Thinking::Low => 2_048,
        Thinking::Medium => 8_192,
        Thinking::High => u64::MAX,
    }
}

fn thinking(edits: &mut Edits<'_>, asked: &Inspected, grant: Grant<'_>, cap: u64) {
    if let Some(Placed { value: Some(asked), at }) = &asked.thinking
        && asked.kind != "disabled"
    {
        let mut most = budget(grant.thinking);
        // Only where the cap was clamped: a budget that never fitted is for the provider to refuse.
        if grant.granted < grant.output.wanted {
            most = most.min(cap.saturating_sub(ANSWER));
        }
        if most < LEAST_BUDGET {
            edits.replace(at, r#"{"type":"disabled"}"#.to_owned());
        } else if asked.budget_tokens.is_some_and(|budget| budget > most) {
            edits.replace(
                at,
                format!(r#"{{"type":{},"budget_tokens":{most}}}"#, quoted(&asked.kind)),
            );
        }
    }
    if let Some(Placed { value: Some(effort), at }) = &asked.reasoning_effort {
        let level = match effort.as_str() {
            "none" => Thinking::Off,
            "minimal" => Thinking::Minimal,
            "low" => Thinking::Low,
            "medium" => Thinking::Medium,
            _ => Thinking::High,
        };
        if level > grant.thinking {
            let lowered = grant.thinking.to_string();
            let none = grant.thinking == Thinking::Off;
            edits.replace(at, if none { "null".to_owned() } else { quoted(&lowered) });
        }
    }
}

/// Makes the provider say the usage in its stream; says whether the client had not asked for it.
fn usage(edits: &mut Edits<'_>, asked: &Inspected) -> bool {
    const WANTED: &str = r#"{"include_usage":true}"#;
    let Some(Placed { value, at }) = &asked.stream_options else {
        edits.insert("stream_options", WANTED);
        return true;
    };
    match value {
        Some(options) if options.include_usage == Some(true) => return false,
        None => edits.replace(at, WANTED.to_owned()),
        Some(_) => {
            let text = edits.body.get(at.clone()).unwrap_or_default();
            let mut options: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(text).unwrap_or_default();
            options.insert("include_usage".to_owned(), true.into());
            edits.replace(at, serde_json::Value::Object(options).to_string());
        }
    }
    true
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Replacements in a body that is an object and not empty.
struct Edits<'a> {
    body: &'a Bytes,
    list: Vec<(Range<usize>, String)>,
}

impl Edits<'_> {
    fn replace(&mut self, at: &Range<usize>, text: String) {
        self.list.push((at.clone(), text));
    }

    /// A member in front of the others.
    fn insert(&mut self, name: &str, value: &str) {
        let open = self.body.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1);
        self.list.push((open..open, format!("\"{name}\":{value},")));
    }

    fn apply(mut self) -> Vec<Bytes> {
        self.list.sort_by_key(|(at, _)| at.start);
        let mut pieces = Vec::with_capacity(2 * self.list.len() + 1);
        let mut from = 0;
        for (at, text) in self.list {
            pieces.push(self.body.slice(from..at.start));
            pieces.push(text.into());
            from = at.end;
        }
        pieces.push(self.body.slice(from..));
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}

#[cfg(test)]
mod tests;
