//! Who was heard of when, and what is not to be done twice in a while. All of it may be lost.

use std::time::Duration;

use oc_domain::{Heartbeat, TenantId};
use redis::aio::ConnectionManager;
use serde::{Deserialize, Serialize};

use crate::Error;

/// After so many seconds a gateway that says nothing is one that does not report.
const KEPT: u64 = 300;
/// A relay that has said nothing for so long, in milliseconds, was away.
const AWAY_MS: u64 = 20_000;
/// Where relays say that they listen.
const LISTENING: &str = "oc:listening";

/// What gateways say of themselves, as the relay has heard it.
#[derive(Clone)]
pub struct Presence {
    redis: ConnectionManager,
}

/// A heartbeat, and when it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// What it says.
    pub heartbeat: Heartbeat,
    /// When it came, in milliseconds after 1970.
    pub at_ms: u64,
}

/// Since when somebody has listened without a pause, and until when, in milliseconds after 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Listening {
    since_ms: u64,
    at_ms: u64,
}

impl Presence {
    pub(crate) fn new(redis: ConnectionManager) -> Self {
        Self { redis }
    }

    /// Notes what the agent of a tenant says, for five minutes.
    pub async fn note(&self, tenant: &TenantId, noted: &Noted) -> Result<(), Error> {
        self.put(&format!("oc:hb:{tenant}"), noted, KEPT).await
    }

    /// What the agent of a tenant said last; nothing where that is long ago.
    pub async fn read(&self, tenant: &TenantId) -> Result<Option<Noted>, Error> {
        self.get(&format!("oc:hb:{tenant}")).await
    }

    /// Notes that a relay listens at this moment: say it every few seconds.
    pub async fn listen(&self, now_ms: u64) -> Result<(), Error> {
        let before = self.listening(now_ms).await?;
        let since_ms = before.map_or(now_ms, |since| since.min(now_ms));
        self.put(LISTENING, &Listening { since_ms, at_ms: now_ms }, KEPT).await
    }

    /// Since when, in milliseconds after 1970, some relay has listened without a pause; nothing
    /// while none does. Silence before that is nobody's fault.
    pub async fn listening(&self, now_ms: u64) -> Result<Option<u64>, Error> {
        let known: Option<Listening> = self.get(LISTENING).await?;
        let alive = known.filter(|known| known.at_ms.saturating_add(AWAY_MS) > now_ms);
        Ok(alive.map(|known| known.since_ms))
    }

    /// Whether nobody has claimed this within the time; it is claimed now.
    pub async fn claim(&self, name: &str, lasts: Duration) -> Result<bool, Error> {
        let mut command = redis::cmd("SET");
        command.arg(format!("oc:claim:{name}")).arg(1).arg("NX").arg("EX");
        command.arg(lasts.as_secs().max(1));
        let set: Option<String> = command.query_async(&mut self.redis.clone()).await?;
        Ok(set.is_some())
    }

    /// Gives a claim back.
    pub async fn release(&self, name: &str) -> Result<(), Error> {
        let mut command = redis::cmd("DEL");
        command.arg(format!("oc:claim:{name}"));
        Ok(command.query_async(&mut self.redis.clone()).await?)
    }

    async fn put(&self, key: &str, value: &impl Serialize, seconds: u64) -> Result<(), Error> {
        let json = serde_json::to_vec(value).map_err(|_| Error::Answer)?;
        let mut command = redis::cmd("SET");
        command.arg(key).arg(json).arg("EX").arg(seconds);
        Ok(command.query_async(&mut self.redis.clone()).await?)
    }

    async fn get<T: for<'a> Deserialize<'a>>(&self, key: &str) -> Result<Option<T>, Error> {
        let mut command = redis::cmd("GET");
        command.arg(key);
        let text: Option<Vec<u8>> = command.query_async(&mut self.redis.clone()).await?;
        // What another release wrote may say nothing to this one.
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }
}
