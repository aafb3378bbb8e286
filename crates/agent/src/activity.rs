//! Whether the gateway works on an answer, from the timeline that it writes of itself.
//!
//! `OPENCLAW_DIAGNOSTICS=timeline` makes it append a line for the begin and the end of every turn
//! and every request to a model. Asking it instead (its WebSocket's `gateway.restart.preflight`)
//! would take a connection, a handshake and a question each second; its probes do not know.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::PathBuf,
    time::Duration,
};

use oc_domain::heartbeat::Activity;
use serde::Deserialize;
use tokio::time::Instant;

/// A turn of a person: from the message to the last piece of its answer.
const TURN: &str = "auto_reply.dispatch_reply_from_config";
/// Turns of other origin, as scheduled ones, are seen by their requests, with tools between them.
const BETWEEN: Duration = Duration::from_secs(3);
/// Bytes after which what has been read is thrown away, at a moment when nothing is open.
const LONGEST: u64 = 1 << 20;

/// The end of a file that grows.
#[derive(Debug)]
pub(crate) struct Timeline {
    path: PathBuf,
    read: u64,
    /// A line that is not whole yet.
    rest: Vec<u8>,
    open: HashSet<String>,
    last: Option<Instant>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(rename = "spanId")]
    span: Option<String>,
}

impl Timeline {
    /// The timeline of a gateway that is about to start.
    pub(crate) fn begin(path: PathBuf) -> Self {
        // There is none at a pod's first start.
        let _ = fs::remove_file(&path);
        Self { path, read: 0, rest: Vec::new(), open: HashSet::new(), last: None }
    }

    /// Reads what is new.
    pub(crate) fn poll(&mut self) -> Activity {
        // None as long as the gateway has written nothing.
        if let Ok(bytes) = self.grown() {
            self.read += bytes.len() as u64;
            self.rest.extend(bytes);
            let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            let whole: Vec<u8> = self.rest.drain(..end).collect();
            whole.split(|byte| *byte == b'\n').for_each(|line| self.note(line));
        }
        let now = Instant::now();
        if !self.open.is_empty() {
            self.last = Some(now);
            return Activity::Busy;
        }
        if self.last.is_some_and(|last| now.duration_since(last) < BETWEEN) {
            return Activity::Busy;
        }
        self.shorten();
        Activity::Idle
    }

    fn grown(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if fs::metadata(&self.path)?.len() > self.read {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.read))?;
            file.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }

    fn note(&mut self, line: &[u8]) {
        let Ok(Event { kind, name, span: Some(span) }) = serde_json::from_slice(line) else {
            return;
        };
        match (kind.as_str(), name.as_str()) {
            ("span.start", TURN) | ("mark", "provider.request.started") => {
                self.open.insert(span);
            }
            ("span.end" | "span.error", TURN) | ("provider.request", _) => {
                self.open.remove(&span);
                self.last = Some(Instant::now());
            }
            _ => {}
        }
    }

    /// An event that comes between our last look and this moment is lost. It can only begin
    /// something, so the worst is a turn that nobody sees.
    fn shorten(&mut self) {
        if self.read < LONGEST || !self.rest.is_empty() {
            return;
        }
        let emptied = File::options().write(true).open(&self.path);
        if emptied.and_then(|file| file.set_len(0)).is_ok() {
            self.read = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tempfile::NamedTempFile;
    use tokio::time::advance;

    use super::*;

    struct Gateway(NamedTempFile);

    impl Gateway {
        fn write(&mut self, kind: &str, name: &str, span: u32) {
            writeln!(self.0, r#"{{"type":"{kind}","name":"{name}","spanId":"{span}"}}"#).unwrap();
        }
    }

    fn start() -> (Gateway, Timeline) {
        let file = NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        let timeline =
            Timeline { path, read: 0, rest: Vec::new(), open: HashSet::new(), last: None };
        (Gateway(file), timeline)
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_work_until_a_moment_after_its_end() {
        let (mut gateway, mut timeline) = start();
        assert_eq!(timeline.poll(), Activity::Idle);
        gateway.write("span.start", "plugins.metadata.scan", 1);
        assert_eq!(timeline.poll(), Activity::Idle);
        gateway.write("span.start", TURN, 2);
        gateway.write("mark", "provider.request.started", 3);
        assert_eq!(timeline.poll(), Activity::Busy);
        gateway.write("provider.request", "provider.request", 3);
        advance(Duration::from_mins(5)).await;
        assert_eq!(timeline.poll(), Activity::Busy);
        gateway.write("span.error", TURN, 2);
        assert_eq!(timeline.poll(), Activity::Busy);
        advance(BETWEEN).await;
        assert_eq!(timeline.poll(), Activity::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_line_waits_for_its_end() {
        let (mut gateway, mut timeline) = start();
        write!(gateway.0, r#"{{"type":"span.start","name":"{TURN}","#).unwrap();
        assert_eq!(timeline.poll(), Activity::Idle);
        writeln!(gateway.0, r#""spanId":"1"}}"#).unwrap();
        assert_eq!(timeline.poll(), Activity::Busy);
    }

    #[tokio::test(start_paused = true)]
    async fn the_file_is_emptied_when_it_is_long_and_nothing_is_open() {
        let (mut gateway, mut timeline) = start();
        gateway.write("span.start", TURN, 1);
        while fs::metadata(&timeline.path).unwrap().len() <= LONGEST {
            gateway.write("mark", &"x".repeat(10_000), 0);
        }
        assert_eq!(timeline.poll(), Activity::Busy);
        gateway.write("span.end", TURN, 1);
        timeline.poll();
        advance(BETWEEN).await;
        assert_eq!(timeline.poll(), Activity::Idle);
        assert_eq!(fs::metadata(&timeline.path).unwrap().len(), 0);
        // The gateway opens it anew for each line.
        let mut again = File::options().append(true).open(&timeline.path).unwrap();
        writeln!(again, r#"{{"type":"span.start","name":"{TURN}","spanId":"2"}}"#).unwrap();
        assert_eq!(timeline.poll(), Activity::Busy);
    }
}
