//! New messages of a bot.

use serde_json::{Value, json};

use super::{Refusal, State};
use crate::telegram::{
    html::{self, Formatted},
    params::Params,
    person::{at, merge, now},
    state::Message,
};

/// The most characters of a text and of a caption.
const TEXT: usize = 4096;
const CAPTION: usize = 1024;

/// A call that sends.
pub(in crate::telegram) struct Sending<'a> {
    pub(in crate::telegram) state: &'a mut State,
    pub(in crate::telegram) bot: i64,
    pub(in crate::telegram) method: &'static str,
    pub(in crate::telegram) params: Params,
}

impl Sending<'_> {
    /// Puts the message, or the messages of a group, into the chat.
    pub(super) fn send(mut self) -> Result<Value, Refusal> {
        let user = self.state.reach(self.bot, &self.params, "chat_id")?;
        let contents = self.contents()?;
        Self::count(self.state, self.bot, user)?;
        let mut sent = contents
            .into_iter()
            .map(|content| self.put(user, content))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(match (self.method, sent.pop()) {
            ("copyMessage", Some(message)) => json!({ "message_id": at(&message, "/message_id") }),
            ("sendMediaGroup", last) => sent.into_iter().chain(last).collect(),
            (_, last) => last.unwrap_or_default(),
        })
    }

    /// What the messages hold, and how the page shows it.
    fn contents(&mut self) -> Result<Vec<(Value, String)>, Refusal> {
        match self.method {
            "sendMessage" => self.text().map(|content| vec![content]),
            "sendLocation" => {
                let place = |name| self.params.get(name).and_then(|text| text.parse::<f64>().ok());
                let (latitude, longitude) = (place("latitude"), place("longitude"));
                let place = json!({ "location": { "latitude": latitude, "longitude": longitude } });
                Ok(vec![(place, String::new())])
            }
            "copyMessage" | "forwardMessage" => self.known().map(|content| vec![content]),
            "sendMediaGroup" => self.group(),
            method => {
                let kind = match method {
                    "sendVideoNote" => "video_note".to_owned(),
                    method => method.trim_start_matches("send").to_ascii_lowercase(),
                };
                let source = self.params.get(&kind).map(str::to_owned);
                let media = self.media(&kind, &kind, source.as_deref())?;
                let caption = Self::format(&self.params, "caption", CAPTION)?;
                Ok(vec![captioned(&kind, &media, caption)])
            }
        }
    }

    fn text(&mut self) -> Result<(Value, String), Refusal> {
        let Formatted { text, entities, html } = Self::format(&self.params, "text", TEXT)?;
        if text.trim().is_empty() {
            return Err(Refusal::bad("message text is empty"));
        }
        let options = self.params.value("link_preview_options").map_err(Refusal::bad)?;
        let disabled = options.is_some_and(|options| *at(&options, "/is_disabled") == true)
            || self.params.truth("disable_web_page_preview");
        if !disabled {
            let linked = entities.iter().filter_map(|entity| at(entity, "/url").as_str());
            let seen = text.split_whitespace().filter(|word| word.starts_with("http"));
            self.state.fetched.extend(linked.chain(seen).map(str::to_owned).take(1));
        }
        let mut content = json!({ "text": text });
        if !entities.is_empty() {
            merge(&mut content, json!({ "entities": entities }));
        }
        Ok((content, html))
    }

    /// A file by upload or by its id.
    fn media(&mut self, kind: &str, field: &str, source: Option<&str>) -> Result<Value, Refusal> {
        let name = source.and_then(|source| source.strip_prefix("attach://"));
        if let Some(upload) = self.params.files.remove(name.unwrap_or(field)) {
            if upload.bytes.is_empty() {
                return Err(Refusal::bad("file must be non-empty"));
            }
            return Ok(self.state.store(kind, upload));
        }
        let source =
            source.ok_or_else(|| Refusal::bad(format!("there is no {field} in the request")))?;
        if source.contains('.') {
            self.state.fetched.push(source.to_owned());
            return Err(Refusal::bad("failed to get HTTP URL content"));
        }
        self.state
            .describe(kind, source)
            .ok_or_else(|| Refusal::bad("wrong file identifier/HTTP URL specified"))
    }

    fn group(&mut self) -> Result<Vec<(Value, String)>, Refusal> {
        let list = self.params.value("media").map_err(Refusal::bad)?;
        let list = list.and_then(|list| list.as_array().cloned()).unwrap_or_default();
        if !(2..=10).contains(&list.len()) {
            return Err(Refusal::bad("expected from 2 to 10 media in the album"));
        }
        list.iter()
            .map(|item| {
                let kind = at(item, "/type").as_str().unwrap_or_default();
                let media = self.media(kind, "media", at(item, "/media").as_str())?;
                let caption = at(item, "/caption").as_str().unwrap_or_default();
                Ok(captioned(
                    kind,
                    &media,
                    formatted(caption, at(item, "/parse_mode").as_str(), CAPTION)?,
                ))
            })
            .collect()
    }

    /// The content of a message that is there already.
    fn known(&self) -> Result<(Value, String), Refusal> {
        let from = self.state.reach(self.bot, &self.params, "from_chat_id")?;
        let chat = self.state.bots.get(&self.bot).and_then(|bot| bot.chats.get(&from));
        let id = self.params.integer("message_id");
        let mut messages = chat.into_iter().flat_map(|chat| &chat.messages);
        let message = messages.find(|message| Some(message.id) == id && !message.deleted);
        let message = message.ok_or_else(|| Refusal::bad("message to copy not found"))?;
        let mut content = message.json.clone();
        if let Some(content) = content.as_object_mut() {
            content.retain(|name, _| !matches!(&**name, "message_id" | "from" | "chat" | "date"));
        }
        Ok((content, message.html.clone()))
    }

    fn put(&mut self, user: i64, (content, html): (Value, String)) -> Result<Value, Refusal> {
        let markup = Self::markup(&self.params)?;
        let reply = self.params.value("reply_parameters").map_err(Refusal::bad)?;
        let reply = reply.and_then(|reply| at(&reply, "/message_id").as_i64());
        let reply = reply.or_else(|| self.params.integer("reply_to_message_id"));
        let version = self.state.next_version();
        let person =
            self.state.users.get(&user).ok_or_else(|| Refusal::bad("chat not found"))?.clone();
        let bot = self.state.own(self.bot)?;
        let id = bot.next_message;
        bot.next_message += 1;
        let mut message = json!({
            "message_id": id, "from": bot.json(), "chat": person.chat(), "date": now().as_second(),
        });
        merge(&mut message, content);
        let chat = bot.chats.entry(user).or_default();
        if let Some(known) = chat.messages.iter().find(|known| Some(known.id) == reply) {
            merge(&mut message, json!({ "reply_to_message": known.json }));
        }
        if let Some(markup) = markup {
            merge(&mut message, json!({ "reply_markup": markup }));
        }
        chat.action = None;
        chat.messages.push(Message { id, json: message.clone(), html, deleted: false, version });
        self.state.note(self.bot, user, self.method, message.clone());
        Ok(message)
    }

    /// Counts a message against the limits.
    pub(super) fn count(state: &mut State, bot: i64, user: i64) -> Result<(), Refusal> {
        if !state.switches.limits {
            return Ok(());
        }
        state.own(bot)?.count(user).map_err(Refusal::slow)
    }

    /// A text parameter, read by its parse mode.
    pub(super) fn format(
        params: &Params,
        field: &str,
        longest: usize,
    ) -> Result<Formatted, Refusal> {
        formatted(params.get(field).unwrap_or_default(), params.get("parse_mode"), longest)
    }

    /// The buttons, if the message is to have some.
    pub(super) fn markup(params: &Params) -> Result<Option<Value>, Refusal> {
        let markup = params.value("reply_markup").map_err(Refusal::bad)?;
        let Some(markup) = markup else { return Ok(None) };
        let Some(rows) = markup.get("inline_keyboard") else { return Ok(None) };
        let rows = rows
            .as_array()
            .ok_or_else(|| Refusal::bad("field \"inline_keyboard\" must be an Array"))?;
        for button in rows.iter().filter_map(Value::as_array).flatten() {
            let data = at(button, "/callback_data").as_str().unwrap_or_default();
            if data.len() > 64 {
                return Err(Refusal::bad("BUTTON_DATA_INVALID"));
            }
            if at(button, "/text").as_str().unwrap_or_default().is_empty() {
                return Err(Refusal::bad(
                    "can't parse inline keyboard button: Field \"text\" must be non-empty",
                ));
            }
        }
        Ok(Some(json!({ "inline_keyboard": rows })))
    }
}

fn captioned(kind: &str, media: &Value, caption: Formatted) -> (Value, String) {
    let mut content = json!({ kind: media });
    if !caption.text.is_empty() {
        merge(
            &mut content,
            json!({ "caption": caption.text, "caption_entities": caption.entities }),
        );
    }
    (content, caption.html)
}

fn formatted(text: &str, mode: Option<&str>, longest: usize) -> Result<Formatted, Refusal> {
    let read = match mode.map(str::to_ascii_lowercase).as_deref() {
        Some("html") => html::parse(text)
            .map_err(|complaint| Refusal::bad(format!("can't parse entities: {complaint}")))?,
        None | Some("none" | "markdown" | "markdownv2") => html::plain(text),
        Some(_) => return Err(Refusal::bad("unsupported parse_mode")),
    };
    if read.text.encode_utf16().count() > longest {
        let what =
            if longest == TEXT { "message is too long" } else { "message caption is too long" };
        return Err(Refusal::bad(what));
    }
    Ok(read)
}
