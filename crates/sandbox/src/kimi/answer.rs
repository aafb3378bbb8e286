//! How one request is answered, as a value and as words.

use std::{str::FromStr, time::Duration};

use strum::EnumString;

use crate::duration;

use super::{
    failure::{Failure, Limit},
    output::MAX_FRAMES,
};

/// How a request is answered; the default is a whole, prompt answer of 16 frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Refuses instead.
    pub failure: Option<Failure>,
    /// Seconds of a refusal's `retry-after` header and text.
    pub retry_after: Option<u32>,
    /// Before the head is sent.
    pub delay: Duration,
    /// Between two frames, which keep to the beat of the first; to the millisecond.
    pub gap: Duration,
    /// Answers what was said, in Portuguese or English, and calls tools when asked to, instead of
    /// sending numbered frames.
    pub talk: bool,
    /// Frames of text, each of 48 characters beginning with its number in eight digits.
    pub frames: u32,
    /// Frames of reasoning where the request has thinking on.
    pub reasoning: u32,
    /// Sends nothing more after so many frames, and waits for the client to leave.
    pub stall: Option<u32>,
    /// Ends the connection early.
    pub cut: Option<Cut>,
    /// Where a stream of the `OpenAI` dialect has its usage.
    pub usage: Usage,
    /// Where the `OpenAI` dialect has the cached tokens.
    pub cached_as: Cached,
    /// The part of a prompt of more than 256 tokens that counts as cached, in percent.
    pub cached: u8,
    /// The part of the rest that is newly cached, in percent; the Anthropic dialect says so.
    pub written: u8,
    /// Requests that one key may have open, this one included.
    pub concurrency: Option<u32>,
    /// Answers a stream request with plain JSON.
    pub plain: bool,
    /// Bytes of padding in an extra frame at the start.
    pub huge: u32,
    /// How events look on the wire.
    pub wire: Wire,
}

/// How events look on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Every byte is an HTTP chunk of its own.
    pub split: bool,
    /// Lines end in CRLF.
    pub crlf: bool,
    /// A comment line stands before every frame.
    pub comments: bool,
}

/// Where a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// After so many frames, or before the head.
    pub after: Option<u32>,
    /// By RST instead of FIN.
    pub reset: bool,
}

/// The shapes of streaming usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Usage {
    /// In a last chunk without choices, if `stream_options.include_usage` asks for it.
    #[default]
    Last,
    /// At the top of the chunk with the finish reason.
    Finish,
    /// In the choice of the chunk with the finish reason.
    Choice,
    /// In the finish chunk and in the last one, asked for or not.
    Twice,
    /// Nowhere, not even in answers that are no stream.
    None,
    /// As `Last`, but zeros.
    Zero,
}

/// The spellings of cached tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Cached {
    /// `usage.cached_tokens` and `usage.prompt_tokens_details.cached_tokens`.
    #[default]
    Both,
    /// `usage.cached_tokens` alone.
    Top,
    /// `usage.prompt_tokens_details.cached_tokens` alone.
    Details,
}

/// A word that means nothing here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no word for an answer")]
pub struct UnknownWord(String);

impl Default for Answer {
    fn default() -> Self {
        Self {
            failure: None,
            retry_after: None,
            delay: Duration::ZERO,
            gap: Duration::ZERO,
            talk: false,
            frames: 16,
            reasoning: 8,
            stall: None,
            cut: None,
            usage: Usage::default(),
            cached_as: Cached::default(),
            cached: 0,
            written: 0,
            concurrency: None,
            plain: false,
            huge: 0,
            wire: Wire::default(),
        }
    }
}

impl Answer {
    /// Changes what `words` say, as the module's documentation lists them; nothing if one is wrong.
    pub fn with(mut self, words: &str) -> Result<Self, UnknownWord> {
        for word in words.split_whitespace() {
            self.change(word).ok_or_else(|| UnknownWord(word.to_owned()))?;
        }
        Ok(self)
    }

    fn change(&mut self, word: &str) -> Option<()> {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "status" => self.failure = failure_of(self.failure, value.parse().ok()?),
            "type" => self.failure = Some(value.parse().ok()?),
            "limit" => self.failure = Some(Failure::RateLimit(value.parse::<Limit>().ok()?)),
            "retry_after" => self.retry_after = Some(value.parse().ok()?),
            "delay" => self.delay = duration(value).ok()?,
            "gap" => self.gap = duration(value).ok()?,
            "frames" => self.frames = frames(value)?,
            "reasoning" => self.reasoning = frames(value)?,
            "stall" => self.stall = Some(value.parse().ok()?),
            "cut" => self.cut = Some(cut(value)?),
            "usage" => self.usage = value.parse().ok()?,
            "cached_as" => self.cached_as = value.parse().ok()?,
            "cached" => self.cached = percent(value)?,
            "written" => self.written = percent(value)?,
            "concurrency" => self.concurrency = Some(value.parse().ok()?),
            "huge" if value.is_empty() => self.huge = 1 << 20,
            "huge" => self.huge = value.parse().ok()?,
            flag => self.raise(flag, value)?,
        }
        Some(())
    }

    fn raise(&mut self, flag: &str, value: &str) -> Option<()> {
        let flag = match flag {
            "plain" => &mut self.plain,
            "talk" => &mut self.talk,
            "split" => &mut self.wire.split,
            "crlf" => &mut self.wire.crlf,
            "comments" => &mut self.wire.comments,
            _ => return None,
        };
        value.is_empty().then(|| *flag = true)
    }
}

impl FromStr for Answer {
    type Err = UnknownWord;

    fn from_str(words: &str) -> Result<Self, Self::Err> {
        Self::default().with(words)
    }
}

/// `type=` may stand on either side of its own `status=`.
fn failure_of(chosen: Option<Failure>, status: u16) -> Option<Failure> {
    (100..1000).contains(&status).then_some(())?;
    chosen.filter(|chosen| chosen.status() == status).or_else(|| Failure::of_status(status))
}

fn frames(text: &str) -> Option<u32> {
    text.parse().ok().filter(|frames| *frames <= MAX_FRAMES)
}

fn percent(text: &str) -> Option<u8> {
    text.parse().ok().filter(|percent| *percent <= 100)
}

fn cut(text: &str) -> Option<Cut> {
    let (after, reset) = text.strip_suffix(":reset").map_or((text, false), |after| (after, true));
    let after = if after == "head" { None } else { Some(after.parse().ok()?) };
    Some(Cut { after, reset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_change_what_they_name_and_nothing_else() {
        let answer: Answer =
            "type=engine_overloaded_error status=429 gap=20ms cut=3:reset crlf".parse().unwrap();
        let expected = Answer {
            failure: Some(Failure::EngineOverloadedError),
            gap: Duration::from_millis(20),
            cut: Some(Cut { after: Some(3), reset: true }),
            wire: Wire { crlf: true, ..Wire::default() },
            ..Answer::default()
        };
        assert_eq!(answer, expected);
        assert_eq!(answer.with("status=200 huge").unwrap().huge, 1 << 20);
        assert_eq!(answer.with("status=200").unwrap().failure, None);
    }

    #[test]
    fn a_wrong_word_is_named() {
        for words in ["frames=1 frobnicate", "gap=20 x", "cached=101", "frames=99999", "plain=1"] {
            assert!(words.parse::<Answer>().is_err(), "{words}");
        }
        let message = "frames=1 frobnicate".parse::<Answer>().unwrap_err().to_string();
        assert_eq!(message, r#""frobnicate" is no word for an answer"#);
    }
}
