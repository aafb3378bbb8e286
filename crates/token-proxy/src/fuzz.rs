//! What fuzz targets reach: readers of bytes from outside. Compiled with `--cfg fuzzing` only.

use bytes::Bytes;
use oc_domain::{ModelId, Thinking};

use crate::{
    inspect::inspect,
    route::Dialect,
    shape::{Grant, output, shape},
    usage::{Events, Seen, Withhold},
};

/// A body of any bytes is a request or is refused. What is sent on is JSON with the same members, and
/// its cap is within what was granted.
pub fn request(bytes: &[u8]) {
    let body = Bytes::copy_from_slice(bytes);
    let Ok(asked) = inspect(&body) else { return };
    let before: serde_json::Value = match serde_json::from_slice(&body) {
        Ok(before) => before,
        // Numbers that no machine holds go on as they are.
        Err(error) => return assert!(error.to_string().contains("out of range"), "{error}"),
    };
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let Ok(output) = output(&asked, dialect, ModelId::KimiK2p5.get()) else { continue };
        for granted in [output.least, output.wanted] {
            let grant = Grant { output, granted, thinking: Thinking::Low, model: "m" };
            let sent = shape(&body, &asked, dialect, grant).pieces.concat();
            let sent: serde_json::Value = serde_json::from_slice(&sent).expect("it stays JSON");
            for name in before.as_object().into_iter().flat_map(serde_json::Map::keys) {
                assert!(sent.get(name).is_some(), "{name} is lost");
            }
            for name in ["max_tokens", "max_completion_tokens"] {
                let cap = sent.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
                assert!(cap * asked.choices <= granted.max(asked.choices), "{name} {cap}");
            }
        }
    }
}

/// A stream of any bytes, in pieces of any length: what is seen does not depend on the pieces, and
/// nothing but usage chunks is withheld.
pub fn usage(bytes: &[u8]) {
    let (piece, stream) = bytes.split_first().unwrap_or((&1, &[]));
    let pieces = || stream.chunks(usize::from(*piece).max(1));
    let seen = |events: &mut Events| -> Seen {
        events.finish();
        events.seen.clone()
    };
    let mut whole = Events::default();
    whole.feed(stream);
    let mut cut = Events::default();
    pieces().for_each(|piece| cut.feed(piece));
    assert_eq!(seen(&mut whole), seen(&mut cut));
    let (mut events, mut withhold) = (Events::default(), Withhold::default());
    let mut out = Vec::new();
    for piece in pieces() {
        out.extend_from_slice(&withhold.pass(&mut events, piece));
    }
    out.extend_from_slice(&withhold.finish(&mut events));
    assert!(out.len() <= stream.len());
    assert_eq!(seen(&mut events).measured(), seen(&mut whole).measured());
}
