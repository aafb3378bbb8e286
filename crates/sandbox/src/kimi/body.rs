//! The body of an answer, on its beat, with its log entry.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    log::{End, Recorder},
    reply::{Events, Reply},
    socket::Reset,
};

/// What is given to the connection before it is cut needs a moment to leave.
const LEAVE: Duration = Duration::from_millis(2);

/// The connection is to end here.
#[derive(Debug, thiserror::Error)]
#[error("the stand-in ends the connection")]
pub(super) struct Ended;

/// The body of an answer.
pub(super) struct Body {
    queue: VecDeque<Bytes>,
    phase: Phase,
    timer: Option<Pin<Box<Sleep>>>,
    /// The length that the head states.
    length: Option<u64>,
    split: bool,
    reset: Reset,
    recorder: Option<Recorder>,
}

/// What follows the queue.
enum Phase {
    /// The next pieces.
    Pieces(Box<Pieces>),
    /// Nothing: the request has ended so.
    Closing(End),
    /// Nothing, though the answer is not whole.
    Stalled,
    /// The end of the connection, by RST if so.
    Cut(bool),
}

struct Pieces {
    reply: Reply,
    next: u32,
    first: Instant,
}

impl Body {
    /// Bytes that answer no model's request, and are not logged.
    pub(super) fn plain(bytes: impl Into<Bytes>) -> Self {
        Self::new(VecDeque::from([bytes.into()]), Phase::Closing(End::Served), None)
    }

    /// A refusal.
    pub(super) fn refusal(text: String, recorder: Recorder) -> Self {
        let queue = VecDeque::from([text.into()]);
        Self::new(queue, Phase::Closing(End::Refused), Some(recorder))
    }

    /// An answer in one piece; what stalls or is cut ends in the middle.
    pub(super) fn answer(reply: &Reply, mut recorder: Recorder, reset: Reset) -> Self {
        let phase = match (reply.answer.cut, reply.answer.stall) {
            (Some(cut), _) => Phase::Cut(cut.reset),
            (None, Some(_)) => Phase::Stalled,
            (None, None) => Phase::Closing(End::Served),
        };
        let mut bytes = reply.whole();
        let length = bytes.len();
        recorder.entry.tokens = reply.tokens(reply.output.pieces());
        if matches!(phase, Phase::Closing(_)) {
            recorder.entry.reported = reply.reported(false);
        } else {
            bytes.truncate(length / 2);
        }
        let body = Self::new(VecDeque::from([bytes]), phase, Some(recorder));
        Self { length: Some(length as u64), reset, ..body }
    }

    /// An answer as a stream.
    pub(super) fn stream(reply: Reply, mut recorder: Recorder, reset: Reset) -> Self {
        let mut queue = VecDeque::new();
        reply.open(&mut Events { queue: &mut queue, wire: reply.answer.wire });
        recorder.entry.tokens = reply.tokens(0);
        let split = reply.answer.wire.split;
        let pieces = Box::new(Pieces { reply, next: 0, first: Instant::now() });
        let body = Self::new(queue, Phase::Pieces(pieces), Some(recorder));
        Self { length: None, split, reset, ..body }
    }

    fn new(queue: VecDeque<Bytes>, phase: Phase, recorder: Option<Recorder>) -> Self {
        let length = Some(queue.iter().map(|bytes| bytes.len() as u64).sum());
        Self { queue, phase, timer: None, length, split: false, reset: Reset::default(), recorder }
    }

    /// The next bytes of the queue; the last ones of an answer end its request.
    fn pop(&mut self) -> Option<Bytes> {
        let bytes = match self.queue.front_mut() {
            Some(first) if self.split && first.len() > 1 => first.split_to(1),
            _ => self.queue.pop_front()?,
        };
        if let Some(recorder) = &mut self.recorder {
            recorder.sent(&bytes);
            if let (Phase::Closing(end), true) = (&self.phase, self.queue.is_empty()) {
                recorder.end(*end);
            }
        }
        Some(bytes)
    }

    /// Goes on once its time has come; false when there is nothing more.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Ended>> {
        let due = match &self.phase {
            Phase::Closing(_) => return Poll::Ready(Ok(false)),
            Phase::Stalled => return Poll::Pending,
            Phase::Cut(_) => Some(Instant::now() + LEAVE),
            Phase::Pieces(pieces) => pieces.due(),
        };
        if let Some(due) = due {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            ready!(timer.as_mut().poll(context));
            self.timer = None;
        }
        if let Phase::Cut(reset) = self.phase {
            return Poll::Ready(Err(self.cut(reset)));
        }
        self.advance();
        Poll::Ready(Ok(true))
    }

    fn cut(&mut self, reset: bool) -> Ended {
        if reset {
            self.reset.ask();
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.end(End::Cut);
        }
        Ended
    }

    /// Queues the next piece or what follows the last one.
    fn advance(&mut self) {
        let Phase::Pieces(mut pieces) = mem::replace(&mut self.phase, Phase::Stalled) else {
            return;
        };
        let Pieces { reply, next, .. } = &mut *pieces;
        let events = &mut Events { queue: &mut self.queue, wire: reply.answer.wire };
        let cut = reply.answer.cut.filter(|cut| cut.after == Some(*next));
        self.phase = if let Some(cut) = cut {
            Phase::Cut(cut.reset)
        } else if reply.answer.stall == Some(*next) {
            Phase::Stalled
        } else if *next == reply.output.pieces() {
            reply.close(events);
            if let Some(recorder) = &mut self.recorder {
                recorder.entry.reported = reply.reported(true);
            }
            Phase::Closing(End::Served)
        } else {
            reply.piece(*next, events);
            *next += 1;
            if let Some(recorder) = &mut self.recorder {
                recorder.entry.tokens = reply.tokens(*next);
                recorder.entry.frames = *next;
            }
            Phase::Pieces(pieces)
        };
    }
}

impl Pieces {
    /// When the next piece is due; none if at once.
    fn due(&self) -> Option<Instant> {
        let gap = self.reply.answer.gap;
        (!gap.is_zero()).then(|| self.first + gap * self.next)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Ended;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Ended>>> {
        loop {
            if let Some(bytes) = self.pop() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match ready!(self.poll_more(context)) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(None),
                Err(ended) => return Poll::Ready(Some(Err(ended))),
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
