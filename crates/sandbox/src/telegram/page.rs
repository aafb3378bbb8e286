//! Pages on which a person talks to bots.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, stream};
use http::{HeaderValue, Method, Response, header, request::Parts};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    Shared, control,
    person::at,
    serve::{self, Answer},
    state::{Bot, Chat, Message, State},
};

const HTML: &str = include_str!("page/app.html");
const CSS: &str = include_str!("page/app.css");
const JS: &str = include_str!("page/app.js");
/// What a page may do: nothing from elsewhere, and no script but ours.
const POLICY: &str =
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; frame-ancestors 'none'";
/// How often a page that is told nothing hears that we live.
const BEAT: Duration = Duration::from_secs(20);
/// How long changes are gathered before a page is told.
const GATHER: Duration = Duration::from_millis(30);

/// Answers a browser.
pub(super) fn answer(shared: &Arc<Shared>, head: &Parts) -> Answer {
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or_default();
    if head.method != Method::GET {
        return serve::plain(405, "text/plain", "pages are read\n");
    }
    match path {
        "/app.css" => serve::plain(200, "text/css", CSS),
        "/app.js" => serve::plain(200, "text/javascript; charset=utf-8", JS),
        "/_events" => events(shared, query),
        _ if path == "/" || path.starts_with("/chat/") => html(),
        _ => match (path.strip_prefix("/t.me/"), path.strip_prefix("/_file/")) {
            (Some(bot), _) => deep_link(shared, bot.trim_end_matches('/'), query),
            (_, Some(id)) => file(shared, id),
            _ => serve::plain(404, "text/plain", "no such page\n"),
        },
    }
}

fn html() -> Answer {
    let mut answer = serve::plain(200, "text/html; charset=utf-8", HTML);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

/// What `t.me/BOT?start=CODE` does: opens the chat, where the person has yet to press the button.
fn deep_link(shared: &Shared, bot: &str, query: &str) -> Answer {
    let query = control::pairs(query).unwrap_or_default();
    let mut state = shared.state.lock();
    let Some(username) = state.find_bot(bot).map(|bot| bot.account.username.clone()) else {
        return serve::plain(404, "text/plain", "there is no such bot\n");
    };
    let wanted = query.get("user").and_then(|user| user.parse().ok());
    let user = wanted.filter(|user| state.users.contains_key(user));
    let user = user.or_else(|| state.users.keys().next().copied());
    let user = user.unwrap_or_else(|| state.make_user(None, "Ana", "pt-br").id);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let code = query.get("start").filter(|code| code.len() <= 64 && code.chars().all(plain));
    let start = code.map(|code| format!("?start={code}")).unwrap_or_default();
    drop(state);
    shared.touch();
    let mut answer = serve::plain(302, "text/plain", "");
    if let Ok(place) = HeaderValue::try_from(format!("/chat/{user}/{username}{start}")) {
        answer.headers_mut().insert(header::LOCATION, place);
    }
    answer
}

/// The content of a file; only pictures and sounds are shown, the rest is for downloading.
fn file(shared: &Shared, id: &str) -> Answer {
    let state = shared.state.lock();
    let Some(file) = state.files.get(id) else {
        return serve::plain(404, "text/plain", "no such file\n");
    };
    let shown = [
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "audio/ogg",
        "audio/mpeg",
        "audio/webm",
    ];
    let kind =
        shown.into_iter().find(|kind| file.kind.starts_with(kind)).or_else(|| picture(&file.bytes));
    let mut answer =
        serve::plain(200, kind.unwrap_or("application/octet-stream"), file.bytes.clone());
    let headers = answer.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if kind.is_none() {
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    answer
}

/// The type of a picture whose sender named none.
fn picture(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        _ => None,
    }
}

/// A stream of what a page shows, from now on: the list of chats, or one chat.
fn events(shared: &Arc<Shared>, query: &str) -> Answer {
    let query = control::pairs(query).unwrap_or_default();
    let user = query.get("user").and_then(|user| user.parse().ok());
    let bot = query.get("bot").cloned();
    let page = Page {
        shared: Arc::clone(shared),
        changed: shared.changed.subscribe(),
        chat: user.zip(bot),
        seen: None,
    };
    let body = StreamBody::new(page.stream()).boxed_unsync();
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

/// A page that is open.
struct Page {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    /// The person and the bot whose chat it shows, if one.
    chat: Option<(i64, String)>,
    /// The version of the messages that it shows.
    seen: Option<u64>,
}

impl Page {
    fn stream(self) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
        stream::unfold(self, async |mut page| {
            let event = page.next().await;
            Some((Ok(Frame::data(event.into())), page))
        })
    }

    /// The next event: what is new, or that nothing is.
    async fn next(&mut self) -> String {
        if self.seen.is_some() {
            match timeout(BEAT, self.changed.changed()).await {
                Ok(_) => tokio::time::sleep(GATHER).await,
                Err(_) => return ": here\n\n".to_owned(),
            }
        }
        self.changed.mark_unchanged();
        let state = self.shared.state.lock();
        let chat = self.chat.as_ref().and_then(|(user, bot)| chat(&state, *user, bot, self.seen));
        let event = json!({ "list": list(&state), "chat": chat });
        self.seen = Some(state.version());
        format!("data: {event}\n\n")
    }
}

/// A chat, with the messages that are newer than a version.
fn chat(state: &State, user: i64, bot: &str, seen: Option<u64>) -> Option<Value> {
    let bot = state.find_bot(bot)?;
    let person = state.users.get(&user)?;
    let none = Chat::default();
    let chat = bot.chats.get(&user).unwrap_or(&none);
    let new = chat.messages.iter().filter(|one| seen.is_none_or(|seen| one.version > seen));
    let action = chat.action.as_ref().filter(|(_, until)| *until > Instant::now());
    Some(json!({
        "bot": bot.json(), "user": person.json(), "blocked": chat.blocked,
        "action": action.map(|(action, _)| action),
        "messages": new.map(|one| shown(one, bot)).collect::<Vec<_>>(),
    }))
}

/// Bots, people, and the last word of each chat.
fn list(state: &State) -> Value {
    let bots = state.bots.values().map(|bot| {
        let chats = bot.chats.iter().map(|(user, chat)| {
            let last = chat.messages.iter().rev().find(|message| !message.deleted);
            json!({ "user": user, "last": last.map(|last| shown(last, bot)) })
        });
        let webhook =
            bot.webhook.as_ref().map(|webhook| webhook.last_error.as_ref().map(|(_, error)| error));
        json!({
            "bot": bot.account, "chats": chats.collect::<Vec<_>>(), "pending": bot.updates.len(),
            "connected": webhook.is_some() || bot.poll > 0, "error": webhook.flatten(),
        })
    });
    let users: Vec<Value> = state.users.values().map(super::state::User::json).collect();
    json!({ "bots": bots.collect::<Vec<_>>(), "users": users })
}

/// A message as the page has it.
fn shown(message: &Message, bot: &Bot) -> Value {
    let Message { id, json, html, deleted, .. } = message;
    let media =
        ["photo", "document", "voice", "audio", "video", "animation", "sticker", "video_note"];
    let media = media.into_iter().find_map(|kind| {
        let file = json.get(kind)?;
        let file = file.as_array().and_then(|sizes| sizes.last()).unwrap_or(file);
        Some(json!({
            "kind": kind, "url": format!("/_file/{}", at(file, "/file_id").as_str()?),
            "name": at(file, "/file_name"), "size": at(file, "/file_size"),
        }))
    });
    json!({
        "id": id, "mine": *at(json, "/from/id") != bot.account.id, "html": html, "deleted": deleted,
        "text": at(json, "/text"), "at": at(json, "/date"), "edited": json.get("edit_date").is_some(), "media": media,
        "buttons": at(json, "/reply_markup/inline_keyboard"),
    })
}
