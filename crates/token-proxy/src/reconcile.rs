//! What one replica does for all: partitions, retention, and a look at the providers' bills.
//!
//! All keys of a provider are taken to spend from one account, whose balance the first of them asks for.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use http::{Request, header};
use http_body_util::{BodyExt as _, Limited};
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use oc_service::{Clock, Lifecycle, Readiness, chain};
use oc_store::{Store, lock, migrations, usage};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use crate::{
    metrics::Metrics,
    route::Dialect,
    upstream::{Pieces, Upstream, client},
    upstreams::Upstreams,
};

const RETRY: Duration = Duration::from_secs(1);
/// Readings of a balance that are compared, an hour's: the more, the less it matters that a request
/// is admitted before one and paid for after it.
const READINGS: usize = 8;
/// Billionths of a US dollar: less is all rounding.
const LITTLE: f64 = 1e6;
const BALANCE: Duration = Duration::from_secs(10);

/// The job.
pub(crate) struct Upkeep {
    pub(crate) store: Store,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    pub(crate) retention_months: u32,
    pub(crate) every: Duration,
    pub(crate) readiness: Readiness,
}

/// A provider's word on what is left, and when.
struct Balance {
    at: Timestamp,
    nano_usd: f64,
}

/// The last balances of each provider, oldest first, by the names of its keys: with other keys it
/// begins anew.
type Readings = HashMap<Vec<String>, VecDeque<Balance>>;

/// Moonshot's form of it, in US dollars.
#[derive(Debug, Deserialize)]
struct Wire {
    data: WireData,
}

#[derive(Debug, Deserialize)]
struct WireData {
    available_balance: f64,
}

impl Upkeep {
    /// Runs until the process drains.
    pub(crate) async fn run(self, lifecycle: Lifecycle) -> Result<()> {
        let draining = lifecycle.draining();
        let prepare = async {
            while let Err(error) = self.prepare().await {
                tracing::warn!(error = %chain(&*error), "the ledger is not ready");
                sleep(RETRY).await;
            }
        };
        if draining.run_until_cancelled(prepare).await.is_none() {
            return Ok(());
        }
        self.readiness.set(true);
        let mut readings = Readings::new();
        let work = async {
            loop {
                if let Err(error) = self.lead(&mut readings).await {
                    tracing::warn!(error = %chain(&*error), "upkeep");
                }
                sleep(self.every.max(RETRY)).await;
            }
        };
        let _: Option<()> = draining.run_until_cancelled(work).await;
        Ok(())
    }

    /// The tables of this version, and partitions for what comes: without them nothing is recorded.
    async fn prepare(&self) -> Result<()> {
        migrations::run(&self.store).await?;
        usage::ensure_partitions(&self.store, self.clock.now()).await?;
        Ok(())
    }

    /// Does the work if no other replica does at this moment.
    async fn lead(&self, readings: &mut Readings) -> Result<()> {
        let Some(_leader) = lock::try_leader(&self.store, "token-proxy-upkeep").await? else {
            return Ok(());
        };
        let now = self.clock.now();
        usage::ensure_partitions(&self.store, now).await?;
        let months = i64::from(self.retention_months);
        let oldest = now.to_zoned(TimeZone::UTC).checked_sub(months.months())?;
        let dropped = usage::drop_partitions_before(&self.store, oldest.timestamp()).await?;
        if !dropped.is_empty() {
            tracing::info!(?dropped, "months that are over");
        }
        for upstream in &self.upstreams.pool().upstreams {
            if upstream.balance.is_none() {
                continue;
            }
            let keys = upstream.lanes.iter().map(|lane| lane.name.clone()).collect();
            let known = readings.entry(keys).or_default();
            if let Err(error) = self.reconcile(upstream, known).await {
                let upstream = &upstream.name;
                tracing::warn!(upstream, error = %chain(&*error), "not compared with its bill");
                self.metrics.drift(upstream, f64::NAN);
            }
        }
        Ok(())
    }

    /// Compares what the provider took with what the ledger says, up to the reading before this one:
    /// the rows of the last requests are still to come.
    async fn reconcile(&self, upstream: &Upstream, known: &mut VecDeque<Balance>) -> Result<()> {
        let now = self.balance(upstream).await?;
        if known.back().is_some_and(|last| now.nano_usd > last.nano_usd) {
            // Something was paid in; what was taken meanwhile cannot be told.
            known.clear();
        } else if known.len() == READINGS {
            known.pop_front();
        }
        known.push_back(now);
        let (Some(first), Some(last)) = (known.front(), known.iter().nth_back(1)) else {
            return Ok(());
        };
        let mut spent = 0;
        for lane in &upstream.lanes {
            spent += usage::spend(&self.store, &lane.name, first.at, last.at).await?;
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
        let (spent, taken) = (spent as f64, first.nano_usd - last.nano_usd);
        if spent.max(taken) > LITTLE {
            self.metrics.drift(&upstream.name, taken / spent.max(LITTLE) - 1.0);
        }
        Ok(())
    }

    async fn balance(&self, upstream: &Upstream) -> Result<Balance> {
        let uri = upstream.balance.clone().context("no balance address")?;
        let lane = upstream.lanes.first().context("no key")?;
        let key = lane.key.header(Dialect::OpenAi).context("no header")?;
        let request =
            Request::get(uri).header(header::AUTHORIZATION, key).body(Pieces::default())?;
        let client = client()?;
        let read = async {
            let response = client.request(request).await?;
            anyhow::ensure!(response.status().is_success(), "status {}", response.status());
            let body = Limited::new(response.into_body(), 64 << 10).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!(error))?;
            Ok(serde_json::from_slice::<Wire>(&body.to_bytes())?)
        };
        let wire = timeout(BALANCE, read).await.context("time-out")??;
        Ok(Balance { at: self.clock.now(), nano_usd: wire.data.available_balance * 1e9 })
    }
}
