//! How what Redis has lost comes back.
//!
//! A proxy that meets a Redis process for the first time takes these steps:
//!
//! 1. Stops its consumer, so that nothing is written to the ledger, and [`Session::join`]s at
//!    [`Stage::Resting`] until all proxies that were alive have done so, or one lease has passed.
//! 2. Brings back its settlements ([`Session::replay`]) that the new process does not have: those
//!    behind [`Joined::last`], or where it holds nothing those that are not in the ledger. Of a
//!    settlement without an answer [`Session::find`] knows whether it counted. Then its open
//!    reservations ([`Session::reopen`]).
//! 3. Joins at [`Stage::Replayed`]. When all have, requests are admitted again.
//!
//! Redis writes its log once a second and may be a second late, so a proxy keeps its settlements for
//! [`KEEP`] at least and until they are in the ledger, and admits nothing before it has been known to
//! Redis for [`DURABLE`]. What is lost is then lost with a proxy and Redis killed in the same two
//! seconds, and nothing else.

use std::{collections::HashMap, time::Duration};

use oc_domain::RequestId;
use redis::Value;

use crate::{
    Connection, Epoch, Error, Reservation, Settlement,
    epoch::Script,
    ledger::{describe, evalsha, place},
    verdict::Answer,
};

/// What Redis has acknowledged for this long is on its disk.
pub const DURABLE: Duration = Duration::from_secs(2);
/// How long a proxy can bring back a settlement, at least.
pub const KEEP: Duration = Duration::from_secs(5);

/// How far a proxy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It writes nothing to the ledger.
    Resting = 1,
    /// It has brought back what it knows.
    Replayed = 2,
}

/// How far all proxies are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// All are at [`Stage::Resting`] or further.
    pub resting: bool,
    /// Requests are admitted.
    pub ready: bool,
    /// The process started with nothing.
    pub empty: bool,
    /// The last place on the stream that the process knew when it started.
    pub last: String,
}

impl Joined {
    /// Whether the process does not have the settlement at `stream_id`.
    pub fn has_lost(&self, stream_id: &str) -> bool {
        place(stream_id) > place(&self.last)
    }
}

/// A Redis process that is met, not yet published.
pub struct Session {
    connection: Connection,
    epoch: Epoch,
}

/// What is to be brought back can only be so when its period's usage is there.
#[derive(Debug, PartialEq, Eq)]
pub enum Brought<T> {
    /// It is back.
    Back(T),
    /// [`Session::put_usage`] comes first.
    UsageMissing,
}

impl Session {
    /// Meets the process.
    pub async fn open(mut connection: Connection) -> Result<Self, Error> {
        let epoch = Epoch::load(connection.redis()).await?;
        Ok(Self { connection, epoch })
    }

    /// The process.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    async fn call(
        &self,
        script: Script,
        fill: impl FnOnce(&mut redis::Cmd),
    ) -> Result<Value, Error> {
        let mut command = evalsha(&self.epoch, script);
        fill(&mut command);
        self.connection.run(&command).await
    }

    /// Says how far `proxy` is, and hears how far all are.
    pub async fn join(&self, proxy: &str, stage: Stage) -> Result<Joined, Error> {
        let lease = self.connection.lease_ms();
        let answer = self.call(Script::Join, |command| {
            command.arg(proxy).arg(stage as u8).arg(lease);
        });
        let mut answer = Answer::new(answer.await?)?;
        Ok(Joined {
            resting: answer.next()?,
            ready: answer.next()?,
            empty: answer.next()?,
            last: answer.next()?,
        })
    }

    /// Brings an open reservation back, with the output so far; it may be there.
    pub async fn reopen(
        &self,
        reservation: &Reservation,
        output: u64,
    ) -> Result<Brought<()>, Error> {
        let lease = self.connection.lease_ms();
        let answer = self.call(Script::Reopen, |command| {
            describe(command, reservation);
            command.arg(reservation.input).arg(reservation.amount).arg(output).arg(lease);
        });
        Ok(match answer.await? {
            Value::Int(0) => Brought::UsageMissing,
            _ => Brought::Back(()),
        })
    }

    /// Brings a settlement back that the process does not have; gives its new place.
    pub async fn replay(
        &self,
        reservation: &Reservation,
        settlement: &Settlement,
    ) -> Result<Brought<String>, Error> {
        let json = serde_json::to_vec(settlement).map_err(|_| Error::Answer)?;
        let answer = self.call(Script::Replay, |command| {
            describe(command, reservation);
            command.arg(settlement.charged).arg(json);
        });
        match answer.await? {
            Value::Nil => Ok(Brought::UsageMissing),
            value => {
                let id = redis::from_redis_value(value).map_err(|_| Error::Answer)?;
                Ok(Brought::Back(id))
            }
        }
    }

    /// Which of `requests` have an event on the stream not older than `since_ms`, and where.
    pub async fn find(
        &self,
        since_ms: u64,
        requests: &[RequestId],
    ) -> Result<HashMap<RequestId, String>, Error> {
        let answer = self.call(Script::Find, |command| {
            command.arg(since_ms);
            for request in requests {
                command.arg(request.to_string());
            }
        });
        let found: Vec<(String, String)> =
            redis::from_redis_value(answer.await?).map_err(|_| Error::Answer)?;
        Ok(found
            .into_iter()
            .filter_map(|(request, id)| Some((request.parse().ok()?, id)))
            .collect())
    }

    /// Gives a period the usage that the ledger has, where Redis knows none.
    pub async fn put_usage(&self, period: i64, used: u64) -> Result<(), Error> {
        let answer = self.call(Script::PutUsage, |command| {
            command.arg(period).arg(used);
        });
        answer.await.map(drop)
    }

    /// The process, to be published.
    pub fn into_epoch(self) -> Epoch {
        self.epoch
    }
}
