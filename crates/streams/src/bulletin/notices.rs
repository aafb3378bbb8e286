//! Hears what is told.

use oc_domain::TenantId;
use redis::Msg;
use secrecy::SecretString;

use super::{
    FLEET, POLL, TENANT, UPDATES,
    subscription::{Heard, Subscription},
};
use crate::Error;

/// Something that was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// From now on everything is heard, and anything may have been missed before.
    Connected,
    /// The fleet repository is at this commit.
    Fleet(String),
    /// The row of this tenant has changed.
    Tenant(TenantId),
}

/// All that is told, for as long as this lives, however often Redis goes away.
pub struct Notices(Subscription);

impl Notices {
    /// From Redis at `url`, which need not be there.
    pub fn listen(url: &SecretString) -> Result<Self, Error> {
        Ok(Self(Subscription::new(url, &[FLEET, TENANT])?))
    }

    /// The next that is told. It never fails and never ends; while Redis is away it waits.
    ///
    /// Nothing is lost when the future is dropped. Call it within a Tokio runtime, soon again: what
    /// is not fetched piles up.
    pub async fn next(&mut self) -> Told {
        loop {
            match self.0.next().await {
                Heard::Connected => return Told::Connected,
                Heard::Message(message) => {
                    let Some(text) = text(&message) else { continue };
                    match message.get_channel_name() {
                        FLEET => return Told::Fleet(text.to_owned()),
                        _ => {
                            if let Ok(id) = text.parse() {
                                return Told::Tenant(id);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Something that replicas of the relay tell each other, or are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wake {
    /// From now on everything is heard, and anything may have been missed before.
    Connected,
    /// The row of this tenant, its bot or its chats have changed.
    Tenant(TenantId),
    /// Messages came for this tenant.
    Updates(TenantId),
    /// The pod of this tenant polls, at the replica of that number.
    Poll(TenantId, u64),
}

/// All that a replica of the relay is told, as [`Notices`].
pub struct Wakes(Subscription);

impl Wakes {
    /// From Redis at `url`, which need not be there.
    pub fn listen(url: &SecretString) -> Result<Self, Error> {
        Ok(Self(Subscription::new(url, &[TENANT, UPDATES, POLL])?))
    }

    /// The next that is told, as [`Notices::next`].
    pub async fn next(&mut self) -> Wake {
        loop {
            match self.0.next().await {
                Heard::Connected => return Wake::Connected,
                Heard::Message(message) => {
                    if let Some(wake) = wake(&message) {
                        return wake;
                    }
                }
            }
        }
    }
}

fn wake(message: &Msg) -> Option<Wake> {
    let text = text(message)?;
    match message.get_channel_name() {
        UPDATES => text.parse().ok().map(Wake::Updates),
        POLL => {
            let (tenant, replica) = text.split_once(' ')?;
            Some(Wake::Poll(tenant.parse().ok()?, replica.parse().ok()?))
        }
        _ => text.parse().ok().map(Wake::Tenant),
    }
}

fn text(message: &Msg) -> Option<&str> {
    std::str::from_utf8(message.get_payload_bytes()).ok()
}
