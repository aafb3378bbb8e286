//! What a bot asks about itself, its chats and its files.

use serde_json::{Value, json};

use super::{Refusal, State};
use crate::telegram::{params::Params, person::merge, state::Bot};

/// The most bytes of a file that can be fetched.
const LARGEST: usize = 20 << 20;

pub(super) fn me(bot: &Bot) -> Value {
    let mut me = bot.json();
    let more = json!({
        "can_join_groups": true, "can_read_all_group_messages": false,
        "supports_inline_queries": false, "can_connect_to_business": false, "has_main_web_app": false,
    });
    merge(&mut me, more);
    me
}

pub(super) fn file(state: &State, params: &Params) -> Result<Value, Refusal> {
    let id = params.get("file_id").ok_or_else(|| Refusal::bad("file_id not specified"))?;
    let file = state.files.get(id);
    let file =
        file.ok_or_else(|| Refusal::bad("wrong file_id or the file is temporarily unavailable"))?;
    if file.bytes.len() > LARGEST {
        return Err(Refusal::bad("file is too big"));
    }
    let unique: String = id.chars().skip(4).take(15).collect();
    Ok(json!({
        "file_id": id, "file_unique_id": unique, "file_size": file.bytes.len(), "file_path": file.path,
    }))
}

pub(super) fn chat(
    state: &State,
    bot: i64,
    method: &str,
    params: &Params,
) -> Result<Value, Refusal> {
    let user = state.reach(bot, params, "chat_id")?;
    let person = state.users.get(&user).ok_or_else(|| Refusal::bad("chat not found"))?;
    if method == "getChatMember" {
        return Ok(json!({ "user": person.json(), "status": "member" }));
    }
    let mut chat = person.chat();
    merge(
        &mut chat,
        json!({ "accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": {} }),
    );
    Ok(chat)
}

pub(super) fn commands(bot: &mut Bot, method: &str, params: &Params) -> Result<Value, Refusal> {
    let scope = params.get("scope").unwrap_or(r#"{"type":"default"}"#);
    let key = format!("{scope} {}", params.get("language_code").unwrap_or_default());
    match method {
        "setMyCommands" => {
            let commands = params.value("commands").map_err(Refusal::bad)?;
            let commands = commands.filter(Value::is_array);
            bot.commands
                .insert(key, commands.ok_or_else(|| Refusal::bad("commands must be an array"))?);
        }
        "deleteMyCommands" => {
            bot.commands.remove(&key);
        }
        _ => return Ok(bot.commands.get(&key).cloned().unwrap_or_else(|| json!([]))),
    }
    Ok(true.into())
}

pub(super) fn answer_button(params: &Params) -> Result<Value, Refusal> {
    let id = params.get("callback_query_id");
    let known = id.is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
    let old = "query is too old and response timeout expired or query ID is invalid";
    if known { Ok(true.into()) } else { Err(Refusal::bad(old)) }
}
