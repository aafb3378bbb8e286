//! How what Redis has lost comes back.
//!
//! A proxy that meets a Redis process for the first time goes through these stages
//! ([`Session::join`]); each waits until all proxies that are there or were alive have reached the
//! one before, or one lease has passed.
//!
//! 1. [`Stage::Met`]: it is there. It stops its consumer, so that nothing is written to the ledger.
//! 2. [`Stage::Resting`]. It brings back its settlements ([`Session::replay`]) that the process does
//!    not have, see [`Joined::has_lost`]; where Redis has lost everything and counts from the ledger,
//!    those that are not in the ledger. Of a settlement without an answer [`Session::find`] knows
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

    /// Whether the process began with what the process `run_id` left, its last seconds excepted. If
    /// not, its periods count from what the ledger says.
    pub fn continues(&self, run_id: &str) -> bool {
        self.earlier.iter().any(|(earlier, _)| earlier == run_id)
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

/// What became of what was to be brought back.
#[derive(Debug, PartialEq, Eq)]
pub enum Brought<T> {
    /// It is back.
    Back(T),
    /// It has been booked since.
    Closed,
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
            Value::Int(1) => Brought::Closed,
            _ => Brought::Back(()),
        })
    }

    /// Brings a settlement back that the process does not have; gives its new place.
    pub async fn replay(
        &self,
        reservation: &Reservation,
        settlement: &Settlement,
    ) -> Result<Brought<Place>, Error> {
        let json = serde_json::to_vec(settlement).map_err(|_| Error::Answer)?;
        let answer = self.call(Script::Replay, |command| {
            describe(command, reservation);
            command.arg(settlement.charged).arg(json);
        });
        match answer.await? {
            Value::Int(0) => Ok(Brought::UsageMissing),
            Value::Int(_) => Ok(Brought::Closed),
            value => {
                let id: String = redis::from_redis_value(value).map_err(|_| Error::Answer)?;
                Ok(Brought::Back(self.epoch.place(&id)))
            }
        }
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
