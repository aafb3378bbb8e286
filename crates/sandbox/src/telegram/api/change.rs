//! What changes in a chat besides new messages.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Refusal, Sending, State};
use crate::telegram::{
    params::Params,
    person::{at, merge, now},
};

/// How long a chat shows that the bot is typing.
const ACTION: Duration = Duration::from_secs(5);

/// Something that leaves no message: an action, a reaction, a pin.
pub(super) fn note(
    state: &mut State,
    bot: i64,
    method: &str,
    params: &Params,
) -> Result<Value, Refusal> {
    let user = state.reach(bot, params, "chat_id")?;
    if method == "sendChatAction" {
        let action = params
            .get("action")
            .ok_or_else(|| Refusal::bad("wrong parameter action in request"))?;
        if let Some(chat) = state.own(bot)?.chats.get_mut(&user) {
            chat.action = Some((action.to_owned(), Instant::now() + ACTION));
        }
    }
    state.note(bot, user, method, params.log());
    Ok(true.into())
}

pub(super) fn edit(
    state: &mut State,
    bot: i64,
    method: &str,
    params: &Params,
) -> Result<Value, Refusal> {
    let user = state.reach(bot, params, "chat_id")?;
    Sending::count(state, bot, user)?;
    let (field, longest) =
        if method == "editMessageText" { ("text", 4096) } else { ("caption", 1024) };
    let formatted = if method == "editMessageReplyMarkup" {
        None
    } else {
        Some(Sending::format(params, field, longest)?)
    };
    if field == "text" && formatted.as_ref().is_some_and(|formatted| formatted.text.is_empty()) {
        return Err(Refusal::bad("message text is empty"));
    }
    let markup = Sending::markup(params)?;
    let version = state.next_version();
    let chat =
        state.own(bot)?.chats.get_mut(&user).ok_or_else(|| Refusal::bad("chat not found"))?;
    let id = params.integer("message_id");
    let message =
        chat.messages.iter_mut().find(|message| Some(message.id) == id && !message.deleted);
    let message = message.ok_or_else(|| Refusal::bad("message to edit not found"))?;
    if *at(&message.json, "/from/id") != bot {
        return Err(Refusal::bad("message can't be edited"));
    }
    let pointer = format!("/{field}");
    let shown = |json: &Value| (at(json, &pointer).clone(), at(json, "/reply_markup").clone());
    let before = shown(&message.json);
    if let Some(formatted) = formatted {
        let entities = if field == "text" { "entities" } else { "caption_entities" };
        merge(&mut message.json, json!({ field: formatted.text, entities: formatted.entities }));
        message.html = formatted.html;
    }
    if let Some(json) = message.json.as_object_mut() {
        json.remove("reply_markup");
        json.extend(markup.map(|markup| ("reply_markup".to_owned(), markup)));
    }
    if before == shown(&message.json) {
        return Err(Refusal::bad(
            "message is not modified: specified new message content and reply markup are exactly the \
             same as a current content and reply markup of the message",
        ));
    }
    merge(&mut message.json, json!({ "edit_date": now().as_second() }));
    message.version = version;
    let json = message.json.clone();
    state.note(bot, user, method, json.clone());
    Ok(json)
}

pub(super) fn delete(
    state: &mut State,
    bot: i64,
    method: &str,
    params: &Params,
) -> Result<Value, Refusal> {
    let user = state.reach(bot, params, "chat_id")?;
    let ids: Vec<i64> = match params.value("message_ids").map_err(Refusal::bad)? {
        Some(ids) => serde_json::from_value(ids)
            .map_err(|_| Refusal::bad("message identifiers are not specified"))?,
        None => params.integer("message_id").into_iter().collect(),
    };
    let version = state.next_version();
    let chat =
        state.own(bot)?.chats.get_mut(&user).ok_or_else(|| Refusal::bad("chat not found"))?;
    let mut found = false;
    for message in
        chat.messages.iter_mut().filter(|message| ids.contains(&message.id) && !message.deleted)
    {
        (message.deleted, message.version, found) = (true, version, true);
    }
    if !found && method == "deleteMessage" {
        return Err(Refusal::bad("message to delete not found"));
    }
    state.note(bot, user, method, json!({ "message_ids": ids }));
    Ok(true.into())
}
