//! Reads streams of either dialect for the numbers of their frames.

use std::time::Duration;

use memchr::{memchr, memmem};
use tokio::time::Instant;

use super::client::Streamed;

/// What a frame's text follows, in either dialect and with or without a blank.
const FIELDS: [&[u8]; 2] = [b"\"content\":", b"\"text\":"];
/// What ends a stream, in either dialect.
const ENDS: [&[u8]; 2] = [b"data: [DONE]", b"event: message_stop"];

/// Follows one stream.
pub(super) struct Scanner {
    start: Instant,
    gap: Duration,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    last: Option<(u64, Instant)>,
    finished: bool,
    streamed: Streamed,
}

impl Scanner {
    pub(super) fn new(start: Instant, gap: Duration) -> Self {
        let streamed = Streamed { first: None, late: Vec::new(), lost: 0 };
        Self { start, gap, partial: Vec::new(), last: None, finished: false, streamed }
    }

    /// Reads bytes that came `now`.
    pub(super) fn read(&mut self, mut bytes: &[u8], now: Instant) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            if self.partial.is_empty() {
                self.line(line, now);
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole, now);
            }
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.partial.extend_from_slice(bytes);
    }

    /// What was seen, if the stream said that it was over.
    pub(super) fn finish(self) -> Option<Streamed> {
        self.finished.then_some(self.streamed)
    }

    fn line(&mut self, line: &[u8], now: Instant) {
        self.finished |= ENDS.iter().any(|end| line.starts_with(end));
        let Some(number) = number(line) else { return };
        match self.last {
            None => self.streamed.first = Some(now - self.start),
            Some((last, at)) => {
                self.streamed.late.push((now - at).saturating_sub(self.gap));
                self.streamed.lost += number.saturating_sub(last + 1);
            }
        }
        self.last = Some((number, now));
    }
}

/// The number that the text of a frame begins with.
fn number(line: &[u8]) -> Option<u64> {
    let place = |field: &&[u8]| Some(memmem::find(line, field)? + field.len());
    let text = line.get(FIELDS.iter().find_map(place)?..)?.trim_ascii_start();
    let digits = text.strip_prefix(b"\"")?.get(..8)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = concat!(
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"00000000 and\"}}]}\r\n\r\n",
        "event: content_block_delta\ndata: {\"delta\":{\"text\": \"00000001 so\"}}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"00000004 on\"}}]}\n\n",
        "data: [DONE]\n\n",
    );

    fn scan(piece: usize, stream: &str) -> Option<Streamed> {
        let start = Instant::now();
        let mut scanner = Scanner::new(start, Duration::from_millis(1));
        for (index, bytes) in (1..).zip(stream.as_bytes().chunks(piece)) {
            scanner.read(bytes, start + Duration::from_millis(2) * index);
        }
        scanner.finish()
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        for piece in [1, 7, 64, 10_000] {
            let streamed = scan(piece, STREAM).unwrap();
            assert_eq!((streamed.late.len(), streamed.lost), (2, 2), "{piece}");
            assert!(streamed.first.is_some());
        }
    }

    #[test]
    fn late_is_what_exceeds_the_gap() {
        let frame = |number| format!("data: {{\"content\":\"{number:08} \"}}\n");
        let stream = [frame(0), frame(1), "data: [DONE]\n".to_owned()].concat();
        let streamed = scan(frame(0).len(), &stream).unwrap();
        assert_eq!(streamed.late, [Duration::from_millis(1)]);
    }

    #[test]
    fn a_stream_without_its_end_is_none() {
        assert!(scan(64, STREAM.trim_end_matches("data: [DONE]\n\n")).is_none());
    }
}
