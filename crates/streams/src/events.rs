//! Usage events on their way from Redis to the ledger.

use std::{collections::HashMap, time::Duration};

use oc_domain::{
    ModelId,
    usage::{Settlement, UsageEvent},
};
use redis::{
    Client, Cmd, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
    streams::{StreamAutoClaimReply, StreamId, StreamReadReply},
};
use secrecy::SecretString;

use crate::{Error, Reservation, ledger::client};

const STREAM: &str = "oc:usage";
const GROUP: &str = "ledger";
/// How long a read waits for the first event.
const BLOCK: Duration = Duration::from_millis(500);

/// An event as it came.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// Its place on the stream.
    pub stream_id: String,
    /// What it says, or as it came and what is wrong with it.
    pub event: Result<UsageEvent, (String, String)>,
}

/// One consumer of the group that reads every event once.
///
/// It has a connection of its own: a read that blocks would hold up every other call.
pub struct Events {
    client: Client,
    redis: Option<ConnectionManager>,
    consumer: String,
}

impl Events {
    /// A consumer called `consumer`, the same after a restart of its process.
    pub fn new(url: &SecretString, consumer: &str) -> Result<Self, Error> {
        Ok(Self { client: client(url)?, redis: None, consumer: consumer.to_owned() })
    }

    /// Up to `count` events that nobody has got; none if none comes within half a second.
    pub async fn read(&mut self, count: usize) -> Result<Vec<Delivered>, Error> {
        self.group_read(count, ">").await
    }

    /// Up to `count` events that this consumer got before and did not acknowledge.
    pub async fn unacknowledged(&mut self, count: usize) -> Result<Vec<Delivered>, Error> {
        self.group_read(count, "0").await
    }

    /// Up to `count` events that some consumer got and did not acknowledge for `idle`.
    pub async fn reclaim(&mut self, idle: Duration, count: usize) -> Result<Vec<Delivered>, Error> {
        let mut command = redis::cmd("XAUTOCLAIM");
        command.arg(STREAM).arg(GROUP).arg(&self.consumer);
        command.arg(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)).arg("0-0");
        command.arg("COUNT").arg(count);
        let reply: StreamAutoClaimReply = self.query(&command).await?;
        Ok(reply.claimed.into_iter().map(Delivered::read).collect())
    }

    /// These are in the ledger.
    pub async fn acknowledge(&mut self, stream_ids: &[String]) -> Result<(), Error> {
        if stream_ids.is_empty() {
            return Ok(());
        }
        let mut command = redis::cmd("XACK");
        command.arg(STREAM).arg(GROUP).arg(stream_ids);
        self.query::<Value>(&command).await.map(drop)
    }

    /// Forgets consumers of proxies that are gone: idle for `idle` and with nothing pending.
    pub async fn forget_consumers(&mut self, idle: Duration) -> Result<(), Error> {
        let mut command = redis::cmd("XINFO");
        command.arg("CONSUMERS").arg(STREAM).arg(GROUP);
        let consumers: Vec<HashMap<String, String>> = self.query(&command).await?;
        for consumer in consumers {
            let number = |key: &str| consumer.get(key).and_then(|n| n.parse::<u128>().ok());
            let gone = number("pending") == Some(0) && number("idle") > Some(idle.as_millis());
            if let Some(name) = consumer.get("name").filter(|name| gone && **name != self.consumer)
            {
                let mut command = redis::cmd("XGROUP");
                command.arg("DELCONSUMER").arg(STREAM).arg(GROUP).arg(name);
                self.query::<Value>(&command).await?;
            }
        }
        Ok(())
    }

    async fn group_read(&mut self, count: usize, from: &str) -> Result<Vec<Delivered>, Error> {
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(GROUP).arg(&self.consumer).arg("COUNT").arg(count);
        command.arg("BLOCK").arg(u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX));
        command.arg("STREAMS").arg(STREAM).arg(from);
        let reply: Option<StreamReadReply> = self.query(&command).await?;
        let entries = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        Ok(entries.map(Delivered::read).collect())
    }

    async fn query<T: redis::FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Error> {
        let redis = if let Some(redis) = &mut self.redis {
            redis
        } else {
            let config = ConnectionManagerConfig::new()
                .set_number_of_retries(2)
                .set_max_delay(Duration::from_millis(100))
                .set_connection_timeout(Some(Duration::from_secs(1)))
                .set_response_timeout(Some(BLOCK + Duration::from_secs(2)));
            self.redis.insert(self.client.get_connection_manager_lazy(config)?)
        };
        Ok(command.query_async(redis).await?)
    }
}

impl Delivered {
    fn read(entry: StreamId) -> Self {
        let event = parse(&entry).map_err(|error| {
            let fields: HashMap<&String, String> = entry
                .map
                .iter()
                .map(|(key, value)| {
                    (key, redis::from_redis_value_ref(value).unwrap_or_else(|_| "?".to_owned()))
                })
                .collect();
            (serde_json::to_string(&fields).unwrap_or_default(), error)
        });
        Self { stream_id: entry.id, event }
    }
}

fn parse(entry: &StreamId) -> Result<UsageEvent, String> {
    fn field<T: std::str::FromStr>(entry: &StreamId, name: &str) -> Result<T, String> {
        let text: String = entry.get(name).ok_or_else(|| format!("no {name}"))?;
        text.parse().map_err(|_| format!("{name} is not valid"))
    }
    let settlement: String = field(entry, "settlement")?;
    let settlement: Settlement =
        serde_json::from_str(&settlement).map_err(|error| format!("settlement: {error}"))?;
    let model: ModelId = field(entry, "model")?;
    let reservation = Reservation {
        request: field(entry, "request")?,
        tenant: field(entry, "tenant")?,
        account: field(entry, "account")?,
        period: field(entry, "period")?,
        model,
        input: 0,
        amount: settlement.charged,
    };
    Ok(reservation.event(settlement))
}
