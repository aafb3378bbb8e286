//! How what Redis has lost comes back.
//!
//! A proxy that meets a Redis process for the first time goes through these stages
//! ([`Session::join`]); each waits until all proxies that are there or were alive have reached the
//! one before, or one lease has passed.
//!
//! 1. [`Stage::Met`]: it is there. It stops its consumer, so that nothing is written to the ledger.
//! 2. [`Stage::Resting`]. It brings back its settlements ([`Session::replay`]) that the process does
//!    not have, see [`Joined::has_lost`]. Where Redis has lost a period's count, that begins again with
//!    what the ledger has, and of what was booked before, now or in a later recovery, only that is
//!    brought back which the ledger has not. Of a settlement without an answer [`Session::find`] knows
//!    whether it counted.
//! 3. [`Stage::Settled`]. It brings back its open reservations ([`Session::reopen`]). They come after
//!    all settlements, since they may have what those gave back.
//! 4. [`Stage::Reopened`]. When all have reached it, requests are admitted again.
//!
//! A proxy that comes later brings back what it knows all the same; what was booked meanwhile because
//! its lease passed stays as it was booked.
//!
//! Redis writes its log once a second and may be a second late, so a proxy keeps its settlements for
//! [`KEEP`] at least and until they are in the ledger, and admits nothing before it has been known to
//! Redis for [`DURABLE`]. What is lost is then lost with a proxy and Redis killed in the same two
//! seconds, and nothing else.

use std::{collections::HashMap, sync::Arc, time::Duration};

use oc_domain::{RequestId, usage::Settlement};
use redis::Value;

use crate::{
    Connection, Epoch, Error, Place, Reservation,
    epoch::{Script, StreamId},
    ledger::{describe, evalsha},
    verdict::Answer,
};

/// What Redis has acknowledged for this long is on its disk.
pub const DURABLE: Duration = Duration::from_secs(2);
/// How long a proxy can bring back a settlement, at least.
pub const KEEP: Duration = Duration::from_secs(5);

/// How far a proxy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It is there.
    Met,
    /// It writes nothing to the ledger.
    Resting,
    /// It has brought back its settlements.
    Settled,
    /// It has brought back its open reservations.
    Reopened,
}

/// How far all proxies are, and how much of their time the process has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    reached: u8,
    run_id: Arc<str>,
    /// Each process that has written to the same log, the oldest first, and the last place on the
    /// stream that the next one knew.
    earlier: Vec<(String, StreamId)>,
}

impl Joined {
    /// Whether all are at this stage or further.
    pub fn reached(&self, stage: Stage) -> bool {
        self.reached >= stage as u8
    }

    /// Whether the process does not have what was at this place.
    pub fn has_lost(&self, place: &Place) -> bool {
        if place.run_id == self.run_id {
            return false;
        }
        let mut later = self.earlier.iter().skip_while(|(run_id, _)| **run_id != *place.run_id);
        // Each of them may have lost the end of what the one before had.
        later.clone().next().is_none() || later.any(|(_, last)| *last < place.id)
    }
}

/// A Redis process that is met, not yet published.
pub struct Session {
    connection: Connection,
    epoch: Epoch,
}

/// What is brought back.
#[derive(Clone, Copy, Debug)]
pub struct Lost<'a> {
    /// What was set aside.
    pub reservation: &'a Reservation,
    /// The process that has booked it, if one has: the last one that its proxy knew, or an earlier.
    pub process: &'a str,
    /// Whether the ledger has it, if that is known.
    pub in_ledger: Option<bool>,
}

/// What became of what was to be brought back.
#[derive(Debug, PartialEq, Eq)]
pub enum Brought<T> {
    /// It is back.
    Back(T),
    /// It counts already: it has been booked since, or the period's count began with it.
    Closed,
    /// Something comes first.
    Needs(Need),
}

/// What Redis has to be told first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It knows no usage of the period: [`Session::put_usage`].
    Usage,
    /// The period's count began with what the ledger had: [`Lost::in_ledger`].
    Ledger,
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

    /// Says how far `proxy` is and how many were alive when it last knew, and hears how far all are.
    pub async fn join(&self, proxy: &str, stage: Stage, alive: u32) -> Result<Joined, Error> {
        let lease = self.connection.lease_ms();
        let answer = self.call(Script::Join, |command| {
            command.arg(proxy).arg(stage as u8).arg(lease).arg(alive);
        });
        let mut answer = Answer::new(answer.await?)?;
        let reached = answer.next()?;
        let earlier: Vec<(String, String)> = answer.next()?;
        let earlier = earlier.into_iter().map(|(run_id, last)| (run_id, last.as_str().into()));
        Ok(Joined { reached, run_id: Arc::clone(self.epoch.run_id()), earlier: earlier.collect() })
    }

    /// Brings an open reservation back, with the output so far; it may be there.
    pub async fn reopen(&self, lost: Lost<'_>, output: u64) -> Result<Brought<()>, Error> {
        let lease = self.connection.lease_ms();
        let answer = self.call(Script::Reopen, |command| {
            lost.describe(command);
            let Reservation { input, amount, .. } = lost.reservation;
            command.arg(input).arg(amount).arg(output).arg(lease);
        });
        Brought::read(answer.await?, |_| Ok(()))
    }

    /// Brings a settlement back that the process does not have; gives its new place.
    pub async fn replay(
        &self,
        lost: Lost<'_>,
        settlement: &Settlement,
    ) -> Result<Brought<Place>, Error> {
        let json = serde_json::to_vec(settlement).map_err(|_| Error::Answer)?;
        let answer = self.call(Script::Replay, |command| {
            lost.describe(command);
            command.arg(settlement.charged).arg(json);
        });
        Brought::read(answer.await?, |value| {
            let id: String = redis::from_redis_value(value).map_err(|_| Error::Answer)?;
            Ok(self.epoch.place(&id))
        })
    }

    /// Which of `requests` have an event on the stream not older than `since_ms`, and where.
    pub async fn find(
        &self,
        since_ms: u64,
        requests: &[RequestId],
    ) -> Result<HashMap<RequestId, Place>, Error> {
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
            .filter_map(|(request, id)| Some((request.parse().ok()?, self.epoch.place(&id))))
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

impl Lost<'_> {
    fn describe(&self, command: &mut redis::Cmd) {
        describe(command, self.reservation);
        let in_ledger = self.in_ledger.map_or("", |known| if known { "1" } else { "0" });
        command.arg(self.process).arg(in_ledger);
    }
}

impl<T> Brought<T> {
    fn read(value: Value, back: impl FnOnce(Value) -> Result<T, Error>) -> Result<Self, Error> {
        Ok(match value {
            Value::Int(0) => Self::Needs(Need::Usage),
            Value::Int(1) => Self::Closed,
            Value::Int(2) => Self::Needs(Need::Ledger),
            value => Self::Back(back(value)?),
        })
    }
}
