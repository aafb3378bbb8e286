//! What one replica does for all: partitions, retention, and a look at the providers' bills.

use std::{sync::Arc, time::Duration};

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

const EVERY: Duration = Duration::from_mins(10);
const RETRY: Duration = Duration::from_secs(1);
const BALANCE: Duration = Duration::from_secs(10);

/// The job.
pub(crate) struct Upkeep {
    pub(crate) store: Store,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    pub(crate) retention_months: u32,
    pub(crate) readiness: Readiness,
}

/// A provider's word on what is left, and when.
struct Balance {
    upstream: String,
    at: Timestamp,
    nano_usd: f64,
}

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
        let mut before = Vec::new();
        let work = async {
            loop {
                match self.lead(&before).await {
                    Ok(balances) => before = balances,
                    Err(error) => tracing::warn!(error = %chain(&*error), "upkeep"),
                }
                sleep(EVERY).await;
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

    /// Does the work if no other replica does.
    async fn lead(&self, before: &[Balance]) -> Result<Vec<Balance>> {
        let Some(_leader) = lock::try_leader(&self.store, "token-proxy-upkeep").await? else {
            return Ok(Vec::new());
        };
        let now = self.clock.now();
        usage::ensure_partitions(&self.store, now).await?;
        let months = i64::from(self.retention_months);
        let oldest = now.to_zoned(TimeZone::UTC).checked_sub(months.months())?;
        usage::drop_partitions_before(&self.store, oldest.timestamp()).await?;
        let mut balances = Vec::new();
        for upstream in &self.upstreams.pool().upstreams {
            if upstream.balance.is_none() {
                continue;
            }
            let balance = self.balance(upstream).await?;
            if let Some(before) = before.iter().find(|before| before.upstream == upstream.name) {
                self.compare(before, &balance).await?;
            }
            balances.push(balance);
        }
        Ok(balances)
    }

    /// What the provider took since `before`, beside what the ledger says.
    async fn compare(&self, before: &Balance, now: &Balance) -> Result<()> {
        let spent = usage::spend(&self.store, &now.upstream, before.at, now.at).await?;
        let taken = before.nano_usd - now.nano_usd;
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
        let spent = spent as f64;
        // A rise is a payment, and little spent is all rounding.
        if taken >= 0.0 && spent > 1e6 {
            self.metrics.drift(&now.upstream, taken / spent - 1.0);
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
        Ok(Balance {
            upstream: upstream.name.clone(),
            at: self.clock.now(),
            nano_usd: wire.data.available_balance * 1e9,
        })
    }
}
