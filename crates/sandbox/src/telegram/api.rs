//! The Bot API.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Shared,
    params::Params,
    state::{Bot, State},
};

mod about;
mod change;
mod send;
mod updates;

pub(super) use send::Sending;

/// The methods that the stand-in has, as the documentation spells them.
const METHODS: &[&str] = &[
    "getMe",
    "getUpdates",
    "setWebhook",
    "deleteWebhook",
    "getWebhookInfo",
    "logOut",
    "close",
    "sendMessage",
    "sendPhoto",
    "sendAudio",
    "sendDocument",
    "sendVideo",
    "sendAnimation",
    "sendVoice",
    "sendVideoNote",
    "sendSticker",
    "sendMediaGroup",
    "sendLocation",
    "sendChatAction",
    "sendMessageDraft",
    "copyMessage",
    "forwardMessage",
    "setMessageReaction",
    "editMessageText",
    "editMessageCaption",
    "editMessageReplyMarkup",
    "deleteMessage",
    "deleteMessages",
    "pinChatMessage",
    "unpinChatMessage",
    "answerCallbackQuery",
    "getFile",
    "getChat",
    "getChatMember",
    "setMyCommands",
    "deleteMyCommands",
    "getMyCommands",
];

/// Why a call is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) description: String,
    pub(super) retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(code: u16, description: impl Into<String>) -> Self {
        Self { code, description: description.into(), retry_after: None }
    }

    /// 400, with what is wrong.
    pub(super) fn bad(complaint: impl std::fmt::Display) -> Self {
        Self::new(400, format!("Bad Request: {complaint}"))
    }

    /// 429.
    pub(super) fn slow(seconds: u64) -> Self {
        let description = format!("Too Many Requests: retry after {seconds}");
        Self { code: 429, description, retry_after: Some(seconds) }
    }

    /// As Telegram says it.
    pub(super) fn json(&self) -> Value {
        let mut json =
            json!({ "ok": false, "error_code": self.code, "description": self.description });
        if let (Some(seconds), Some(json)) = (self.retry_after, json.as_object_mut()) {
            json.insert("parameters".to_owned(), json!({ "retry_after": seconds }));
        }
        json
    }
}

/// The method of a name in any case.
pub(super) fn find(name: &str) -> Option<&'static str> {
    METHODS.iter().copied().find(|method| method.eq_ignore_ascii_case(name))
}

/// Answers a call of a bot whose token was right.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    bot: i64,
    method: &'static str,
    params: Params,
) -> Result<Value, Refusal> {
    if method == "getUpdates" {
        return updates::get(shared, bot, &params).await;
    }
    let done = act(&mut shared.state.lock(), bot, method, params);
    shared.touch();
    if method == "setWebhook" {
        shared.wake(bot);
    }
    done
}

/// Does what a method does.
pub(super) fn act(
    state: &mut State,
    bot: i64,
    method: &'static str,
    params: Params,
) -> Result<Value, Refusal> {
    match method {
        "getMe" => Ok(about::me(state.own(bot)?)),
        "setWebhook" => updates::set_webhook(state.own(bot)?, &params),
        "deleteWebhook" => Ok(updates::delete_webhook(state.own(bot)?, &params)),
        "getWebhookInfo" => Ok(updates::webhook_info(state.own(bot)?)),
        "logOut" | "close" => Ok(true.into()),
        "getFile" => about::file(state, &params),
        "getChat" | "getChatMember" => about::chat(state, bot, method, &params),
        "setMyCommands" | "deleteMyCommands" | "getMyCommands" => {
            about::commands(state.own(bot)?, method, &params)
        }
        "answerCallbackQuery" => about::answer_button(&params),
        "sendChatAction" | "setMessageReaction" | "sendMessageDraft" | "pinChatMessage"
        | "unpinChatMessage" => change::note(state, bot, method, &params),
        "editMessageText" | "editMessageCaption" | "editMessageReplyMarkup" => {
            change::edit(state, bot, method, &params)
        }
        "deleteMessage" | "deleteMessages" => change::delete(state, bot, method, &params),
        _ => Sending { state, bot, method, params }.send(),
    }
}

impl State {
    fn own(&mut self, bot: i64) -> Result<&mut Bot, Refusal> {
        self.bots.get_mut(&bot).ok_or_else(|| Refusal::new(401, "Unauthorized"))
    }

    /// The person whom a call is for: who has written to the bot and has not stopped it.
    fn reach(&self, bot: i64, params: &Params, name: &str) -> Result<i64, Refusal> {
        let text = params.get(name).ok_or_else(|| Refusal::bad(format!("{name} is empty")))?;
        let none = || Refusal::bad("chat not found");
        let user: i64 = text.parse().map_err(|_| none())?;
        let chat = self.bots.get(&bot).and_then(|bot| bot.chats.get(&user)).ok_or_else(none)?;
        if chat.blocked {
            return Err(Refusal::new(403, "Forbidden: bot was blocked by the user"));
        }
        Ok(user)
    }
}
