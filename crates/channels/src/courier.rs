//! What the platform itself says to people, by their tenant's own bot.

use std::sync::Arc;

use anyhow::Result;
use futures::StreamExt as _;
use jiff::Timestamp;
use oc_domain::TenantId;
use oc_platform_token::{Link, LinkKey, Purpose};
use oc_service::chain;
use oc_telegram::{ChatId, Client};
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
}

/// Takes letters that may be lost: whoever gets none writes again.
#[derive(Clone)]
pub(crate) struct Courier(mpsc::Sender<Letter>);

/// Makes links to what customers can pay.
#[derive(Clone)]
pub(crate) struct Links {
    pub(crate) key: LinkKey,
    /// What each is added to.
    pub(crate) root: Arc<str>,
}

/// Who brings them.
pub(crate) struct Carrier {
    letters: mpsc::Receiver<Letter>,
    telegram: Client,
    pace: Arc<Pace>,
    metrics: Arc<Metrics>,
}

pub(crate) fn courier(
    telegram: Client,
    pace: Arc<Pace>,
    metrics: Arc<Metrics>,
) -> (Courier, Carrier) {
    let (sender, letters) = mpsc::channel(QUEUE);
    (Courier(sender), Carrier { letters, telegram, pace, metrics })
}

impl Courier {
    pub(crate) fn send(&self, letter: Letter) {
        if self.0.try_send(letter).is_err() {
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
        let Self { letters, telegram, pace, metrics } = self;
        let letters = futures::stream::unfold(letters, async |mut letters| {
            Some((letters.recv().await?, letters))
        });
        letters
            .for_each_concurrent(HANDS, async |letter| {
                let sent = send(&telegram, &pace, &letter).await;
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
pub(crate) async fn send(
    telegram: &Client,
    pace: &Pace,
    letter: &Letter,
) -> Result<(), oc_telegram::Error> {
    let chat = ChatId::try_from(letter.chat)
        .map_err(|error| oc_telegram::Error::Unusable(Box::new(error)))?;
    // Whoever has to wait for too long sends all the same, and is told by Telegram.
    let _ = pace.turn(letter.bot, Some(letter.chat)).await;
    let sent = telegram.send_message(&letter.token, chat, &letter.text, false).await;
    if let Err(error) = &sent
        && let Some(pause) = error.retry_after()
    {
        pace.pause(letter.bot, pause);
    }
    sent.map(drop)
}
