//! The provider's answer on its way to the client: byte for byte, read on the side, and settled when
//! it ends, however it ends.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use oc_domain::usage::{Outcome, Tokens};
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Sleep, sleep, timeout},
};

use crate::{
    answer::Problem,
    meter::Account,
    route::Dialect,
    upstream::Permit,
    usage::{Events, Seen, Withhold},
};

/// The most of an answer that is no stream which is kept to be read.
const MAX_WHOLE_BYTES: usize = 16 << 20;
/// Reading on after the client left: so much, so long.
const MAX_DRAIN_BYTES: usize = 4 << 20;
const DRAIN: Duration = Duration::from_mins(1);

/// The body of every response.
pub(crate) enum Body {
    /// Our own words.
    Own(Option<Bytes>),
    /// A provider's.
    Relay(Box<Relay>),
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Own(Some(bytes))
    }
}

/// An answer of a provider.
pub(crate) struct Relay {
    body: Option<Incoming>,
    reader: Reader,
    state: Option<State>,
    idle: Pin<Box<Sleep>>,
    idle_for: Duration,
}

/// What is needed to settle.
struct State {
    account: Account,
    /// The place with the provider.
    _permit: Permit,
    dialect: Dialect,
    stream: bool,
    times: Times,
    drains: Arc<Semaphore>,
}

/// When what happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// The request came.
    pub(crate) began: Instant,
    /// It was sent on.
    pub(crate) sent: Instant,
    /// The provider's first byte came.
    pub(crate) answered: Instant,
}

/// How the answer is read.
enum Reader {
    Stream(Events),
    /// Without the usage chunk.
    Withheld(Events, Withhold),
    /// No stream: its pieces, read together at its end.
    Whole(Vec<Bytes>, usize),
    Done,
}

/// What a relay is made of.
pub(crate) struct Parts {
    pub(crate) account: Account,
    pub(crate) permit: Permit,
    pub(crate) dialect: Dialect,
    /// The provider sends an event stream.
    pub(crate) stream: bool,
    pub(crate) withhold_usage: bool,
    pub(crate) times: Times,
    pub(crate) idle: Duration,
    /// Answers that may be read on at once.
    pub(crate) drains: Arc<Semaphore>,
}

impl Relay {
    pub(crate) fn new(body: Incoming, parts: Parts) -> Self {
        let Parts { account, permit, dialect, stream, withhold_usage, times, idle, drains } = parts;
        let reader = match (stream, withhold_usage) {
            (true, true) => Reader::Withheld(Events::default(), Withhold::default()),
            (true, false) => Reader::Stream(Events::default()),
            (false, _) => Reader::Whole(Vec::new(), 0),
        };
        let state = State { account, _permit: permit, dialect, stream, times, drains };
        Self {
            body: Some(body),
            reader,
            state: Some(state),
            idle: Box::pin(sleep(idle)),
            idle_for: idle,
        }
    }

    /// The next bytes for the client; `None` when a provider's answer has ended, well or not.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        while let (Some(_), Some(body)) = (&self.state, &mut self.body) {
            let frame = match Pin::new(body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    ready!(self.idle.as_mut().poll(cx));
                    return Poll::Ready(self.broken(Outcome::TimedOut, &Problem::TimedOut));
                }
            };
            match frame {
                Some(Ok(frame)) => {
                    let deadline = tokio::time::Instant::now() + self.idle_for;
                    self.idle.as_mut().reset(deadline);
                    let Ok(data) = frame.into_data() else { continue };
                    let out = self.reader.read(data);
                    if let (Some(state), Some(seen)) = (&self.state, self.reader.seen()) {
                        state.account.counted(seen.counted_output());
                    }
                    // Where the length is known nobody asks for what comes after the last byte.
                    if self.body.as_ref().is_some_and(HttpBody::is_end_stream) {
                        return Poll::Ready(match self.ended() {
                            Some(Ok(rest)) => Some(Ok([out, rest].concat().into())),
                            _ => Some(Ok(out)),
                        });
                    }
                    if !out.is_empty() {
                        return Poll::Ready(Some(Ok(out)));
                    }
                }
                Some(Err(_)) => {
                    return Poll::Ready(
                        self.broken(Outcome::UpstreamFailed, &Problem::Unavailable),
                    );
                }
                None => return Poll::Ready(self.ended()),
            }
        }
        Poll::Ready(None)
    }

    /// The provider has said all.
    fn ended(&mut self) -> Option<Result<Bytes, Broken>> {
        let (rest, seen) = self.reader.finish();
        let state = self.state.take()?;
        let (dialect, whole) = (state.dialect, !state.stream || seen.finished || seen.failed);
        let outcome =
            if whole && !seen.failed { Outcome::Complete } else { Outcome::UpstreamFailed };
        state.settle(outcome, &seen);
        if whole {
            return (!rest.is_empty()).then_some(Ok(rest));
        }
        // Cut, though politely: the client must not take it for an answer.
        let event = Problem::Unavailable.event(dialect);
        Some(Ok(if rest.is_empty() { event } else { [rest, event].concat().into() }))
    }

    /// The provider broke off, or says nothing any more.
    fn broken(&mut self, outcome: Outcome, problem: &Problem) -> Option<Result<Bytes, Broken>> {
        let (rest, seen) = self.reader.finish();
        let state = self.state.take()?;
        let (dialect, stream) = (state.dialect, state.stream);
        state.settle(outcome, &seen);
        if !stream {
            return Some(Err(Broken));
        }
        // An event that is not whole would swallow ours.
        let separator = Bytes::from_static(b"\n\n");
        Some(Ok([rest, separator, problem.event(dialect)].concat().into()))
    }
}

/// The provider's answer broke off; there is no way to say so but to break off too.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer broke off")]
pub(crate) struct Broken;

impl State {
    /// Settles what was seen of an answer whose client has left.
    fn leave(self, mut reader: Reader, how: &'static str) {
        let ending = self.account.meter.ending.load(Ordering::Relaxed);
        let outcome = if ending { Outcome::Drained } else { Outcome::ClientGone };
        self.account.meter.metrics.drained(how);
        let (_, seen) = reader.finish();
        self.settle(outcome, &seen);
    }

    fn settle(self, outcome: Outcome, seen: &Seen) {
        let Self { account, dialect, stream, times, .. } = self;
        let metrics = &account.meter.metrics;
        metrics.ended(outcome, dialect, stream);
        let upstream = times.sent.elapsed();
        let added = times.sent - times.began;
        metrics.times(outcome, added, times.answered - times.sent, upstream);
        let (tokens, measured) = tokens(&account, seen);
        account.settle(outcome, tokens, measured);
    }
}

fn tokens(account: &Account, seen: &Seen) -> (Tokens, bool) {
    match seen.measured() {
        Some(tokens) => (tokens, true),
        None => (seen.estimated(account.open.reservation.input), false),
    }
}

impl Reader {
    /// The next bytes in, those for the client out.
    fn read(&mut self, data: Bytes) -> Bytes {
        match self {
            Self::Stream(events) => {
                events.feed(&data);
                data
            }
            Self::Withheld(events, withhold) => withhold.pass(events, &data),
            Self::Whole(pieces, length) => {
                if *length + data.len() <= MAX_WHOLE_BYTES {
                    *length += data.len();
                    pieces.push(data.clone());
                }
                data
            }
            Self::Done => data,
        }
    }

    fn seen(&self) -> Option<&Seen> {
        match self {
            Self::Stream(events) | Self::Withheld(events, _) => Some(&events.seen),
            Self::Whole(..) | Self::Done => None,
        }
    }

    /// What is left for the client, and all that was seen.
    fn finish(&mut self) -> (Bytes, Seen) {
        match std::mem::replace(self, Self::Done) {
            Self::Stream(mut events) => {
                events.finish();
                (Bytes::new(), events.seen)
            }
            Self::Withheld(mut events, mut withhold) => {
                let rest = withhold.finish(&mut events).freeze();
                events.finish();
                (rest, events.seen)
            }
            Self::Whole(pieces, _) => {
                let mut seen = Seen::default();
                match pieces.as_slice() {
                    [whole] => seen.read(whole),
                    _ => seen.read(&pieces.concat()),
                };
                (Bytes::new(), seen)
            }
            Self::Done => (Bytes::new(), Seen::default()),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Relay(relay) => relay.poll_next(cx).map_ok(Frame::data),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            // Only after its settlement: hyper would not ask again.
            Self::Relay(relay) => relay.state.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Relay(_) => SizeHint::default(),
        }
    }
}

impl Drop for Relay {
    /// The client left before the end. The provider goes on, and charges for it: its answer is read
    /// on to its usage, within bounds, or what was seen is settled.
    fn drop(&mut self) {
        let Some(state) = self.state.take() else { return };
        let reader = std::mem::replace(&mut self.reader, Reader::Done);
        let ending = state.account.meter.ending.load(Ordering::Relaxed);
        let place = Arc::clone(&state.drains).try_acquire_owned();
        match (place, self.body.take(), Handle::try_current()) {
            (Ok(place), Some(body), Ok(runtime)) if !ending => {
                let tasks = state.account.meter.tasks.clone();
                let read_on = async move {
                    read_on(state, reader, body).await;
                    drop(place);
                };
                tasks.spawn_on(read_on, &runtime);
            }
            _ => state.leave(reader, "none"),
        }
    }
}

/// Reads an answer that nobody waits for, to its usage.
async fn read_on(state: State, mut reader: Reader, mut body: Incoming) {
    let mut read = 0;
    let whole = async {
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            read += data.len();
            reader.read(data);
            if let Some(seen) = reader.seen() {
                state.account.counted(seen.counted_output());
            }
            if read > MAX_DRAIN_BYTES {
                return "too_large";
            }
        }
        "whole"
    };
    let how = timeout(DRAIN, whole).await.unwrap_or("too_long");
    state.leave(reader, how);
}
