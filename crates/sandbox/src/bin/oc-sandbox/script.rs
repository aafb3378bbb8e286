//! `oc-sandbox script`.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use oc_domain::TenantId;
use oc_streams::{Ledger, Limits, Look, recovery::Session};
use serde_json::json;
use tokio::time::Instant;

/// What one call of a script takes on this machine: the part of the token proxy's time that no proxy
/// can do without
///
/// Prints the median and the 99th percentile in nanoseconds.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Redis, where a token proxy is at work
    #[arg(long, value_name = "URL")]
    redis: String,
    /// A tenant that has asked it something
    #[arg(long, default_value = "t-0")]
    tenant: TenantId,
    /// Calls
    #[arg(long, default_value_t = 2000)]
    count: usize,
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<()> {
        let second = Duration::from_secs(1);
        let limits = Limits { interval: second, burst: 1, concurrency: 1, lease: second };
        let ledger = Ledger::new(&self.redis.into(), limits)?;
        let session = Session::open(ledger.connection()?).await?;
        ledger.publish(Some(session.into_epoch()));
        let connection = ledger.connection()?;
        let mut times = Vec::new();
        for _ in 0..self.count {
            let began = Instant::now();
            let look = connection.look(&self.tenant, 1).await?;
            times.push(u64::try_from(began.elapsed().as_nanos())?);
            ensure!(matches!(look, Look::Known { .. }), "{look:?}");
        }
        times.sort_unstable();
        let at = |percent| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        anstream::println!("{}", json!({"p50": at(50), "p99": at(99)}));
        Ok(())
    }
}
