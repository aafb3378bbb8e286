//! What people do.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    html,
    state::{Bot, Message, State, Upload, User},
};

/// What came of it.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) update_id: i64,
    pub(super) message_id: i64,
}

/// The time of day.
pub(super) fn now() -> Timestamp {
    oc_service::Clock::system().now()
}

impl State {
    /// A person says something.
    pub(super) fn say(&mut self, user: i64, bot: i64, text: &str) -> Result<Said, String> {
        let text = text.trim();
        if text.is_empty() || text.encode_utf16().count() > 4096 {
            return Err("a message has 1 to 4096 characters".to_owned());
        }
        let mut content = json!({ "text": text });
        let entities = entities(text);
        if !entities.is_empty() {
            content = json!({ "text": text, "entities": entities });
        }
        self.receive(user, bot, content, &html::escape(text))
    }

    /// A person sends a photo, a document or a voice message.
    pub(super) fn send_file(
        &mut self,
        user: i64,
        bot: i64,
        kind: &str,
        upload: Upload,
        caption: &str,
    ) -> Result<Said, String> {
        if !matches!(kind, "photo" | "document" | "voice") {
            return Err(format!("{kind}: expected photo, document or voice"));
        }
        let description = self.store(kind, upload);
        let mut content = json!({ kind: description });
        if let (false, Some(content)) = (caption.is_empty(), content.as_object_mut()) {
            content.insert("caption".to_owned(), caption.into());
        }
        self.receive(user, bot, content, &html::escape(caption))
    }

    /// Puts a person's message into the chat and into the bot's queue.
    fn receive(&mut self, user: i64, bot: i64, content: Value, html: &str) -> Result<Said, String> {
        let version = self.next_version();
        let (person, bot) = self.pair(user, bot)?;
        let message_id = bot.next_message;
        bot.next_message += 1;
        let mut message = json!({
            "message_id": message_id, "from": person.json(), "chat": person.chat(),
            "date": now().as_second(),
        });
        merge(&mut message, content);
        let chat = bot.chats.entry(user).or_default();
        // Who writes to a bot that it stopped starts it again.
        chat.blocked = false;
        let (json, html) = (message.clone(), html.to_owned());
        chat.messages.push(Message { id: message_id, json, html, deleted: false, version });
        let update_id = bot.push(user, "message", &message);
        Ok(Said { update_id, message_id })
    }

    /// A person changes what it said.
    pub(super) fn edit(
        &mut self,
        user: i64,
        bot: i64,
        message: i64,
        text: &str,
    ) -> Result<Said, String> {
        let version = self.next_version();
        let (_, bot) = self.pair(user, bot)?;
        let chat = bot.chats.get_mut(&user).ok_or("no such chat")?;
        let known = chat.messages.iter_mut().find(|known| known.id == message);
        let known =
            known.filter(|known| *at(&known.json, "/from/id") == user).ok_or("no such message")?;
        merge(&mut known.json, json!({ "text": text, "edit_date": now().as_second() }));
        known.html = html::escape(text);
        known.version = version;
        let json = known.json.clone();
        let update_id = bot.push(user, "edited_message", &json);
        Ok(Said { update_id, message_id: message })
    }

    /// A person presses a button.
    pub(super) fn press(
        &mut self,
        user: i64,
        bot: i64,
        message: i64,
        data: &str,
    ) -> Result<Said, String> {
        let id = self.draw.next().to_string();
        let (person, bot) = self.pair(user, bot)?;
        let chat = bot.chats.get(&user).ok_or("no such chat")?;
        let known = chat.messages.iter().find(|known| known.id == message && !known.deleted);
        let json = known.ok_or("no such message")?.json.clone();
        let rows = at(&json, "/reply_markup/inline_keyboard").as_array();
        let mut buttons = rows.into_iter().flatten().filter_map(Value::as_array).flatten();
        if !buttons.any(|button| *at(button, "/callback_data") == data) {
            return Err("no such button".to_owned());
        }
        let query = json!({
            "id": id, "from": person.json(), "message": json, "data": data,
            "chat_instance": user.to_string(),
        });
        Ok(Said { update_id: bot.push(user, "callback_query", &query), message_id: message })
    }

    /// A person stops a bot, or starts it again.
    pub(super) fn block(&mut self, user: i64, bot: i64, blocked: bool) -> Result<Said, String> {
        let (person, bot) = self.pair(user, bot)?;
        let chat = bot.chats.entry(user).or_default();
        chat.blocked = blocked;
        let member = |status: &str| json!({ "user": bot.json(), "status": status });
        let (old, new) = if blocked { ("member", "kicked") } else { ("kicked", "member") };
        let change = json!({
            "chat": person.chat(), "from": person.json(), "date": now().as_second(),
            "old_chat_member": member(old), "new_chat_member": member(new),
        });
        Ok(Said { update_id: bot.push(user, "my_chat_member", &change), message_id: 0 })
    }

    fn pair(&mut self, user: i64, bot: i64) -> Result<(User, &mut Bot), String> {
        let person =
            self.users.get(&user).ok_or_else(|| format!("{user}: no such person"))?.clone();
        let bot = self.bots.get_mut(&bot).ok_or_else(|| format!("{bot}: no such bot"))?;
        Ok((person, bot))
    }
}

/// What stands at a JSON pointer; null where nothing does.
pub(super) fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    static NULL: Value = Value::Null;
    value.pointer(pointer).unwrap_or(&NULL)
}

/// Adds the members of one object to another.
pub(super) fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

/// The command that a text begins with, and what in it looks like an address.
fn entities(text: &str) -> Vec<Value> {
    let units = |text: &str| text.encode_utf16().count();
    let mut found = Vec::new();
    let mut offset = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        let kind = match bare {
            _ if offset == 0 && bare.len() > 1 && bare.starts_with('/') => Some("bot_command"),
            _ if bare.starts_with("http://") || bare.starts_with("https://") => Some("url"),
            _ => None,
        };
        if let Some(kind) = kind {
            found.push(json!({ "type": kind, "offset": offset, "length": units(bare) }));
        }
        offset += units(word);
    }
    found
}
