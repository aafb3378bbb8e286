//! The one committer: wanted changes become commits of the fleet repository, in their order.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use oc_gitops::{Change, Fleet, Options, Outcome};
use oc_service::{Clock, Lifecycle, chain};
use oc_store::{
    Store,
    lock::{Leader, try_leader},
    spec_changes::{self, Outcome as Done},
};
use oc_streams::Bulletin;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::metrics::Metrics;

/// Changes in one push.
const BATCH: u32 = 200;
/// Between two looks for changes, if nobody says that there is one: other replicas make them too.
const POLL: Duration = Duration::from_millis(100);
/// Between two tries to take the lead.
const LEAD: Duration = Duration::from_secs(2);
/// After a failure; doubled up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

pub(crate) struct Committer {
    pub(crate) store: Store,
    pub(crate) bulletin: Bulletin,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) changed: Arc<Notify>,
    pub(crate) options: Options,
}

impl Committer {
    /// Runs until the drain. Of all replicas one commits; the lead passes on when it ends.
    pub(crate) async fn run(self, lifecycle: Lifecycle) -> Result<()> {
        let draining = lifecycle.draining();
        let mut pause = PAUSE;
        while !draining.is_cancelled() {
            let wait = match self.lead(&lifecycle, &mut pause).await {
                Ok(()) => LEAD,
                Err(error) => {
                    self.metrics.commit_failing.set(1);
                    tracing::warn!(error = %chain(&*error), "tenant files wait to be committed");
                    let now = pause;
                    pause = (pause * 2).min(LONGEST);
                    now
                }
            };
            let _ = draining.run_until_cancelled(sleep(wait)).await;
        }
        Ok(())
    }

    /// Commits for as long as this process leads; nothing if another one does.
    async fn lead(&self, lifecycle: &Lifecycle, pause: &mut Duration) -> Result<()> {
        let Some(mut leader) = try_leader(&self.store, "committer").await? else {
            // Whether it can be committed is the other's to say.
            self.metrics.commit_failing.set(0);
            return Ok(());
        };
        let mut fleet = Fleet::open(self.options.clone()).await?;
        let draining = lifecycle.draining();
        while !draining.is_cancelled() && leader.still().await {
            let count = self.batch(&mut fleet, &mut leader).await?;
            self.metrics.commit_failing.set(0);
            *pause = PAUSE;
            if count == 0 {
                let _ = draining.run_until_cancelled(timeout(POLL, self.changed.notified())).await;
            }
        }
        Ok(())
    }

    /// One push; says how many changes it was.
    async fn batch(&self, fleet: &mut Fleet, leader: &mut Leader) -> Result<usize> {
        let pending = spec_changes::pending(&self.store, BATCH).await?;
        self.metrics.waiting.set(i64::try_from(pending.len()).unwrap_or(i64::MAX));
        if pending.is_empty() {
            return Ok(0);
        }
        let changes = pending.iter().map(change).collect::<Result<Vec<_>>>()?;
        let ids: Vec<i64> = pending.iter().map(|change| change.id).collect();
        // Whoever leads no more must not push.
        anyhow::ensure!(leader.still().await, "another process leads now");
        let outcomes = fleet
            .apply(&changes, |tip| {
                let (tip, ids, now) = (tip.to_string(), &ids, self.clock.now());
                async move { Ok(spec_changes::attempt(&self.store, ids, &tip, now).await?) }
            })
            .await
            .context("the fleet repository")?;
        let now = self.clock.now();
        let mut done = Vec::new();
        let mut last = None;
        for (change, outcome) in pending.iter().zip(outcomes) {
            let outcome = match outcome {
                Outcome::Committed(commit) => {
                    self.metrics.changed("committed");
                    self.metrics.commit_time(now.duration_since(change.created_at));
                    last = Some(commit);
                    Done::Committed(commit.to_string())
                }
                Outcome::Unchanged => {
                    self.metrics.changed("unchanged");
                    Done::Unchanged
                }
                Outcome::Invalid(error) => {
                    self.metrics.changed("invalid");
                    let tenant = &change.wanted.tenant;
                    tracing::error!(%tenant, change = change.id, error, "a change is not valid");
                    Done::Invalid(error)
                }
            };
            done.push((change.id, outcome));
        }
        spec_changes::done(&self.store, &done, now).await?;
        if let Some(commit) = last
            && let Err(error) = self.bulletin.fleet_moved(&commit.to_string()).await
        {
            tracing::debug!(error = %chain(&error), "the operator finds out by itself");
        }
        Ok(done.len())
    }
}

fn change(pending: &spec_changes::Change) -> Result<Change> {
    let wanted = &pending.wanted;
    let attempted = pending.attempted_on.as_deref().map(str::parse).transpose();
    Ok(Change {
        id: pending.id,
        tenant: wanted.tenant.clone(),
        edits: wanted.edits.clone(),
        create: wanted.base.clone(),
        event: wanted.event.clone(),
        trace: wanted.trace.clone(),
        reason: wanted.reason.clone(),
        attempted: attempted.with_context(|| format!("spec_changes {}", pending.id))?,
    })
}
