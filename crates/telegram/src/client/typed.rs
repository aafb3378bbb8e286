//! The calls of our own that the relay makes often, typed.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json, value::RawValue};

use super::{ANSWER, Client};
use crate::{ChatId, Error};

/// A bot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Bot {
    /// Its number, which its token begins with.
    pub id: i64,
    /// Its name in addresses, without `@`.
    pub username: String,
    /// What people see.
    pub first_name: String,
}

/// A message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Message {
    /// Its number in its chat.
    pub message_id: i64,
}

/// A file that Telegram has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct File {
    /// Where [`Client::file`] finds it for an hour.
    pub file_path: Option<String>,
    /// Bytes.
    pub file_size: Option<u64>,
}

/// Where Telegram is to bring updates.
#[derive(Clone, Debug, Serialize)]
pub struct SetWebhook<'a> {
    /// An `https` address.
    pub url: &'a str,
    /// What every delivery says in `X-Telegram-Bot-Api-Secret-Token`: 1 to 256 of `A-Za-z0-9_-`.
    #[serde(serialize_with = "exposed")]
    pub secret_token: &'a SecretString,
    /// Deliveries at a time, 1 to 100.
    pub max_connections: u8,
    /// Kinds of updates, by Telegram's names.
    pub allowed_updates: &'a [&'a str],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn exposed<S: Serializer>(secret: &&SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

impl Client {
    /// Who the token's bot is.
    pub async fn get_me(&self, token: &SecretString) -> Result<Bot, Error> {
        self.typed(token, "getMe", &json!({}), ANSWER).await
    }

    /// Has updates brought to an address from now on, those that wait first.
    pub async fn set_webhook(
        &self,
        token: &SecretString,
        webhook: &SetWebhook<'_>,
    ) -> Result<(), Error> {
        let _: bool = self.typed(token, "setWebhook", webhook, ANSWER).await?;
        Ok(())
    }

    /// Has updates kept until they are fetched; those that wait stay.
    pub async fn delete_webhook(&self, token: &SecretString) -> Result<(), Error> {
        let _: bool = self.typed(token, "deleteWebhook", &json!({}), ANSWER).await?;
        Ok(())
    }

    /// The updates from number `offset` on, each as its own JSON text, at most 100; those before are
    /// confirmed and gone. Waits up to `wait`, whole seconds of at most 50, for the first one.
    pub async fn get_updates(
        &self,
        token: &SecretString,
        offset: i64,
        wait: Duration,
        allowed: &[&str],
    ) -> Result<Vec<Box<RawValue>>, Error> {
        let params = json!({
            "offset": offset, "timeout": wait.as_secs(), "limit": 100, "allowed_updates": allowed,
        });
        self.typed(token, "getUpdates", &params, wait + ANSWER).await
    }

    /// Sends a text, in Telegram's HTML if so, without a preview of what it links to.
    pub async fn send_message(
        &self,
        token: &SecretString,
        chat: ChatId,
        text: &str,
        html: bool,
    ) -> Result<Message, Error> {
        let mut params = json!({
            "chat_id": chat, "text": text, "link_preview_options": { "is_disabled": true },
        });
        if html && let Some(params) = params.as_object_mut() {
            params.insert("parse_mode".to_owned(), "HTML".into());
        }
        self.typed(token, "sendMessage", &params, ANSWER).await
    }

    /// Sends a text with a row of buttons below it, each a label and what it says when it is pressed:
    /// 1 to 64 bytes.
    pub async fn ask(
        &self,
        token: &SecretString,
        chat: ChatId,
        text: &str,
        buttons: &[(String, String)],
    ) -> Result<Message, Error> {
        let button =
            |(label, data): &(String, String)| json!({ "text": label, "callback_data": data });
        let row: Vec<Value> = buttons.iter().map(button).collect();
        let params = json!({
            "chat_id": chat, "text": text, "link_preview_options": { "is_disabled": true },
            "reply_markup": { "inline_keyboard": [row] },
        });
        self.typed(token, "sendMessage", &params, ANSWER).await
    }

    /// Shows whoever has pressed a button a text of at most 200 characters.
    pub async fn answer_press(
        &self,
        token: &SecretString,
        id: &str,
        text: &str,
    ) -> Result<(), Error> {
        let params = json!({ "callback_query_id": id, "text": text });
        let _: bool = self.typed(token, "answerCallbackQuery", &params, ANSWER).await?;
        Ok(())
    }

    /// Takes the buttons from a message that the bot has sent, and gives it another text, if there
    /// is one.
    pub async fn close(
        &self,
        token: &SecretString,
        chat: ChatId,
        message: Message,
        text: Option<&str>,
    ) -> Result<(), Error> {
        let mut params = json!({ "chat_id": chat, "message_id": message.message_id });
        let method = match (text, params.as_object_mut()) {
            (Some(text), Some(params)) => {
                params.insert("text".to_owned(), text.into());
                params.insert("link_preview_options".to_owned(), json!({ "is_disabled": true }));
                "editMessageText"
            }
            _ => "editMessageReplyMarkup",
        };
        let _: Message = self.typed(token, method, &params, ANSWER).await?;
        Ok(())
    }

    /// Where a file can be fetched.
    pub async fn get_file(&self, token: &SecretString, file_id: &str) -> Result<File, Error> {
        self.typed(token, "getFile", &json!({ "file_id": file_id }), ANSWER).await
    }
}
