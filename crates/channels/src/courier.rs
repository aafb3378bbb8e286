//! What the platform itself says to people, by their tenant's own bot.

use std::sync::Arc;

use anyhow::Result;
use futures::StreamExt as _;
use jiff::Timestamp;
use oc_domain::TenantId;
use oc_platform_token::{Link, LinkKey, Purpose};
use oc_service::chain;
use oc_telegram::{ChatId, Client, Error, Press};
use secrecy::SecretString;
use tokio::sync::mpsc;

use crate::{metrics::Metrics, pace::Pace};

/// Letters that wait; more are lost.
const QUEUE: usize = 1024;
/// Letters that are sent at the same time.
const HANDS: usize = 16;

/// Something to be said.
pub(crate) struct Letter {
    /// The bot's number, and its token.
    pub(crate) bot: i64,
    pub(crate) token: SecretString,
    pub(crate) chat: i64,
    pub(crate) text: String,
    /// What stands below it: labels, and what they say when they are pressed.
    pub(crate) buttons: Vec<(String, String)>,
}

/// What is said to somebody who has pressed a button.
pub(crate) struct Reply {
    /// The bot's token.
    pub(crate) token: SecretString,
    pub(crate) chat: i64,
    pub(crate) press: Press,
    pub(crate) text: String,
    /// Whether the button's message says it too from now on; its buttons go in any case.
    pub(crate) is_new: bool,
}

/// Takes letters that may be lost: whoever gets none writes again.
#[derive(Clone)]
pub(crate) struct Courier(mpsc::Sender<Errand>);

enum Errand {
    Letter(Letter),
    Reply(Reply),
}

/// Makes links to what customers can pay.
#[derive(Clone)]
pub(crate) struct Links {
    pub(crate) key: LinkKey,
    /// What each is added to.
    pub(crate) root: Arc<str>,
}

/// Who brings them.
pub(crate) struct Carrier {
    errands: mpsc::Receiver<Errand>,
    telegram: Client,
    pace: Arc<Pace>,
    metrics: Arc<Metrics>,
}

pub(crate) fn courier(
    telegram: Client,
    pace: Arc<Pace>,
    metrics: Arc<Metrics>,
) -> (Courier, Carrier) {
    let (sender, errands) = mpsc::channel(QUEUE);
    (Courier(sender), Carrier { errands, telegram, pace, metrics })
}

impl Courier {
    pub(crate) fn send(&self, letter: Letter) {
        self.put(Errand::Letter(letter));
    }

    pub(crate) fn reply(&self, reply: Reply) {
        self.put(Errand::Reply(reply));
    }

    fn put(&self, errand: Errand) {
        if self.0.try_send(errand).is_err() {
            tracing::warn!("a letter is lost: too many wait");
        }
    }
}

impl Links {
    /// A link that leads somewhere for a week, and is the same for all of a day.
    pub(crate) fn make(&self, tenant: &TenantId, purpose: Purpose, now: Timestamp) -> String {
        const DAY: i64 = 86_400;
        let now = now.as_second();
        let expires = u32::try_from(now - now.rem_euclid(DAY) + 8 * DAY).unwrap_or(u32::MAX);
        let link = Link { purpose, tenant: tenant.clone(), expires };
        format!("{}{}", self.root, self.key.sign(&link))
    }
}

impl Carrier {
    /// Brings letters until every courier is gone.
    pub(crate) async fn run(self) -> Result<()> {
        let Self { errands, telegram, pace, metrics } = self;
        let errands = futures::stream::unfold(errands, async |mut errands| {
            Some((errands.recv().await?, errands))
        });
        errands
            .for_each_concurrent(HANDS, async |errand| {
                let sent = match errand {
                    Errand::Letter(letter) => send(&telegram, &pace, &letter).await,
                    Errand::Reply(reply) => answer(&telegram, &reply).await,
                };
                metrics.said(if sent.is_ok() { "sent" } else { "failed" });
                if let Err(error) = sent {
                    tracing::info!(error = %chain(&error), "a letter was not taken");
                }
            })
            .await;
        Ok(())
    }
}

/// Sends a letter when it is its turn.
pub(crate) async fn send(telegram: &Client, pace: &Pace, letter: &Letter) -> Result<(), Error> {
    let chat = chat_id(letter.chat)?;
    // Whoever has to wait for too long sends all the same, and is told by Telegram.
    let _ = pace.turn(letter.bot, Some(letter.chat)).await;
    let Letter { token, text, buttons, .. } = letter;
    let sent = if buttons.is_empty() {
        telegram.send_message(token, chat, text, false).await
    } else {
        telegram.ask(token, chat, text, buttons).await
    };
    if let Err(error) = &sent
        && let Some(pause) = error.retry_after()
    {
        pace.pause(letter.bot, pause);
    }
    sent.map(drop)
}

/// Answers a press, and closes the message that it came from.
async fn answer(telegram: &Client, reply: &Reply) -> Result<(), Error> {
    let Reply { token, chat, press, text, is_new } = reply;
    let answered = telegram.answer_press(token, &press.id, text).await;
    if let Some(message) = press.message {
        telegram.close(token, chat_id(*chat)?, message, is_new.then_some(text)).await?;
    }
    answered
}

fn chat_id(chat: i64) -> Result<ChatId, Error> {
    ChatId::try_from(chat).map_err(|error| Error::Unusable(Box::new(error)))
}
