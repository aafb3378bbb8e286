//! A stand-in for Telegram: the Bot API, the people who talk to bots, and a page to be one of them.
//!
//! * `/bot<TOKEN>/<METHOD>` and `/file/bot<TOKEN>/<PATH>`: the Bot API, in all four encodings.
//! * `/`, `/chat/<USER>/<BOT>`, `/t.me/<BOT>?start=<CODE>`: pages for a browser.
//! * `/_control...`: the stand-in's own routes, for tests.
//!
//! | route | does |
//! |---|---|
//! | `POST /_control/bots` `{"name","username"}` | makes a bot, or finds it: `{"id","token","username",..}` |
//! | `GET /_control/bots` `GET /_control/users` | lists them |
//! | `POST /_control/users` `{"id"?,"first_name","language_code"}` | makes a person, or changes it |
//! | `POST /_control/say` `{"user","bot","text"}` | a person says something: `{"update_id","message_id"}` |
//! | `POST /_control/file?user=&bot=&kind=photo\|document\|voice&name=&caption=` | sends the body |
//! | `POST /_control/press` `{"user","bot","message_id","data"}` | presses a button |
//! | `POST /_control/edit` `{"user","bot","message_id","text"}` | changes what was said |
//! | `POST /_control/block` `POST /_control/unblock` `{"user","bot"}` | stops or restarts the bot |
//! | `GET /_control/sent?bot=&user=&after=N&wait=30` | what the bot did in the chat since number N; waits for the first |
//! | `GET /_control/fetched` | addresses that Telegram would have fetched |
//! | `POST /_control` WORDS | obeys words |
//!
//! `bot` is a user name or a number. WORDS are separated by blanks; ODDS are a count (`3`: the next
//! three times) or a probability (`0.3`).
//!
//! | word | meaning |
//! |---|---|
//! | `fail=500:ODDS` `fail=429:ODDS` `retry_after=5` | calls are refused with a status, and nothing is done |
//! | `hang=ODDS` `cut=ODDS` `lost=ODDS` | calls are never answered; are not done and cut; are done and cut |
//! | `only=sendMessage` `only=` | the method that calls go wrong of; all |
//! | `latency=50ms` | before an answer |
//! | `limits=on\|off` | 30 messages a second for a bot, one for a chat after the first three |
//! | `pause` `resume` | nothing is delivered to webhooks; is |
//! | `duplicate=ODDS` `reorder=ODDS` | deliveries come twice; up to half a second late, others before |
//! | `calls=on\|off` | notes every call with its parameters, for [`Telegram::calls`] |
//! | `retry=1s` | before the first retry of a delivery, which doubles up to a minute |
//!
//! Known differences from Telegram: private chats only; Markdown is not read; updates never expire;
//! nothing is fetched, but noted.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use reqwest::redirect::Policy;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::timeout,
};

mod api;
mod control;
mod deliver;
mod fault;
mod file;
mod html;
mod limit;
mod page;
mod params;
mod person;
mod save;
mod serve;
mod state;

use state::State;
pub use state::{Account, Sent, Upload};

/// What a stand-in is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where bots, people and chats are kept from one start to the next.
    pub file: Option<PathBuf>,
    /// Whether it limits how fast bots send, as Telegram does.
    pub limits: bool,
    /// What tokens and odds are drawn from.
    pub seed: u64,
}

/// A running stand-in; it ends, with all its connections, when it is dropped.
pub struct Telegram {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// What connections and deliveries share.
struct Shared {
    state: Mutex<State>,
    /// Counts changes that pages and tests may wait for.
    changed: watch::Sender<u64>,
    /// Wakes the long poll of a bot.
    polls: Mutex<HashMap<i64, Arc<Notify>>>,
    /// Bots whose webhooks may have something to fetch.
    ready: mpsc::UnboundedSender<i64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            file: None,
            limits: true,
            seed: 0,
        }
    }
}

impl Telegram {
    /// Listens, and serves on the runtime of the caller.
    pub async fn start(options: Options) -> io::Result<Self> {
        let Options { listen, file, limits, seed } = options;
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none());
        let client = client.build().map_err(io::Error::other)?;
        let mut state = match &file {
            Some(file) => save::load(file)?.unwrap_or_default(),
            None => State::default(),
        };
        state.seed(seed);
        state.switches.limits = limits;
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (ready, wanted) = mpsc::unbounded_channel();
        // What waits from before is delivered at once.
        for bot in state.bots.keys() {
            let _ = ready.send(*bot);
        }
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: watch::channel(0).0,
            polls: Mutex::default(),
            ready,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve::serve(listener, Arc::clone(&shared)));
        tasks.spawn(deliver::deliver(Arc::clone(&shared), client, wanted));
        if let Some(file) = file {
            tasks.spawn(save::keep(Arc::clone(&shared), file));
        }
        Ok(Self { address, shared, _tasks: tasks })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The root of the Bot API: what stands before `/bot`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a bot, or finds it.
    pub fn bot(&self, username: &str, name: &str) -> Account {
        let made = self.shared.state.lock().make_bot(username, name);
        self.shared.touch();
        made
    }

    /// Makes a person, or changes it.
    pub fn user(&self, id: i64, first_name: &str, language_code: &str) {
        self.shared.state.lock().make_user(Some(id), first_name, language_code);
        self.shared.touch();
    }

    /// A person says something to a bot, whose update has this number then.
    pub fn say(&self, user: i64, bot: i64, text: &str) -> Result<i64, String> {
        self.shared.person(bot, |state| state.say(user, bot, text)).map(|said| said.update_id)
    }

    /// A person sends a file.
    pub fn send(
        &self,
        user: i64,
        bot: i64,
        kind: &str,
        upload: Upload,
        caption: &str,
    ) -> Result<i64, String> {
        let sent =
            self.shared.person(bot, |state| state.send_file(user, bot, kind, upload, caption));
        sent.map(|said| said.update_id)
    }

    /// A person presses a button below a message of the bot.
    pub fn press(&self, user: i64, bot: i64, message: i64, data: &str) -> Result<i64, String> {
        self.shared
            .person(bot, |state| state.press(user, bot, message, data))
            .map(|said| said.update_id)
    }

    /// A person changes what it said.
    pub fn edit(&self, user: i64, bot: i64, message: i64, text: &str) -> Result<i64, String> {
        self.shared
            .person(bot, |state| state.edit(user, bot, message, text))
            .map(|said| said.update_id)
    }

    /// A person stops a bot, or starts it again.
    pub fn block(&self, user: i64, bot: i64, blocked: bool) -> Result<i64, String> {
        self.shared.person(bot, |state| state.block(user, bot, blocked)).map(|said| said.update_id)
    }

    /// What a bot did in a chat, in order.
    pub fn sent(&self, bot: i64, user: i64) -> Vec<Sent> {
        self.shared.state.lock().sent(bot, user, 0)
    }

    /// The first message that a bot sends to a person after number `after` of what it did there; the
    /// numbers begin at 1.
    pub async fn answer(
        &self,
        bot: i64,
        user: i64,
        after: u64,
        patience: Duration,
    ) -> Option<Sent> {
        let mut changed = self.shared.changed.subscribe();
        let first = async {
            loop {
                let sent = self.shared.state.lock().sent(bot, user, after);
                if let Some(sent) = sent.into_iter().find(Sent::is_message) {
                    return sent;
                }
                // The sender lives as long as we do.
                let _ = changed.changed().await;
            }
        };
        timeout(patience, first).await.ok()
    }

    /// Updates of a bot that nobody has taken yet.
    pub fn pending(&self, bot: i64) -> usize {
        self.shared.state.lock().bots.get(&bot).map_or(0, |bot| bot.updates.len())
    }

    /// Addresses that Telegram would have fetched for bots.
    pub fn fetched(&self) -> Vec<String> {
        self.shared.state.lock().fetched.clone()
    }

    /// Every call that was made, as `METHOD` of a bot with its parameters, if asked for by
    /// `calls=on` among the words.
    pub fn calls(&self) -> Vec<Value> {
        self.shared.state.lock().calls.clone()
    }

    /// Obeys words as `POST /_control` does.
    pub fn control(&self, words: &str) -> Result<(), String> {
        self.shared.control(words)
    }
}

impl Shared {
    /// Tells those who wait that something is new.
    fn touch(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Does what a person does, and brings the bot its update.
    fn person<T>(
        &self,
        bot: i64,
        act: impl FnOnce(&mut State) -> Result<T, String>,
    ) -> Result<T, String> {
        let done = act(&mut self.state.lock())?;
        self.touch();
        self.wake(bot);
        Ok(done)
    }

    /// Tells a bot that it may have updates.
    fn wake(&self, bot: i64) {
        self.poll(bot).notify_waiters();
        // Nobody listens when the stand-in ends.
        let _ = self.ready.send(bot);
    }

    fn poll(&self, bot: i64) -> Arc<Notify> {
        Arc::clone(self.polls.lock().entry(bot).or_default())
    }

    fn control(&self, words: &str) -> Result<(), String> {
        let mut state = self.state.lock();
        for word in words.split_whitespace() {
            state.switches.obey(word)?;
        }
        let bots: Vec<i64> = state.bots.keys().copied().collect();
        drop(state);
        // They may go on.
        for bot in bots {
            let _ = self.ready.send(bot);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Telegram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telegram").field("address", &self.address).finish_non_exhaustive()
    }
}
