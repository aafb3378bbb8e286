//! What fuzz targets reach: readers of bytes from outside. Compiled with `--cfg fuzzing` only.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;

use crate::{Method, Rule, Update, check, params, update};

/// A chat that is allowed, and what no chat in a call that passes may be other than.
const CHAT: i64 = 7;

/// Bytes of any kind are the parameters of a call or are refused: the first picks the method, the
/// second the encoding. What passes names no other chat, fetches nothing and is one JSON object.
pub fn params(bytes: &[u8]) {
    let [method, encoding, rest @ ..] = bytes else { return };
    let forwarded: Vec<_> =
        crate::METHODS.iter().filter(|method| method.rule == Rule::Forward).collect();
    let method: &'static Method = forwarded[usize::from(*method) % forwarded.len()];
    let text = String::from_utf8_lossy(rest);
    let (kind, query, body) = match encoding % 4 {
        0 => (Some("application/json"), None, rest),
        1 => (Some("application/x-www-form-urlencoded"), None, rest),
        2 => (Some("multipart/form-data; boundary=b"), None, rest),
        _ => (None, Some(&*text), &[][..]),
    };
    let body = Full::new(Bytes::copy_from_slice(body));
    let read = params::read(kind, query, body);
    // The only thing that is waited for is the pause between two chunks.
    let Ok(read) = run(read) else { return };
    let Ok(call) = check(method, read, |chat| chat.get() == CHAT) else { return };
    if let Some(json) = call.json() {
        let value: Value = serde_json::from_slice(json).expect("it is JSON");
        assert!(value.is_object());
        stays(&value);
    } else {
        let (_, body) = call.into_body();
        // Refused in the middle or whole: it only must not panic.
        let _ = run(body.collect());
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}

/// No chat but one, no address where files are.
fn stays(value: &Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                if matches!(&**name, "chat_id" | "from_chat_id" | "user_id") && !value.is_null() {
                    assert!(*value == CHAT || *value == CHAT.to_string(), "{name}: {value}");
                }
                if matches!(&**name, "photo" | "media" | "thumbnail" | "cover" | "document") {
                    assert!(
                        !value.as_str().is_some_and(
                            |text| text.contains('.') && !text.starts_with("attach://")
                        )
                    );
                }
                stays(value);
            }
        }
        Value::Array(list) => list.iter().for_each(stays),
        _ => {}
    }
}

/// Bytes of any kind are an update or are refused; another number changes nothing else.
pub fn update(bytes: &[u8]) {
    let parsed = Update::parse(bytes);
    if let Ok(new) = update::renumbered(bytes, 5)
        && let Ok(old) = parsed
    {
        let new = Update::parse(&new).expect("it stays an update");
        assert_eq!(Update { id: 5, ..old }, new);
    }
}
