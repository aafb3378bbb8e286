//! Updates: what of them the relay has to know. The bytes go on as they are.

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use crate::{ChatId, Message};

/// What the relay knows of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Telegram's number; later ones are greater, mostly by one.
    pub id: i64,
    /// Where it happened, if in a chat.
    pub chat: Option<Chat>,
    /// Who did it, if anybody is named.
    pub from: Option<User>,
    /// What it is.
    pub kind: Kind,
    /// The text or the caption of a message, or the data of the button that was pressed.
    pub text: Option<String>,
    /// The button that was pressed, if it is that.
    pub press: Option<Press>,
}

/// A button that was pressed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Press {
    /// What it is answered by.
    pub id: String,
    /// The message that it stands below, if that is known.
    #[serde(default)]
    pub message: Option<Message>,
}

/// A chat.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Chat {
    /// Its number.
    pub id: ChatId,
    /// What kind of chat it is.
    #[serde(rename = "type")]
    pub kind: ChatKind,
}

/// The kinds of chats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    /// A person and the bot; has the number of the person.
    Private,
    /// A group.
    Group,
    /// A group that has grown.
    Supergroup,
    /// A channel.
    Channel,
    /// One that Telegram has thought of since.
    #[serde(other)]
    Other,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Its number.
    pub id: ChatId,
    /// Whether it is a bot.
    #[serde(default)]
    pub is_bot: bool,
    /// The language of its Telegram, as an IETF tag.
    #[serde(default)]
    pub language_code: Option<String>,
    /// What it calls itself. Personal data.
    #[serde(default)]
    pub first_name: String,
}

/// The kinds of updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `message`.
    Message,
    /// `edited_message`.
    EditedMessage,
    /// `callback_query`: a button was pressed.
    CallbackQuery,
    /// `my_chat_member`: somebody blocks or unblocks the bot.
    MyChatMember,
    /// Any other, by Telegram's name; empty if the update holds nothing but its number.
    Other(Box<str>),
}

impl Kind {
    /// Telegram's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Message => "message",
            Self::EditedMessage => "edited_message",
            Self::CallbackQuery => "callback_query",
            Self::MyChatMember => "my_chat_member",
            Self::Other(name) => name,
        }
    }

    fn of(name: &str) -> Self {
        match name {
            "message" => Self::Message,
            "edited_message" => Self::EditedMessage,
            "callback_query" => Self::CallbackQuery,
            "my_chat_member" => Self::MyChatMember,
            other => Self::Other(other.into()),
        }
    }
}

/// The bytes are no update.
#[derive(Debug, thiserror::Error)]
#[error("not an update")]
pub struct NoUpdate(#[source] serde_json::Error);

impl Update {
    /// Reads an update. Whatever it is, its number is found if it has one.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoUpdate> {
        serde_json::from_slice(bytes).map_err(NoUpdate)
    }
}

/// The same update with another number; every other byte stays.
pub fn renumbered(bytes: &[u8], id: i64) -> Result<Vec<u8>, NoUpdate> {
    let text = std::str::from_utf8(bytes).map_err(|error| NoUpdate(de::Error::custom(error)))?;
    let Number { update_id } = serde_json::from_str(text).map_err(NoUpdate)?;
    // The number is borrowed from the text, so where it stands is the distance of the two.
    let start = update_id.get().as_ptr().addr() - text.as_ptr().addr();
    let (before, rest) = text.split_at(start);
    let after = rest.get(update_id.get().len()..).unwrap_or_default();
    Ok(format!("{before}{id}{after}").into_bytes())
}

#[derive(Deserialize)]
struct Number<'a> {
    #[serde(borrow)]
    update_id: &'a RawValue,
}

/// What an update of any kind may hold.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Content {
    chat: Option<Chat>,
    from: Option<User>,
    /// Who reacted or answered a poll.
    user: Option<User>,
    text: Option<String>,
    caption: Option<String>,
    data: Option<String>,
    /// Of a pressed button.
    message: Option<Place>,
}

#[derive(Deserialize)]
struct Place {
    chat: Chat,
}

impl<'de> Deserialize<'de> for Update {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Update;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an update")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Update, A::Error> {
        let mut id = None;
        let mut kind = Kind::Other("".into());
        let mut content = Content::default();
        let mut press = None;
        while let Some(name) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            if name == "update_id" {
                id = Some(map.next_value()?);
            } else {
                kind = Kind::of(&name);
                let raw: &RawValue = map.next_value()?;
                // What is new to us, in a form that we do not know, is still an update.
                content = serde_json::from_str(raw.get()).unwrap_or_default();
                if kind == Kind::CallbackQuery {
                    press = serde_json::from_str(raw.get()).ok();
                }
            }
        }
        let id = id.ok_or_else(|| de::Error::missing_field("update_id"))?;
        let Content { chat, from, user, text, caption, data, message } = content;
        Ok(Update {
            id,
            chat: chat.or(message.map(|message| message.chat)),
            from: from.or(user),
            kind,
            text: text.or(caption).or(data),
            press,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Update {
        Update::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_message_says_who_where_and_what() {
        let update = parse(
            r#"{"update_id":7,"message":{"message_id":1,"date":1,"text":"/start abc",
                "chat":{"id":42,"type":"private","first_name":"Ana"},
                "from":{"id":42,"is_bot":false,"first_name":"Ana","language_code":"pt-br"}}}"#,
        );
        assert_eq!((update.id, &update.kind), (7, &Kind::Message));
        assert_eq!(update.text.as_deref(), Some("/start abc"));
        let chat = update.chat.unwrap();
        assert_eq!((chat.id.get(), chat.kind), (42, ChatKind::Private));
        let from = update.from.unwrap();
        assert_eq!(
            (from.id.get(), from.is_bot, from.language_code.as_deref()),
            (42, false, Some("pt-br"))
        );
    }

    #[test]
    fn a_pressed_button_is_in_the_chat_of_its_message() {
        let update = parse(
            r#"{"callback_query":{"id":"1","from":{"id":5},"data":"yes",
                "message":{"message_id":3,"chat":{"id":-100,"type":"supergroup"}}},"update_id":8}"#,
        );
        let press = Press { id: "1".to_owned(), message: Some(Message { message_id: 3 }) };
        assert_eq!(update.press, Some(press));
        assert_eq!(update.chat.unwrap().id.get(), -100);
        assert_eq!((update.kind, update.text.as_deref()), (Kind::CallbackQuery, Some("yes")));
    }

    #[test]
    fn what_is_unknown_keeps_its_number_and_name() {
        for json in [
            r#"{"update_id":9,"brand_new":{"chat":"odd"}}"#,
            r#"{"update_id":9,"brand_new":[1,2]}"#,
            r#"{"brand_new":null,"update_id":9}"#,
        ] {
            let update = parse(json);
            assert_eq!(
                (update.id, update.kind.name(), update.chat),
                (9, "brand_new", None),
                "{json}"
            );
        }
        assert_eq!(parse(r#"{"update_id":1}"#).kind, Kind::Other("".into()));
        for json in ["", "{}", "[]", r#"{"update_id":"1"}"#, r#"{"update_id":1.5}"#] {
            assert!(Update::parse(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn another_number_changes_no_other_byte() {
        let old = r#" { "a" : {"update_id": 3, "x":"\u00e7é"}, "update_id" : 12 , "b":1e5}"#;
        let new = renumbered(old.as_bytes(), 4_000_000_000).unwrap();
        assert_eq!(String::from_utf8(new).unwrap(), old.replace("12", "4000000000"));
        assert!(renumbered(b"{}", 1).is_err());
    }
}
