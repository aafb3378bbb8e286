//! Bots, people, and what was said.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{fault::Switches, limit::Bucket, person::now};

/// All there is.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) bots: BTreeMap<i64, Bot>,
    pub(super) users: BTreeMap<i64, User>,
    pub(super) files: BTreeMap<String, StoredFile>,
    pub(super) draw: Draw,
    /// Counts changes of messages.
    version: u64,
    #[serde(skip)]
    pub(super) switches: Switches,
    /// Addresses that Telegram would have fetched.
    #[serde(skip)]
    pub(super) fetched: Vec<String>,
    #[serde(skip)]
    pub(super) calls: Vec<Value>,
}

/// Numbers that look random and are the same for a seed.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Draw(u64);

/// A bot as its owner sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Its number, which its token begins with.
    pub id: i64,
    /// What people look for.
    pub username: String,
    /// What people see.
    pub first_name: String,
    /// What only its owner knows.
    pub token: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Bot {
    pub(super) account: Account,
    pub(super) chats: BTreeMap<i64, Chat>,
    /// Updates that nobody has confirmed, by number.
    pub(super) updates: VecDeque<Update>,
    pub(super) next_update: i64,
    pub(super) next_message: i64,
    /// Kinds of updates that it wants; empty for the usual ones.
    pub(super) allowed: Vec<String>,
    pub(super) webhook: Option<Webhook>,
    /// Commands by scope and language.
    pub(super) commands: BTreeMap<String, Value>,
    /// Of the poll that may go on: a later one ends those before.
    #[serde(skip)]
    pub(super) poll: u64,
    #[serde(skip)]
    pub(super) bucket: Bucket,
    /// When it may send again after it was told to wait.
    #[serde(skip)]
    pub(super) silent_until: Option<Instant>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Update {
    pub(super) id: i64,
    /// Updates of a chat are delivered one after another.
    pub(super) chat: i64,
    /// As it is delivered.
    pub(super) json: Arc<str>,
    #[serde(skip)]
    pub(super) delivery: Delivery,
}

/// How far the delivery of an update to a webhook is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivery {
    pub(super) attempts: u32,
    pub(super) under_way: bool,
    /// Whether it was chosen to come late, others of its chat before it.
    pub(super) held: bool,
    /// Not before; at once if absent.
    pub(super) due: Option<Instant>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Webhook {
    pub(super) url: String,
    pub(super) secret: String,
    pub(super) max_connections: usize,
    pub(super) last_error: Option<(i64, String)>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct User {
    pub(super) id: i64,
    pub(super) first_name: String,
    pub(super) language_code: String,
}

/// What one person and one bot said to each other.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Chat {
    pub(super) messages: Vec<Message>,
    /// What the bot did.
    pub(super) sent: Vec<Sent>,
    pub(super) blocked: bool,
    /// What the bot is about to do, such as `typing`, and until when.
    #[serde(skip)]
    pub(super) action: Option<(String, Instant)>,
    #[serde(skip)]
    pub(super) bucket: Bucket,
}

/// A message as the Bot API and as the page have it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) id: i64,
    pub(super) json: Value,
    /// Safe to show.
    pub(super) html: String,
    pub(super) deleted: bool,
    pub(super) version: u64,
}

/// Something that a bot did in a chat.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sent {
    /// Counted from 1, within the chat.
    pub number: u64,
    /// Milliseconds after 1970.
    pub at_ms: i64,
    /// As the documentation spells it.
    pub method: String,
    /// The message as it is then, or the parameters.
    pub result: Value,
}

impl Sent {
    /// Whether a message was sent.
    pub fn is_message(&self) -> bool {
        self.method.starts_with("send") && self.result.get("message_id").is_some()
    }

    /// The text or the caption.
    pub fn text(&self) -> &str {
        let text = self.result.get("text").or_else(|| self.result.get("caption"));
        text.and_then(Value::as_str).unwrap_or_default()
    }
}

/// A file that somebody sends.
#[derive(Clone, Debug)]
pub struct Upload {
    /// What its owner calls it.
    pub name: String,
    /// Its media type.
    pub kind: String,
    /// Its content.
    pub bytes: Bytes,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredFile {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) kind: String,
    #[serde(with = "super::save::bytes")]
    pub(super) bytes: Bytes,
}

impl Draw {
    pub(super) fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut hash = self.0;
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        let thousandths = u32::try_from(self.next() % 1_000_000).unwrap_or_default();
        f64::from(thousandths) / 1e6 < probability
    }

    /// Text of characters that tokens and file ids are made of.
    pub(super) fn text(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut one = || {
            let index = usize::try_from(self.next() % 64).unwrap_or_default();
            char::from(ALPHABET.get(index).copied().unwrap_or(b'A'))
        };
        (0..length).map(|_| one()).collect()
    }
}

impl State {
    /// Mixes a seed into what is drawn.
    pub(super) fn seed(&mut self, seed: u64) {
        self.draw.0 ^= seed;
    }

    /// The number of a new version of something that pages show.
    pub(super) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// The number of the newest version.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn make_bot(&mut self, username: &str, name: &str) -> Account {
        let known =
            self.bots.values().find(|bot| bot.account.username.eq_ignore_ascii_case(username));
        if let Some(bot) = known {
            return bot.account.clone();
        }
        let id = 7_000_000_000 + i64::try_from(self.draw.next() % 900_000_000).unwrap_or_default();
        let token = format!("{id}:AA{}", self.draw.text(33));
        let account =
            Account { id, username: username.to_owned(), first_name: name.to_owned(), token };
        let bot = Bot {
            account: account.clone(),
            chats: BTreeMap::new(),
            updates: VecDeque::new(),
            next_update: 100_000_000
                + i64::try_from(self.draw.next() % 800_000_000).unwrap_or_default(),
            next_message: 1,
            allowed: Vec::new(),
            webhook: None,
            commands: BTreeMap::new(),
            poll: 0,
            bucket: Bucket::default(),
            silent_until: None,
        };
        self.bots.insert(id, bot);
        account
    }

    pub(super) fn make_user(
        &mut self,
        id: Option<i64>,
        first_name: &str,
        language_code: &str,
    ) -> User {
        let id = id.unwrap_or_else(|| self.users.keys().max().map_or(777, |id| id + 1));
        let (first_name, language_code) = (first_name.to_owned(), language_code.to_owned());
        let user = User { id, first_name, language_code };
        self.users.insert(id, user.clone());
        user
    }

    /// The bot of a user name or a number.
    pub(super) fn find_bot(&self, name: &str) -> Option<&Bot> {
        let name = name.trim_start_matches('@');
        let named = |bot: &&Bot| bot.account.username.eq_ignore_ascii_case(name);
        let bot = name.parse().ok().and_then(|id: i64| self.bots.get(&id));
        bot.or_else(|| self.bots.values().find(named))
    }

    /// The bot of a token.
    pub(super) fn authenticate(&mut self, token: &str) -> Option<&mut Bot> {
        let id: i64 = token.split_once(':')?.0.parse().ok()?;
        self.bots.get_mut(&id).filter(|bot| bot.account.token == token)
    }

    /// What a bot did in a chat after a number.
    pub(super) fn sent(&self, bot: i64, user: i64, after: u64) -> Vec<Sent> {
        let chat = self.bots.get(&bot).and_then(|bot| bot.chats.get(&user));
        let sent = chat.map(|chat| chat.sent.as_slice()).unwrap_or_default();
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        sent.get(after..).unwrap_or_default().to_vec()
    }

    /// Notes what a bot did in a chat.
    pub(super) fn note(&mut self, bot: i64, user: i64, method: &str, result: Value) {
        let Some(bot) = self.bots.get_mut(&bot) else { return };
        let chat = bot.chats.entry(user).or_default();
        let number = chat.sent.len() as u64 + 1;
        chat.sent.push(Sent {
            number,
            at_ms: now().as_millisecond(),
            method: method.to_owned(),
            result,
        });
    }
}

impl Bot {
    /// As the Bot API shows it.
    pub(super) fn json(&self) -> Value {
        let Account { id, username, first_name, .. } = &self.account;
        json!({ "id": id, "is_bot": true, "first_name": first_name, "username": username })
    }

    /// Queues an update if the bot wants its kind; gives its number.
    pub(super) fn push(&mut self, chat: i64, kind: &str, content: &Value) -> i64 {
        let id = self.next_update;
        if self.allowed.is_empty() || self.allowed.iter().any(|allowed| allowed == kind) {
            self.next_update += 1;
            let json = format!(r#"{{"update_id":{id},"{kind}":{content}}}"#).into();
            self.updates.push_back(Update { id, chat, json, delivery: Delivery::default() });
        }
        id
    }
}

impl User {
    /// As the Bot API shows it.
    pub(super) fn json(&self) -> Value {
        let Self { id, first_name, language_code } = self;
        json!({ "id": id, "is_bot": false, "first_name": first_name, "language_code": language_code })
    }

    /// The chat with it.
    pub(super) fn chat(&self) -> Value {
        json!({ "id": self.id, "first_name": self.first_name, "type": "private" })
    }
}
