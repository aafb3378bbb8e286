//! Notices of the outbox: told by the tenant's own bot in the tenant's language, by one replica.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use jiff::SignedDuration;
use oc_domain::TenantId;
use oc_platform_token::Purpose;
use oc_service::{Lifecycle, chain};
use oc_store::{
    bots::{self, Desk},
    lock::try_leader,
    outbox::{self, Due},
};
use oc_telegram::Error;
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    courier::{Letter, Links, send},
    relay::Relay,
    texts::Texts,
};

/// Kinds that the platform's own people are told of.
pub(crate) const FOR_OPS: [&str; 4] =
    ["partial_refund", "dispute_opened", "second_subscription", "ops_agent_unhealthy"];
/// Kinds that customers are told of.
const FOR_PEOPLE: [&str; 10] = [
    "welcome",
    "payment_failed",
    "suspended",
    "reactivated",
    "ending",
    "deletion",
    "quota",
    "messages",
    "agent_unhealthy",
    "agent_recovered",
];

/// A notice that was confirmed longer ago is confirmed again first.
const FRESH: SignedDuration = SignedDuration::from_mins(10);
/// Notices in one look.
const BATCH: u32 = 100;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// After a failure of ours.
const PAUSE: Duration = Duration::from_secs(10);
/// When a notice is tried again: where nobody can be told, and where Telegram was away.
const NOBODY: SignedDuration = SignedDuration::from_mins(10);
const AWAY: SignedDuration = SignedDuration::from_mins(1);
/// When what is for nobody is logged again.
const LOGGED: SignedDuration = SignedDuration::from_hours(24);

/// Tells what is to be told.
pub(crate) struct Teller {
    pub(crate) relay: Arc<Relay>,
    pub(crate) texts: Arc<Texts>,
    pub(crate) links: Links,
    /// The chat of the platform's own people, and the token of the bot that tells them.
    pub(crate) ops: Option<(i64, SecretString)>,
}

/// What became of a notice.
enum Told {
    Taken,
    Later(SignedDuration),
}

impl Teller {
    /// Tells until the drain. Of all replicas one tells.
    pub(crate) async fn run(self, lifecycle: Lifecycle) -> Result<()> {
        let draining = lifecycle.draining();
        let kinds: Vec<String> = FOR_PEOPLE.into_iter().chain(FOR_OPS).map(str::to_owned).collect();
        while !draining.is_cancelled() {
            if let Err(error) = self.lead(&kinds, &lifecycle).await {
                tracing::warn!(error = %chain(&error), "notices wait");
            }
            let _ = draining.run_until_cancelled(sleep(PAUSE)).await;
        }
        Ok(())
    }

    async fn lead(&self, kinds: &[String], lifecycle: &Lifecycle) -> Result<(), oc_store::Error> {
        let store = &self.relay.office.store;
        let Some(mut leader) = try_leader(store, "notices").await? else { return Ok(()) };
        let draining = lifecycle.draining();
        while !draining.is_cancelled() && leader.still().await {
            let now = self.relay.office.clock.now();
            for due in outbox::due(store, kinds, FRESH, now, BATCH).await? {
                // Whoever leads no more tells nothing more.
                if draining.is_cancelled() || !leader.still().await {
                    return Ok(());
                }
                match self.tell(&due).await? {
                    Told::Taken => outbox::delivered(store, due.id, now).await?,
                    Told::Later(wait) => outbox::postpone(store, due.id, now + wait).await?,
                }
            }
            let _ = draining.run_until_cancelled(sleep(LOOK)).await;
        }
        Ok(())
    }

    async fn tell(&self, due: &Due) -> Result<Told, oc_store::Error> {
        let notice = &due.notice;
        if FOR_OPS.contains(&notice.kind.as_str()) {
            return Ok(self.tell_ops(due).await);
        }
        let named = notice.payload.get("tenant").and_then(Value::as_str);
        let tenants = match named.and_then(|id| id.parse().ok()) {
            Some(tenant) => vec![tenant],
            None => bots::of_account(&self.relay.office.store, &due.account).await?,
        };
        let mut told = Told::Later(NOBODY);
        for tenant in tenants {
            if let Some(desk) = self.relay.desks.get(&tenant).await? {
                told = told.and(self.tell_tenant(due, &tenant, &desk).await);
            }
        }
        Ok(told)
    }

    /// Tells the people of a tenant.
    async fn tell_tenant(&self, due: &Due, tenant: &TenantId, desk: &Desk) -> Told {
        let nobody = Told::Later(NOBODY);
        let Some((bot, token)) = &desk.bot else { return nobody };
        let now = self.relay.office.clock.now();
        let purpose = match due.notice.kind.as_str() {
            "quota" | "messages" => Purpose::Upgrade,
            _ => Purpose::Portal,
        };
        let link = self.links.make(tenant, purpose, now);
        let notice = &due.notice;
        let text = self.texts.notice(&notice.kind, &notice.payload, desk.locale, &link);
        let Some(text) = text else { return nobody };
        let mut told = nobody;
        for chat in &desk.chats {
            let letter = Letter {
                bot: bot.number,
                token: token.clone(),
                chat: chat.chat_id,
                text: text.clone(),
                buttons: Vec::new(),
            };
            told = told.and(self.send(&letter).await);
        }
        told
    }

    async fn tell_ops(&self, due: &Due) -> Told {
        let Due { account, notice, .. } = due;
        let Some((chat, token)) = &self.ops else {
            tracing::warn!(%account, kind = notice.kind, payload = %notice.payload,
                "somebody should look at this");
            return Told::Later(LOGGED);
        };
        let text = format!("{} of {account}: {}", notice.kind, notice.payload);
        // No bot of a tenant has this number.
        let (token, chat) = (token.clone(), *chat);
        self.send(&Letter { bot: 0, token, chat, text, buttons: Vec::new() }).await
    }

    async fn send(&self, letter: &Letter) -> Told {
        let relay = &self.relay;
        let sent = send(&relay.office.telegram, &relay.pace, letter).await;
        relay.metrics.said(if sent.is_ok() { "sent" } else { "failed" });
        let Err(error) = sent else { return Told::Taken };
        tracing::info!(error = %chain(&error), "a notice was not taken");
        match error {
            // Whoever has blocked the bot is not to be told.
            Error::Refused { code: 400 | 403, .. } => Told::Later(NOBODY),
            _ => Told::Later(AWAY),
        }
    }
}

impl Told {
    /// Who is told once is told: whom it did not reach would be told by telling the others twice.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Taken, _) | (_, Self::Taken) => Self::Taken,
            (Self::Later(one), Self::Later(two)) => Self::Later(one.min(two)),
        }
    }
}
