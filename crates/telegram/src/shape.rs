//! The forms of parameters: what a value may hold, at any depth.

use serde_json::{Map, Value};

use crate::{ChatId, Refusal};

/// What the data of our own buttons begin with: those of no pod do.
pub const RESERVED: &str = "openclaw-cloud:";

/// The form of a value. What has no form here is refused.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A text, a number or a truth value.
    Scalar,
    /// What a button says when it is pressed.
    Data,
    /// The number of a chat or of a user.
    Chat,
    /// A file.
    File,
    /// An object with these fields at most.
    Object(&'static [(&'static str, Shape)]),
    /// A list.
    List(&'static Shape),
    /// One or a list.
    Many(&'static Shape),
    /// Either a text, or an object.
    Either(&'static Shape),
    /// What previews are to look like; it is read by nobody.
    Preview,
}

use Shape::{Chat, Data, Either, File, List, Many, Object, Preview, Scalar};

static SCALARS: Shape = List(&Scalar);

static ENTITY: Shape = Object(&[
    ("type", Scalar),
    ("offset", Scalar),
    ("length", Scalar),
    // Shown; with previews off nobody fetches it.
    ("url", Scalar),
    ("language", Scalar),
    ("custom_emoji_id", Scalar),
    ("unix_time", Scalar),
    ("date_time_format", Scalar),
]);

static ENTITIES: Shape = List(&ENTITY);

static REPLY: Shape = Object(&[
    ("message_id", Scalar),
    ("chat_id", Chat),
    ("allow_sending_without_reply", Scalar),
    ("quote", Scalar),
    ("quote_parse_mode", Scalar),
    ("quote_entities", List(&ENTITY)),
    ("quote_position", Scalar),
    ("poll_option_id", Scalar),
]);

/// Not here: `web_app`, `login_url`, `switch_inline_query*`, `callback_game`, `pay`.
static BUTTON: Shape = Object(&[
    ("text", Scalar),
    ("style", Scalar),
    ("icon_custom_emoji_id", Scalar),
    ("url", Scalar),
    ("callback_data", Data),
    ("copy_text", Object(&[("text", Scalar)])),
]);

/// Not here: `web_app`, `request_users`, `request_chat`, `request_managed_bot`.
static KEY: Shape = Either(&Object(&[
    ("text", Scalar),
    ("style", Scalar),
    ("icon_custom_emoji_id", Scalar),
    ("request_contact", Scalar),
    ("request_location", Scalar),
    ("request_poll", Object(&[("type", Scalar)])),
]));

static MARKUP: Shape = Object(&[
    ("inline_keyboard", List(&List(&BUTTON))),
    ("keyboard", List(&List(&KEY))),
    ("is_persistent", Scalar),
    ("resize_keyboard", Scalar),
    ("one_time_keyboard", Scalar),
    ("input_field_placeholder", Scalar),
    ("selective", Scalar),
    ("remove_keyboard", Scalar),
    ("force_reply", Scalar),
]);

/// Not here: `url` of a link.
static MEDIA: Shape = Object(&[
    ("type", Scalar),
    ("media", File),
    ("thumbnail", File),
    ("cover", File),
    ("photo", File),
    ("caption", Scalar),
    ("parse_mode", Scalar),
    ("caption_entities", List(&ENTITY)),
    ("show_caption_above_media", Scalar),
    ("width", Scalar),
    ("height", Scalar),
    ("duration", Scalar),
    ("start_timestamp", Scalar),
    ("supports_streaming", Scalar),
    ("has_spoiler", Scalar),
    ("performer", Scalar),
    ("title", Scalar),
    ("disable_content_type_detection", Scalar),
]);

/// Not here: `media`, which may be an address.
static OPTION: Shape = Either(&Object(&[
    ("text", Scalar),
    ("text_parse_mode", Scalar),
    ("text_entities", List(&ENTITY)),
]));

static REACTION: Shape =
    Object(&[("type", Scalar), ("emoji", Scalar), ("custom_emoji_id", Scalar)]);
static COMMAND: Shape = Object(&[("command", Scalar), ("description", Scalar)]);
static SCOPE: Shape = Object(&[("type", Scalar), ("chat_id", Chat), ("user_id", Chat)]);

static OPTIONS: Shape = List(&OPTION);
static REACTIONS: Shape = List(&REACTION);
static COMMANDS: Shape = List(&COMMAND);
static MEDIAS: Shape = Many(&MEDIA);

/// What a walk through a value needs and finds.
pub(crate) struct Walk<'a> {
    pub(crate) allowed: &'a dyn Fn(ChatId) -> bool,
    /// Names of files that are to follow.
    pub(crate) attached: Vec<String>,
}

impl Shape {
    /// The form of a parameter, which is the same for all methods.
    pub(crate) fn of(parameter: &str) -> &'static Self {
        match parameter {
            "chat_id" | "from_chat_id" | "user_id" => &Chat,
            "photo" | "live_photo" | "audio" | "document" | "video" | "animation" | "voice"
            | "video_note" | "sticker" | "thumbnail" | "cover" => &File,
            "media" => &MEDIAS,
            "entities"
            | "caption_entities"
            | "question_entities"
            | "explanation_entities"
            | "description_entities" => &ENTITIES,
            "reply_parameters" => &REPLY,
            "reply_markup" => &MARKUP,
            "link_preview_options" => &Preview,
            "options" => &OPTIONS,
            "reaction" => &REACTIONS,
            "commands" => &COMMANDS,
            "scope" => &SCOPE,
            "message_ids" | "custom_emoji_ids" | "correct_option_ids" => &SCALARS,
            _ => &Scalar,
        }
    }

    /// Whether a parameter of this form is JSON, so that a text is JSON in a text.
    pub(crate) fn is_structured(&self) -> bool {
        matches!(self, Object(_) | List(_) | Many(_))
    }

    /// Whether the value, which stands at `path`, has this form.
    pub(crate) fn check(
        &self,
        value: &Value,
        path: &str,
        walk: &mut Walk<'_>,
    ) -> Result<(), Refusal> {
        match (self, value) {
            (Data, Value::String(text)) if text.starts_with(RESERVED) => {
                Err(Refusal::Reserved(path.to_owned()))
            }
            (Preview, _)
            | (Scalar | Data | Either(_), Value::String(_))
            | (Scalar | Data, Value::Number(_) | Value::Bool(_)) => Ok(()),
            (Chat, value) => match ChatId::read(value) {
                Some(chat) if (walk.allowed)(chat) => Ok(()),
                _ => Err(Refusal::Chat(path.to_owned())),
            },
            (File, Value::String(text)) => file(text, path, walk),
            (File, _) => Err(Refusal::Media(path.to_owned())),
            (Many(one), Value::Object(_)) | (Either(one), _) => one.check(value, path, walk),
            (Object(fields), Value::Object(object)) => check_fields(fields, object, path, walk),
            (List(one) | Many(one), Value::Array(list)) => {
                list.iter().try_for_each(|value| one.check(value, path, walk))
            }
            _ => Err(Refusal::Unclear(path.to_owned())),
        }
    }
}

fn check_fields(
    fields: &[(&str, Shape)],
    object: &Map<String, Value>,
    path: &str,
    walk: &mut Walk<'_>,
) -> Result<(), Refusal> {
    // Null is as good as absent to Telegram.
    object.iter().filter(|(_, value)| !value.is_null()).try_for_each(|(name, value)| {
        let path = format!("{path}.{name}");
        let known = fields.iter().find(|(known, _)| known == name);
        known.ok_or_else(|| Refusal::Unknown(path.clone()))?.1.check(value, &path, walk)
    })
}

/// A file that Telegram has, or one that follows. To Telegram what has a dot is an address.
fn file(text: &str, path: &str, walk: &mut Walk<'_>) -> Result<(), Refusal> {
    if let Some(name) = text.strip_prefix("attach://").filter(|name| is_part_name(name)) {
        walk.attached.push(name.to_owned());
        return Ok(());
    }
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (16..=512).contains(&text.len()) && text.bytes().all(is_id) {
        Ok(())
    } else {
        Err(Refusal::Media(path.to_owned()))
    }
}

/// Whether a name needs no quoting in the head of a part.
pub(crate) fn is_part_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=128).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(parameter: &str, value: &Value) -> Result<Vec<String>, Refusal> {
        let mut walk = Walk { allowed: &|chat| chat.get() == 7, attached: Vec::new() };
        Shape::of(parameter).check(value, parameter, &mut walk)?;
        Ok(walk.attached)
    }

    #[test]
    fn addresses_are_no_files_in_any_place() {
        for text in [
            "https://evil.example/x.png",
            "evil.example/aaaaaaaaaaaaaa",
            "http://1/",
            "file:///etc/passwd",
            "tg://x",
            "",
            "ATTACH://a",
            "attach://",
            "attach://a\"b",
            "attach://a b",
            " AgACAgIAAxkBAAIBZ2",
        ] {
            assert_eq!(
                check("photo", &json!(text)),
                Err(Refusal::Media("photo".to_owned())),
                "{text:?}"
            );
            for field in ["media", "thumbnail", "cover", "photo"] {
                let value = json!([{ "type": "video", field: text }]);
                let path = format!("media.{field}");
                assert_eq!(check("media", &value), Err(Refusal::Media(path)), "{text:?}");
            }
        }
        assert!(check("photo", &json!("AgACAgIAAxkBAAIBZ2abc-_")).is_ok());
        assert_eq!(check("photo", &json!("attach://f0")), Ok(vec!["f0".to_owned()]));
        assert!(check("media", &json!({"type": "link", "url": "http://x"})).is_err());
        assert!(check("options", &json!([{"text": "a", "media": {"type": "link"}}])).is_err());
    }

    #[test]
    fn a_reply_to_a_message_of_another_chat_is_refused() {
        assert!(check("reply_parameters", &json!({"message_id": 1, "chat_id": 7})).is_ok());
        assert!(check("reply_parameters", &json!({"message_id": 1, "chat_id": null})).is_ok());
        for chat in [json!(8), json!("@evil"), json!("7 "), json!(7.0), json!([7])] {
            let value = json!({"message_id": 1, "chat_id": chat});
            let refusal = Refusal::Chat("reply_parameters.chat_id".to_owned());
            assert_eq!(check("reply_parameters", &value), Err(refusal));
        }
    }

    #[test]
    fn buttons_show_an_address_and_open_no_page_of_their_own() {
        let buttons =
            |button: Value| check("reply_markup", &json!({"inline_keyboard": [[button]]}));
        assert!(buttons(json!({"text": "a", "url": "https://x"})).is_ok());
        assert!(buttons(json!({"text": "a", "callback_data": "b"})).is_ok());
        let ours = buttons(json!({"text": "a", "callback_data": format!("{RESERVED}drop:1")}));
        assert!(matches!(ours, Err(Refusal::Reserved(_))), "{ours:?}");
        for way in ["web_app", "login_url", "switch_inline_query", "pay", "callback_game"] {
            assert!(buttons(json!({"text": "a", way: "x"})).is_err(), "{way}");
        }
        let keys = |key: Value| check("reply_markup", &json!({"keyboard": [[key]]}));
        assert!(keys(json!("sim")).is_ok() && keys(json!({"text": "a"})).is_ok());
        assert!(keys(json!({"text": "a", "request_users": {"request_id": 1}})).is_err());
    }
}
