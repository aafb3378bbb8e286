//! Hears what is told.

use std::{str::FromStr, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use oc_domain::TenantId;
use redis::{
    Client, Msg, RedisError,
    aio::{PubSubSink, PubSubStream},
};
use secrecy::SecretString;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{FLEET, TENANT};
use crate::{Error, ledger::client};

/// How long a connection, or an answer on it, may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// After so long without a message Redis is asked whether it is still there.
const QUIET: Duration = Duration::from_secs(5);
/// After a connection that failed; doubled up to the longest.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

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
pub struct Notices {
    client: Client,
    state: State,
}

enum State {
    /// Until there is a connection; kept, since the future of [`Notices::next`] may be dropped.
    Away(BoxFuture<'static, Heard>),
    Listening(Heard),
}

struct Heard {
    sink: PubSubSink,
    stream: PubSubStream,
    /// When Redis last gave a sign of life.
    since: Instant,
}

impl Notices {
    /// From Redis at `url`, which need not be there.
    pub fn listen(url: &SecretString) -> Result<Self, Error> {
        let client = client(url)?;
        let state = State::Away(connect(client.clone(), Duration::ZERO).boxed());
        Ok(Self { client, state })
    }

    /// The next that is told. It never fails and never ends; while Redis is away it waits.
    ///
    /// Nothing is lost when the future is dropped. Call it within a Tokio runtime, soon again: what
    /// is not fetched piles up.
    pub async fn next(&mut self) -> Told {
        loop {
            match &mut self.state {
                State::Away(connecting) => {
                    self.state = State::Listening(connecting.await);
                    return Told::Connected;
                }
                State::Listening(heard) => match heard.next().await {
                    Some(message) => {
                        if let Some(told) = told(&message) {
                            return told;
                        }
                    }
                    None => self.state = State::Away(connect(self.client.clone(), PAUSE).boxed()),
                },
            }
        }
    }
}

impl Heard {
    /// The next message; nothing once the connection is broken.
    async fn next(&mut self) -> Option<Msg> {
        loop {
            // By the clock, since whoever asks may ask anew before the time is over.
            let quiet = self.since + QUIET;
            if let Ok(message) = timeout_at(quiet, self.stream.next()).await {
                self.since = Instant::now();
                return message;
            }
            // A peer that vanished says nothing either.
            let alive = timeout_at(quiet + PATIENCE, self.sink.ping::<redis::Value>()).await;
            if !matches!(alive, Ok(Ok(_))) {
                return None;
            }
            self.since = Instant::now();
        }
    }
}

/// Listens, sooner or later.
async fn connect(client: Client, mut pause: Duration) -> Heard {
    loop {
        sleep(pause).await;
        if let Ok(Ok(heard)) = timeout(PATIENCE, subscribe(&client)).await {
            return heard;
        }
        pause = (pause * 2).clamp(PAUSE, LONGEST);
    }
}

async fn subscribe(client: &Client) -> Result<Heard, RedisError> {
    let (mut sink, stream) = client.get_async_pubsub().await?.split();
    sink.subscribe(&[FLEET, TENANT]).await?;
    Ok(Heard { sink, stream, since: Instant::now() })
}

/// What a message says; nothing where it is none of ours.
fn told(message: &Msg) -> Option<Told> {
    let text = std::str::from_utf8(message.get_payload_bytes()).ok()?;
    match message.get_channel_name() {
        FLEET => Some(Told::Fleet(text.to_owned())),
        _ => TenantId::from_str(text).ok().map(Told::Tenant),
    }
}
