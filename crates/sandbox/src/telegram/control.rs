//! The stand-in's own routes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, header, request::Parts};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::{
    Shared,
    serve::{self, Answer},
    state::Upload,
};

/// What the routes are told, each its part of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    id: Option<i64>,
    username: String,
    name: String,
    first_name: String,
    language_code: String,
    user: i64,
    /// A user name or a number.
    bot: Value,
    text: String,
    message_id: i64,
    data: String,
}

/// Answers what begins with `/_control`; nobody needs a token for it.
pub(super) async fn answer(shared: &Arc<Shared>, head: &Parts, body: Bytes) -> Answer {
    let route = head.uri.path().trim_start_matches("/_control").trim_matches('/');
    let query = head.uri.query().unwrap_or_default();
    let done = match (&head.method, route) {
        (&Method::POST, "") => {
            let words = String::from_utf8_lossy(&body);
            shared.control(&words).map(|()| Value::Null)
        }
        (&Method::POST, "file") => file(shared, head, query, body),
        (&Method::POST, route) => post(shared, route, &body),
        (&Method::GET, "sent") => sent(shared, query).await,
        (&Method::GET, route) => get(shared, route),
        _ => Err("no such route of the stand-in".to_owned()),
    };
    match done {
        Ok(value) => serve::json(200, &value),
        Err(complaint) => serve::plain(400, "text/plain; charset=utf-8", format!("{complaint}\n")),
    }
}

fn post(shared: &Shared, route: &str, body: &[u8]) -> Result<Value, String> {
    let told: Told = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    match route {
        "bots" => {
            let name = if told.name.is_empty() { &told.username } else { &told.name };
            let username = told.username.trim_start_matches('@');
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if username.len() < 4 || !username.chars().all(plain) {
                return Err("username: expected letters, digits and underscores".to_owned());
            }
            let made = shared.state.lock().make_bot(username, name);
            shared.touch();
            return Ok(json!(made));
        }
        "users" => {
            let language =
                if told.language_code.is_empty() { "pt-br" } else { &told.language_code };
            let name = if told.first_name.is_empty() { "Ana" } else { &told.first_name };
            let made = shared.state.lock().make_user(told.id, name, language).json();
            shared.touch();
            return Ok(made);
        }
        _ => {}
    }
    let bot = bot(
        shared,
        told.bot.as_str().map_or_else(|| told.bot.to_string(), str::to_owned).as_str(),
    )?;
    let Told { user, message_id, .. } = told;
    let said = shared.person(bot, |state| match route {
        "say" => state.say(user, bot, &told.text),
        "edit" => state.edit(user, bot, message_id, &told.text),
        "press" => state.press(user, bot, message_id, &told.data),
        "block" => state.block(user, bot, true),
        "unblock" => state.block(user, bot, false),
        _ => Err("no such route of the stand-in".to_owned()),
    })?;
    Ok(json!({ "update_id": said.update_id, "message_id": said.message_id }))
}

fn get(shared: &Shared, route: &str) -> Result<Value, String> {
    let state = shared.state.lock();
    match route {
        "bots" => Ok(state.bots.values().map(|bot| json!(bot.account)).collect()),
        "users" => Ok(state.users.values().map(super::state::User::json).collect()),
        "fetched" => Ok(json!(state.fetched)),
        "calls" => Ok(json!(state.calls)),
        _ => Err("no such route of the stand-in".to_owned()),
    }
}

fn file(shared: &Shared, head: &Parts, query: &str, bytes: Bytes) -> Result<Value, String> {
    let query = pairs(query)?;
    let get = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let user = get("user").parse().map_err(|_| "user: expected a number".to_owned())?;
    let bot = bot(shared, get("bot"))?;
    let kind = serve::text(&head.headers, header::CONTENT_TYPE).to_owned();
    let upload = Upload { name: get("name").to_owned(), kind, bytes };
    let said = shared
        .person(bot, |state| state.send_file(user, bot, get("kind"), upload, get("caption")))?;
    Ok(json!({ "update_id": said.update_id, "message_id": said.message_id }))
}

/// What a bot did in a chat; waits for the first thing, if asked to.
async fn sent(shared: &Shared, query: &str) -> Result<Value, String> {
    let query = pairs(query)?;
    let number = |name: &str| query.get(name).map_or(Ok(0), |text| text.parse::<u64>());
    let number = |name: &str| number(name).map_err(|_| format!("{name}: expected a number"));
    let bot = bot(shared, query.get("bot").map(String::as_str).unwrap_or_default())?;
    let user = i64::try_from(number("user")?).map_err(|_| "user: expected a number".to_owned())?;
    let (after, wait) = (number("after")?, number("wait")?.min(600));
    let until = Instant::now() + Duration::from_secs(wait);
    let mut changed = shared.changed.subscribe();
    loop {
        let sent = shared.state.lock().sent(bot, user, after);
        if !sent.is_empty() || timeout_at(until, changed.changed()).await.is_err() {
            return Ok(json!(sent));
        }
    }
}

fn bot(shared: &Shared, name: &str) -> Result<i64, String> {
    let state = shared.state.lock();
    state.find_bot(name).map(|bot| bot.account.id).ok_or_else(|| format!("{name}: no such bot"))
}

pub(super) fn pairs(query: &str) -> Result<HashMap<String, String>, String> {
    serde_urlencoded::from_str(query).map_err(|error| error.to_string())
}
