//! A call is held against the list and written anew.

use serde_json::{Map, Value, json};

use crate::{
    Call, ChatId, Method, Params, Refusal, Rule, params,
    shape::{Shape, Walk},
};

/// Writes a call anew if all that it says is understood and stays within the tenant: every chat and
/// user is one that `allowed` knows, files are uploads or known to Telegram, and previews are off.
pub fn check(
    method: &'static Method,
    params: Params,
    allowed: impl Fn(ChatId) -> bool,
) -> Result<Call, Refusal> {
    if method.rule != Rule::Forward {
        return Err(Refusal::Method(method.name));
    }
    let mut walk = Walk { allowed: &allowed, attached: Vec::new() };
    let mut values = Map::new();
    for (name, value) in params.values {
        let value = parameter(method, &name, value, &mut walk)?;
        values.insert(name, value);
    }
    let mut chats = method.chats.iter().map(|path| params::at(&values, path));
    let chat = match (method.chats.first(), chats.next().flatten()) {
        (None, _) => None,
        (Some(path), None) => return Err(Refusal::Missing((*path).to_owned())),
        (Some(_), Some(chat)) => ChatId::read(chat),
    };
    if method.previews() {
        values.remove("disable_web_page_preview");
        values.insert("link_preview_options".to_owned(), json!({ "is_disabled": true }));
    }
    let expected = method.media.iter().filter(|name| !values.contains_key(**name));
    let expected = expected.map(|name| (*name).to_owned()).chain(walk.attached).collect();
    Call::new(method, chat, &values, params.files.map(|files| (files, expected)))
}

fn parameter(
    method: &Method,
    name: &str,
    value: Value,
    walk: &mut Walk<'_>,
) -> Result<Value, Refusal> {
    if !method.has(name) {
        return Err(Refusal::Unknown(name.to_owned()));
    }
    let shape = Shape::of(name);
    let value = match value {
        Value::String(text) if shape.is_structured() => {
            serde_json::from_str(&text).map_err(|_| Refusal::Unclear(name.to_owned()))?
        }
        value => value,
    };
    shape.check(&value, name, walk)?;
    Ok(match shape {
        Shape::Chat => ChatId::read(&value).map_or(Value::Null, |chat| chat.get().into()),
        _ => value,
    })
}
