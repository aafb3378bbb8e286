//! The log: the gateway's lines and the agent's, JSON on standard output, no token in any.

use std::{
    borrow::Cow,
    io::{self, Write as _},
    sync::Arc,
};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::unix::pipe::Receiver,
};

use crate::{secrets::Secrets, status::Status};

/// Bytes of a line; a longer one becomes several.
const LONGEST: u64 = 64 * 1024;

/// What the agent says of itself, in the shape of the gateway's lines.
pub(crate) fn say(level: &str, message: &str) {
    print(&line(level, "agent", message).to_string());
}

/// Passes on what the gateway logs until nobody writes any more, and remembers its last error.
pub(crate) async fn forward(pipe: Receiver, secrets: Arc<Secrets>, status: Arc<Status>) {
    let mut reader = BufReader::new(pipe);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let mut line = (&mut reader).take(LONGEST);
        if !matches!(line.read_until(b'\n', &mut bytes).await, Ok(1..)) {
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = secrets.redact(text.trim_end());
        if text.is_empty() {
            continue;
        }
        if let Some(error) = error(&text) {
            status.error(&error);
        }
        print(&as_json(&text));
    }
}

/// One line of the gateway's log; it has more fields.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    level: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// What went wrong, where the line says that something did.
fn error(text: &str) -> Option<String> {
    let line: Line<'_> = serde_json::from_str(text).ok()?;
    matches!(&*line.level, "error" | "fatal").then(|| line.message.into_owned())
}

/// The gateway prints some boxes for people before its log begins.
fn as_json(text: &str) -> Cow<'_, str> {
    if text.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(line("info", "gateway", text).to_string())
}

fn line(level: &str, subsystem: &str, message: &str) -> Value {
    #[expect(clippy::disallowed_methods, reason = "nothing but a log line has this time")]
    let time = jiff::Timestamp::now();
    json!({"time": time.to_string(), "level": level, "subsystem": subsystem, "message": message})
}

/// In one piece, so that lines of two pipes do not mix. Whoever reads no more misses it.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(format!("{text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_other_lines() {
        let line = r#"{"time":"2026-11-22","level":"error","subsystem":"x","message":"no \"y\""}"#;
        assert_eq!(error(line).unwrap(), r#"no "y""#);
        assert_eq!(error(r#"{"level":"info","message":"error"}"#), None);
        assert_eq!(error("error"), None);
    }

    #[test]
    fn every_line_is_json() {
        let line = r#"{"level":"info","message":"a"}"#;
        assert_eq!(as_json(line), line);
        for text in ["┌ Doctor ┐", "{half", r#""quoted""#] {
            let value: Value = serde_json::from_str(&as_json(text)).unwrap();
            assert_eq!(value["message"], text);
        }
    }
}
