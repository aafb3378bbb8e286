//! What is answered, cut into frames, and how many tokens it is.

use std::{borrow::Cow, fmt, sync::LazyLock};

use super::{
    answer::Answer,
    request::Request,
    talk::{self, Speech},
};

/// The most frames of text or of reasoning.
pub(super) const MAX_FRAMES: u32 = 16_384;
/// Characters, which are bytes, of a frame of text.
const FRAME: usize = 48;
/// Characters of a frame of a tool call's arguments.
const ARGUMENTS_FRAME: usize = 8;
/// The arguments of every tool call.
const ARGUMENTS: &str = r#"{"q":"sandbox"}"#;

/// All text that can be answered: frames that begin with their number.
static BOOK: LazyLock<String> = LazyLock::new(|| {
    let frame = |number| format!("{number:08} {:<39}", "and so on, as answers of models do.");
    (0..MAX_FRAMES).map(frame).collect()
});

/// The tokenizer of one request: its own, off by up to 15 % of what a client may think.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokenizer {
    per_mille: usize,
}

/// What one request is answered.
#[derive(Debug)]
pub(super) struct Output {
    tokenizer: Tokenizer,
    reasoning: &'static str,
    /// Text, or the arguments of the call of `tool`.
    content: Cow<'static, str>,
    frame: usize,
    /// The tool that is called.
    pub(super) tool: Option<String>,
    /// Whether `max_tokens` has ended it.
    pub(super) truncated: bool,
}

/// A part of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Reasoning(&'a str),
    Content(&'a str),
}

/// A text as it stands inside of a JSON text.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(|c: char| c < ' ' || matches!(c, '"' | '\\')) {
            let (plain, odd) = rest.split_at(at);
            f.write_str(plain)?;
            let mut characters = odd.chars();
            match characters.next() {
                Some(c @ ('"' | '\\')) => write!(f, "\\{c}")?,
                Some(c) => write!(f, "\\u{:04x}", u32::from(c))?,
                None => {}
            }
            rest = characters.as_str();
        }
        f.write_str(rest)
    }
}

impl Tokenizer {
    /// The tokenizer of request `number`; the same for the same seed.
    pub(super) fn new(seed: u64, number: u64) -> Self {
        // The finalizer of SplitMix64, so that neighbours do not resemble each other.
        let mut hash = seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self { per_mille: 850 + usize::try_from((hash ^ (hash >> 31)) % 301).unwrap_or_default() }
    }

    /// Tokens of so many characters.
    pub(super) fn tokens(self, chars: usize) -> u64 {
        (chars as u64 * self.per_mille as u64).div_ceil(3600)
    }

    /// The most characters that are at most so many tokens.
    fn chars(self, tokens: u64) -> usize {
        let tokens = usize::try_from(tokens).unwrap_or(usize::MAX);
        tokens.saturating_mul(3600) / self.per_mille
    }
}

impl Output {
    /// What is answered at a time in seconds after 1970.
    pub(super) fn new(
        request: &Request<'_>,
        answer: &Answer,
        tokenizer: Tokenizer,
        now: i64,
    ) -> Self {
        let (tool, content) = match (answer.talk, request.tool()) {
            (true, _) => match talk::speak(request, now) {
                Speech::Says(text) => (None, Cow::Owned(text)),
                Speech::Calls { tool, arguments } => (Some(tool), Cow::Owned(arguments)),
            },
            (false, Some(tool)) => (Some(tool.to_owned()), Cow::Borrowed(ARGUMENTS)),
            (false, None) => (None, Cow::Borrowed(text(answer.frames))),
        };
        let frame = if tool.is_some() { ARGUMENTS_FRAME } else { FRAME };
        let budget = request.thinking.as_ref().and_then(|thinking| thinking.budget_tokens);
        let thoughts = if request.thinks() { text(answer.reasoning) } else { "" };
        let thoughts = shortened(thoughts, tokenizer.chars(budget.unwrap_or(u64::MAX)));
        let room = tokenizer.chars(request.max_tokens().unwrap_or(u64::MAX));
        let reasoning = shortened(thoughts, room);
        let whole = content.len();
        let content = match content {
            Cow::Borrowed(text) => Cow::Borrowed(shortened(text, room - reasoning.len())),
            Cow::Owned(mut text) => {
                text.truncate(text.floor_char_boundary(room - reasoning.len()));
                Cow::Owned(text)
            }
        };
        let truncated = reasoning.len() + content.len() < thoughts.len() + whole;
        Self { tokenizer, reasoning, content, frame, tool, truncated }
    }

    /// How many pieces there are.
    pub(super) fn pieces(&self) -> u32 {
        let pieces = self.reasoning_pieces() + self.content.len().div_ceil(self.frame);
        u32::try_from(pieces).unwrap_or(u32::MAX)
    }

    /// Piece `index`, counted from 0.
    pub(super) fn piece(&self, index: u32) -> Option<Piece<'_>> {
        let index = index as usize;
        match index.checked_sub(self.reasoning_pieces()) {
            None => slice(self.reasoning, index, FRAME).map(Piece::Reasoning),
            Some(index) => slice(&self.content, index, self.frame).map(Piece::Content),
        }
    }

    /// Whether piece `index` is the first that is no reasoning.
    pub(super) fn begins_content(&self, index: u32) -> bool {
        index as usize == self.reasoning_pieces()
    }

    /// Tokens of the first `pieces`: all, and those of reasoning among them.
    pub(super) fn tokens(&self, pieces: u32) -> (u64, u64) {
        let pieces = pieces as usize;
        let reasoning = self.reasoning.len().min(pieces * FRAME);
        let content = pieces.saturating_sub(self.reasoning_pieces()) * self.frame;
        let all = reasoning + self.content.len().min(content);
        (self.tokenizer.tokens(all), self.tokenizer.tokens(reasoning))
    }

    pub(super) fn reasoning(&self) -> &'static str {
        self.reasoning
    }

    pub(super) fn content(&self) -> &str {
        &self.content
    }

    fn reasoning_pieces(&self) -> usize {
        self.reasoning.len().div_ceil(FRAME)
    }
}

fn text(frames: u32) -> &'static str {
    shortened(&BOOK, frames as usize * FRAME)
}

fn shortened(text: &'static str, chars: usize) -> &'static str {
    text.get(..chars).unwrap_or(text)
}

/// Piece `index` of a text: so many bytes, or a few less where a character would be cut.
fn slice(text: &str, index: usize, frame: usize) -> Option<&str> {
    let start = text.floor_char_boundary(index * frame);
    let end = text.floor_char_boundary((index + 1) * frame);
    text.get(start..end).filter(|piece| !piece.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(json: &str, words: &str, per_mille: usize) -> Output {
        let request: Request<'_> = serde_json::from_str(json).unwrap();
        Output::new(&request, &words.parse().unwrap(), Tokenizer { per_mille }, 0)
    }

    #[test]
    fn tokenizers_differ_by_at_most_15_percent_and_are_the_same_for_a_seed() {
        let tokens: Vec<u64> = (0..1000).map(|n| Tokenizer::new(7, n).tokens(36_000)).collect();
        assert!(tokens.iter().all(|tokens| (8500..=11_500).contains(tokens)));
        assert!(tokens.iter().min() < Some(&8600) && tokens.iter().max() > Some(&11_400));
        assert_eq!(tokens[3], Tokenizer::new(7, 3).tokens(36_000));
    }

    #[test]
    fn output_never_exceeds_max_tokens() {
        for per_mille in [850, 999, 1150] {
            for max in 0..400 {
                let json = format!(
                    r#"{{"model":"m","messages":[],"max_tokens":{max},"reasoning_effort":"low"}}"#
                );
                let output = output(&json, "frames=16", per_mille);
                let (tokens, reasoning) = output.tokens(output.pieces());
                assert!(tokens <= max && reasoning <= tokens, "{max}: {output:?}");
                assert_eq!(output.truncated, output.reasoning.len() + output.content.len() < 1152);
            }
        }
    }

    #[test]
    fn pieces_join_to_the_whole_and_carry_their_number() {
        let json = r#"{"model":"m","messages":[],"thinking":{"type":"enabled"}}"#;
        let output = output(json, "frames=3 reasoning=2", 1000);
        let pieces: Vec<Piece<'_>> = (0..output.pieces()).map_while(|i| output.piece(i)).collect();
        assert_eq!(pieces.len(), 5);
        assert!(matches!(pieces[1], Piece::Reasoning(text) if text.starts_with("00000001 ")));
        assert!(matches!(pieces[4], Piece::Content(text) if text.starts_with("00000002 ")));
        assert_eq!(output.piece(5), None);
        assert_eq!(output.tokens(5), (67, 27));
    }
}
