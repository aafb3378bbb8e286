//! A subscription that outlives its connections.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use redis::{
    Client, Msg, RedisError,
    aio::{PubSubSink, PubSubStream},
};
use secrecy::SecretString;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::{Error, ledger::client};

/// How long a connection, or an answer on it, may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// After so long without a message Redis is asked whether it is still there.
const QUIET: Duration = Duration::from_secs(5);
/// After a connection that failed; doubled up to the longest.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

type Channels = &'static [&'static str];

/// What is said on some channels, for as long as this lives, however often Redis goes away.
pub(super) struct Subscription {
    client: Client,
    channels: Channels,
    state: State,
}

/// Something that was heard.
pub(super) enum Heard {
    /// From now on everything is heard, and anything may have been missed before.
    Connected,
    Message(Msg),
}

enum State {
    /// Until there is a connection; kept, since the future of [`Subscription::next`] may be dropped.
    Away(BoxFuture<'static, Line>),
    Listening(Line),
}

struct Line {
    sink: PubSubSink,
    stream: PubSubStream,
    /// When Redis last gave a sign of life.
    since: Instant,
}

impl Subscription {
    /// To channels of Redis at `url`, which need not be there.
    pub(super) fn new(url: &SecretString, channels: Channels) -> Result<Self, Error> {
        let client = client(url)?;
        let state = State::Away(connect(client.clone(), channels, Duration::ZERO).boxed());
        Ok(Self { client, channels, state })
    }

    /// The next that is heard. It never fails and never ends; while Redis is away it waits.
    ///
    /// Nothing is lost when the future is dropped. Call it within a Tokio runtime, soon again: what
    /// is not fetched piles up.
    pub(super) async fn next(&mut self) -> Heard {
        loop {
            match &mut self.state {
                State::Away(connecting) => {
                    self.state = State::Listening(connecting.await);
                    return Heard::Connected;
                }
                State::Listening(line) => {
                    if let Some(message) = line.next().await {
                        return Heard::Message(message);
                    }
                    let again = connect(self.client.clone(), self.channels, PAUSE);
                    self.state = State::Away(again.boxed());
                }
            }
        }
    }
}

impl Line {
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
async fn connect(client: Client, channels: Channels, mut pause: Duration) -> Line {
    loop {
        sleep(pause).await;
        if let Ok(Ok(line)) = timeout(PATIENCE, subscribe(&client, channels)).await {
            return line;
        }
        pause = (pause * 2).clamp(PAUSE, LONGEST);
    }
}

async fn subscribe(client: &Client, channels: Channels) -> Result<Line, RedisError> {
    let (mut sink, stream) = client.get_async_pubsub().await?.split();
    sink.subscribe(channels).await?;
    Ok(Line { sink, stream, since: Instant::now() })
}
