//! Messages that the plan had no room for: when there is room, their writer is asked whether they are
//! to be answered.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use futures::StreamExt as _;
use jiff::SignedDuration;
use oc_domain::{Locale, TenantId};
use oc_service::{Lifecycle, chain};
use oc_store::{
    bots::Desk,
    updates::{self, Question},
};
use oc_telegram::{Kind, Press, RESERVED, Update};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    courier::{Letter, Reply, send},
    inbox::Unavailable,
    relay::Relay,
    texts::{Text, hour},
};

/// Between two looks for what may be asked.
const LOOK: Duration = Duration::from_secs(5);
/// When a question is asked again of which nobody knows whether it was asked: longer than a batch of
/// them takes while Telegram is away.
const AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// Questions in one look, and those that are asked at the same time.
const BATCH: u32 = 100;
const HANDS: usize = 16;
/// What the buttons say.
const REPLAY: &str = "replay:";
const DROP: &str = "drop:";

/// What somebody has answered to a question.
pub(crate) struct Answer<'a> {
    press: &'a Press,
    /// The question's number.
    question: i64,
    /// Whether the messages are to be answered, or forgotten.
    wanted: bool,
}

/// Asks what is to be asked until the drain. Every replica looks; one asks.
pub(crate) async fn run(relay: Arc<Relay>, lifecycle: Lifecycle) -> Result<()> {
    let draining = lifecycle.draining();
    while draining.run_until_cancelled(sleep(LOOK)).await.is_some() {
        let (store, now) = (&relay.office.store, relay.office.clock.now());
        match updates::take_questions(store, now, AGAIN, BATCH).await {
            Ok(questions) => {
                let questions = futures::stream::iter(&questions);
                questions.for_each_concurrent(HANDS, async |one| relay.ask(one).await).await;
            }
            Err(error) => tracing::warn!(error = %chain(&error), "questions wait"),
        }
    }
    Ok(())
}

impl<'a> Answer<'a> {
    /// What an update answers, if it is a button of ours: no pod can send one that says the same. What
    /// says something else than ours do answers no question.
    pub(crate) fn read(update: &'a Update) -> Option<Self> {
        let press = update.press.as_ref().filter(|_| update.kind == Kind::CallbackQuery)?;
        let said = update.text.as_deref()?.strip_prefix(RESERVED)?;
        let wanted = said.strip_prefix(REPLAY);
        let number = wanted.or_else(|| said.strip_prefix(DROP)).and_then(|text| text.parse().ok());
        Some(Self { press, question: number.unwrap_or_default(), wanted: wanted.is_some() })
    }
}

impl Relay {
    /// Asks, and notes that it was asked. What dies in between is asked twice rather than never.
    async fn ask(&self, question: &Question) {
        let tenant = &question.tenant;
        let desk = self.desks.get(tenant).await.ok().flatten();
        let Some(letter) = desk.and_then(|desk| self.letter(&desk, question)) else { return };
        let sent = send(&self.office.telegram, &self.pace, &letter).await;
        self.metrics.said(if sent.is_ok() { "sent" } else { "failed" });
        if let Err(error) = sent {
            tracing::info!(%tenant, error = %chain(&error), "a question was not taken");
        } else if let Err(error) = updates::asked(&self.office.store, question).await {
            tracing::warn!(%tenant, error = %chain(&error), "a question may be asked again");
        }
    }

    fn letter(&self, desk: &Desk, question: &Question) -> Option<Letter> {
        let (bot, token) = desk.bot.as_ref()?;
        let Question { locale, number, count, .. } = *question;
        let told = json!({ "count": count, "hour": hour(question.oldest, locale) });
        let label = |text| self.texts.own(text, locale, "");
        let buttons = vec![
            (label(Text::HeldReplay)?, format!("{RESERVED}{REPLAY}{number}")),
            (label(Text::HeldDrop)?, format!("{RESERVED}{DROP}{number}")),
        ];
        Some(Letter {
            bot: bot.number,
            token: token.clone(),
            chat: question.chat_id,
            text: self.texts.filled(Text::HeldQuestion, &told, locale, "")?,
            buttons,
        })
    }

    /// Does what a bound person has answered in its chat, once: an answer to a question that is not
    /// open any more, or is another chat's, does nothing.
    pub(crate) async fn answered(
        &self,
        tenant: &TenantId,
        desk: &Desk,
        (chat, locale): (i64, Locale),
        answer: &Answer<'_>,
    ) -> Result<&'static str, Unavailable> {
        let done = if answer.wanted {
            self.replay(tenant, chat, answer.question).await
        } else {
            self.drop_held(tenant, chat, answer.question).await
        };
        let done = done.map_err(|error| {
            tracing::warn!(%tenant, error = %chain(&error), "an answer waits");
            Unavailable
        })?;
        let is_new = done.is_some();
        let (text, told) = done.unwrap_or((Text::HeldOld, json!({})));
        let text = self.texts.filled(text, &told, locale, &self.upgrade(tenant));
        if let (Some((_, token)), Some(text)) = (&desk.bot, text) {
            let (token, press) = (token.clone(), answer.press.clone());
            self.courier.reply(Reply { token, chat, press, text, is_new });
        }
        Ok("answered")
    }

    /// What was done, in a text with its numbers; nothing where the question is not open.
    async fn replay(
        &self,
        tenant: &TenantId,
        chat: i64,
        question: i64,
    ) -> Result<Option<(Text, serde_json::Value)>, oc_store::Error> {
        let (store, now) = (&self.office.store, self.office.clock.now());
        let Some(done) = updates::replay(store, tenant, chat, question, now).await? else {
            return Ok(None);
        };
        if done.replayed > 0 && !self.polls.wake(tenant) {
            self.herald.came(tenant);
        }
        self.metrics.released("replayed", done.replayed);
        let text = if done.left == 0 { Text::HeldReplayed } else { Text::HeldReplayedSome };
        Ok(Some((text, json!({ "count": done.replayed, "left": done.left }))))
    }

    async fn drop_held(
        &self,
        tenant: &TenantId,
        chat: i64,
        question: i64,
    ) -> Result<Option<(Text, serde_json::Value)>, oc_store::Error> {
        let (store, now) = (&self.office.store, self.office.clock.now());
        let dropped = updates::forget(store, tenant, chat, question, now).await?;
        self.metrics.released("dropped", dropped.unwrap_or_default());
        Ok(dropped.map(|count| (Text::HeldDropped, json!({ "count": count }))))
    }
}
