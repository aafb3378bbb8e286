//! One Redis process from its start to its end, and the scripts that were loaded into it.

use std::sync::Arc;

use redis::aio::ConnectionLike;

use crate::Error;

/// The scripts of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Script {
    Reserve,
    Settle,
    Beat,
    Reap,
    Look,
    PutTenant,
    PutPeriods,
    PutUsage,
    Join,
    Reopen,
    Replay,
    Find,
}

const PRELUDE: &str = include_str!("scripts/prelude.lua");
const SOURCES: [&str; 12] = [
    include_str!("scripts/reserve.lua"),
    include_str!("scripts/settle.lua"),
    include_str!("scripts/beat.lua"),
    include_str!("scripts/reap.lua"),
    include_str!("scripts/look.lua"),
    include_str!("scripts/put_tenant.lua"),
    include_str!("scripts/put_periods.lua"),
    include_str!("scripts/put_usage.lua"),
    include_str!("scripts/join.lua"),
    include_str!("scripts/reopen.lua"),
    include_str!("scripts/replay.lua"),
    include_str!("scripts/find.lua"),
];

/// A Redis process, known by its run id.
///
/// The run id is in the text of every script, and so in its hash: a call of an epoch that is over
/// fails, whoever has loaded scripts since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    run_id: Arc<str>,
    hashes: Vec<String>,
}

impl Epoch {
    /// Reads the run id and loads the scripts.
    pub(crate) async fn load(
        redis: &mut (impl ConnectionLike + Send + Sync),
    ) -> Result<Self, Error> {
        let info: String = redis::cmd("INFO").arg("server").query_async(redis).await?;
        let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        let run_id = run_id.map(str::trim).ok_or(Error::Answer)?.to_owned();
        let mut hashes = Vec::with_capacity(SOURCES.len());
        for source in SOURCES {
            let text = format!("local EPOCH = '{run_id}'\n{PRELUDE}\n{source}");
            hashes.push(redis::cmd("SCRIPT").arg("LOAD").arg(text).query_async(redis).await?);
        }
        Ok(Self { run_id: run_id.into(), hashes })
    }

    /// The run id of the Redis process.
    pub fn run_id(&self) -> &Arc<str> {
        &self.run_id
    }

    /// A place on the stream, as this process says it.
    pub(crate) fn place(&self, stream_id: &str) -> Place {
        Place { run_id: Arc::clone(&self.run_id), id: stream_id.into() }
    }

    pub(crate) fn hash(&self, script: Script) -> &str {
        self.hashes.get(script as usize).map_or("", String::as_str)
    }
}

/// Where an event is on the stream, and in which process' time: when that is over and Redis has lost
/// its last seconds, another event may come to stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(crate) run_id: Arc<str>,
    pub(crate) id: StreamId,
}

impl Place {
    /// The run id of the process.
    pub fn process(&self) -> &str {
        &self.run_id
    }
}

/// A stream id as a number, comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamId {
    ms: u64,
    sequence: u64,
}

impl From<&str> for StreamId {
    fn from(text: &str) -> Self {
        let (ms, sequence) = text.split_once('-').unwrap_or((text, "0"));
        let number = |text: &str| text.parse().unwrap_or_default();
        Self { ms: number(ms), sequence: number(sequence) }
    }
}
