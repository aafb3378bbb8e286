//! One answer, and the events that it is streamed in.

use std::{collections::VecDeque, fmt, io::Write as _};

use bytes::Bytes;
use oc_domain::usage::Tokens;

use super::{
    answer::{Answer, Usage, Wire},
    anthropic, openai,
    output::Output,
};

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenAi,
    Anthropic,
}

/// One answer, ready to be written.
pub(super) struct Reply {
    pub(super) dialect: Dialect,
    pub(super) number: u64,
    /// Seconds after 1970.
    pub(super) created: i64,
    /// As a JSON text.
    pub(super) model: String,
    pub(super) include_usage: bool,
    pub(super) stream: bool,
    pub(super) prompt: Prompt,
    pub(super) output: Output,
    pub(super) answer: Answer,
}

/// Tokens of a prompt.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prompt {
    /// All of them.
    pub(super) tokens: u64,
    /// Those that were in the cache.
    pub(super) cached: u64,
    /// Those that are new in it.
    pub(super) written: u64,
}

/// The queue that events are written to.
pub(super) struct Events<'a> {
    pub(super) queue: &'a mut VecDeque<Bytes>,
    pub(super) wire: Wire,
}

impl Reply {
    /// What the first `pieces` of the answer are billed.
    pub(super) fn tokens(&self, pieces: u32) -> Tokens {
        let Prompt { tokens, cached, .. } = self.prompt;
        let (output, reasoning) = self.output.tokens(pieces);
        Tokens { input: tokens - cached, cached_input: cached, output, reasoning }
    }

    /// What the answer says that it cost, to those who read it to the end.
    pub(super) fn reported(&self, streamed: bool) -> Option<Tokens> {
        let optional = streamed && self.dialect == Dialect::OpenAi && !self.include_usage;
        match self.answer.usage {
            Usage::None => None,
            Usage::Last | Usage::Zero if optional => None,
            Usage::Zero => Some(Tokens::default()),
            _ => Some(self.tokens(self.output.pieces())),
        }
    }

    pub(super) fn whole(&self) -> Bytes {
        match self.dialect {
            Dialect::OpenAi => openai::whole(self),
            Dialect::Anthropic => anthropic::whole(self),
        }
        .into()
    }

    /// The events before the first piece.
    pub(super) fn open(&self, events: &mut Events<'_>) {
        let padding = "x".repeat(self.answer.huge as usize);
        match self.dialect {
            Dialect::OpenAi => openai::open(self, &padding, events),
            Dialect::Anthropic => anthropic::open(self, &padding, events),
        }
    }

    /// The events of piece `index`.
    pub(super) fn piece(&self, index: u32, events: &mut Events<'_>) {
        let Some(piece) = self.output.piece(index) else { return };
        if events.wire.comments {
            events.comment();
        }
        match self.dialect {
            Dialect::OpenAi => openai::piece(self, index, piece, events),
            Dialect::Anthropic => anthropic::piece(self, index, piece, events),
        }
    }

    /// The events after the last piece.
    pub(super) fn close(&self, events: &mut Events<'_>) {
        match self.dialect {
            Dialect::OpenAi => openai::close(self, events),
            Dialect::Anthropic => anthropic::close(self, events),
        }
    }
}

impl Events<'_> {
    /// An event without a name.
    pub(super) fn data(&mut self, data: fmt::Arguments<'_>) {
        let mut event = Vec::with_capacity(512);
        self.finish(&mut event, data);
    }

    /// An event with one.
    pub(super) fn named(&mut self, name: &str, data: fmt::Arguments<'_>) {
        let mut event = Vec::with_capacity(512);
        // Writing to memory cannot fail, here and below.
        let _ = write!(event, "event: {name}{}", self.line_end());
        self.finish(&mut event, data);
    }

    fn finish(&mut self, event: &mut Vec<u8>, data: fmt::Arguments<'_>) {
        let end = self.line_end();
        let _ = write!(event, "data: {data}{end}{end}");
        self.queue.push_back(std::mem::take(event).into());
    }

    fn comment(&mut self) {
        let end = self.line_end();
        self.queue.push_back(format!(": keep-alive{end}{end}").into());
    }

    fn line_end(&self) -> &'static str {
        if self.wire.crlf { "\r\n" } else { "\n" }
    }
}
