use bytes::{Bytes, BytesMut};
use memchr::memchr2;

use super::{Payload, Seen};

/// The longest line that is read; a longer one goes on to the client unread.
const MAX_LINE_BYTES: usize = 4 << 20;

/// Reads an event stream as it passes, in whatever pieces it comes.
///
/// Lines end with LF, CR or both, as the standard says. An event's data may be several lines.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) seen: Seen,
    /// The part of the last line that has come.
    line: BytesMut,
    /// The data of the current event, if it had more than one line.
    data: Option<Bytes>,
    /// A CR ended the last line: an LF right after it belongs to it.
    after_cr: bool,
    /// The line is longer than it may be: skip to its end.
    skip: bool,
    last: Option<Payload>,
}

impl Events {
    /// Reads the next bytes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr2(b'\n', b'\r', bytes) {
            let (line, rest) = bytes.split_at(end);
            self.end_of_line(line);
            bytes = rest.get(1..).unwrap_or_default();
            if rest.first() == Some(&b'\r') {
                match bytes.strip_prefix(b"\n") {
                    Some(rest) => bytes = rest,
                    None => self.after_cr = bytes.is_empty(),
                }
            }
        }
        self.keep(bytes);
    }

    /// What the event was that ended last, once.
    pub(crate) fn take_last(&mut self) -> Option<Payload> {
        self.last.take()
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.skip || self.line.len() + bytes.len() > MAX_LINE_BYTES {
            self.skip = true;
            self.line.clear();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    fn end_of_line(&mut self, line: &[u8]) {
        if self.line.is_empty() && !self.skip {
            return self.read_line(line);
        }
        self.keep(line);
        if !self.skip {
            let line = self.line.split();
            self.read_line(&line);
        }
        self.skip = false;
        self.line.clear();
    }

    fn read_line(&mut self, line: &[u8]) {
        if line.is_empty() {
            if let Some(data) = self.data.take() {
                self.last = Some(self.seen.read(&data));
            }
        } else if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.strip_prefix(b" ").unwrap_or(data);
            self.data = Some(match self.data.take() {
                None => Bytes::copy_from_slice(data),
                Some(before) => [&before, b"\n".as_slice(), data].concat().into(),
            });
        }
    }

    /// The stream has ended: an event without its empty line counts too.
    pub(crate) fn finish(&mut self) {
        self.end_of_line(b"");
        self.read_line(b"");
    }
}

/// Passes an event stream on without the usage chunk that the client has not asked for.
///
/// An event is passed on when it is complete, and as it came.
#[derive(Debug, Default)]
pub(crate) struct Withhold {
    pending: BytesMut,
    /// Bytes of `pending` that have been looked at.
    seen: usize,
}

impl Withhold {
    /// The next bytes in, those that may go on out.
    pub(crate) fn pass(&mut self, events: &mut Events, bytes: &[u8]) -> Bytes {
        self.pending.extend_from_slice(bytes);
        let mut out = BytesMut::new();
        while let Some(end) = self.event_end() {
            let event = self.pending.split_to(end);
            self.seen = 0;
            events.feed(&event);
            if events.take_last() != Some(Payload::UsageOnly) {
                out.unsplit(event);
            }
        }
        if self.pending.len() > MAX_LINE_BYTES {
            out.unsplit(self.finish(events));
        }
        out.freeze()
    }

    /// What is left when the stream ends.
    pub(crate) fn finish(&mut self, events: &mut Events) -> BytesMut {
        self.seen = 0;
        let rest = self.pending.split();
        events.feed(&rest);
        rest
    }

    /// Where the first complete event ends.
    fn event_end(&mut self) -> Option<usize> {
        loop {
            let rest = self.pending.get(self.seen..)?;
            let at = self.seen + memchr2(b'\n', b'\r', rest)?;
            let after = self.pending.get(at..).unwrap_or_default();
            for end in [b"\r\n\r\n".as_slice(), b"\n\n", b"\r\r", b"\n\r\n"] {
                if after.starts_with(end) {
                    return Some(at + end.len());
                }
            }
            // The rest of an empty line may be still to come.
            if after.len() < 4 {
                self.seen = at;
                return None;
            }
            self.seen = at + 1;
        }
    }
}
