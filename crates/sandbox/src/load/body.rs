//! What is asked: a conversation of the wanted size.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Dialect, Plan};

/// Characters of one message of the history.
const MESSAGE: usize = 1000;
/// As people and tools write: line ends, quotes and letters beyond ASCII.
const TEXT: &str = "Ana asked for the \"weekly report\" again.\nThe branch in São Paulo sold 41 \
                    boxes; the rest is to be counted on Monday, before the delivery at 9:30. ";

/// Text whose characters are a byte each, also in JSON.
const PADDING: &str = " Prices are asked for, never guessed.";

/// The body of a request; as large as the plan says, or as small as it can be.
pub(super) fn chat(plan: &Plan) -> Bytes {
    let text: String = TEXT.chars().cycle().take(MESSAGE).collect();
    let turn = ["user", "assistant"].map(|role| json!({ "role": role, "content": text }));
    let size = |history: &[Value]| render(plan, history, 0).len();
    let (empty, one) = (size(&[]), size(&turn));
    let turns = plan.body_bytes.saturating_sub(empty) / (one - empty);
    let history: Vec<Value> = turn.into_iter().cycle().take(2 * turns).collect();
    let missing = plan.body_bytes.saturating_sub(size(&history));
    render(plan, &history, missing).into()
}

fn render(plan: &Plan, history: &[Value], padding: usize) -> String {
    let mut messages = history.to_vec();
    messages.push(json!({ "role": "user", "content": "And what is to be done next?" }));
    let padding: String = PADDING.chars().cycle().take(padding).collect();
    let system = format!("You help the people of a pharmacy, briefly and politely.{padding}");
    let mut fields = Map::new();
    let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    add("model", json!(plan.model));
    add("stream", json!(plan.stream));
    match plan.dialect {
        Dialect::OpenAi => {
            messages.insert(0, json!({ "role": "system", "content": system }));
            add("max_completion_tokens", json!(8192));
            if plan.stream {
                add("stream_options", json!({ "include_usage": true }));
            }
        }
        Dialect::Anthropic => {
            add("system", json!([{ "type": "text", "text": system }]));
            add("max_tokens", json!(8192));
        }
    }
    add("messages", Value::from(messages));
    Value::from(fields).to_string()
}
