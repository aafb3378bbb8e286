//! Telegram polled, where it cannot reach us: by one replica for all bots.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Result;
use futures::future::join_all;
use oc_domain::TenantId;
use oc_service::{Lifecycle, chain};
use oc_store::{bots, lock::try_leader};
use oc_telegram::Update;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{inbound::Arrived, office::KINDS, relay::Relay};

/// Between two tries to take the lead, and two looks for new bots.
const LEAD: Duration = Duration::from_secs(2);
/// How long Telegram may wait for an update.
const WAIT: Duration = Duration::from_secs(25);
/// After a failure; doubled up to the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Polls until the drain.
pub(crate) async fn run(
    relay: Arc<Relay>,
    changed: Arc<Notify>,
    lifecycle: Lifecycle,
) -> Result<()> {
    let draining = lifecycle.draining();
    while !draining.is_cancelled() {
        if let Err(error) = lead(&relay, &changed, &draining).await {
            tracing::warn!(error = %chain(&error), "Telegram is not polled");
        }
        relay.metrics.polling.set(0);
        let _ = draining.run_until_cancelled(sleep(LEAD)).await;
    }
    Ok(())
}

/// Polls for as long as this process leads.
async fn lead(
    relay: &Arc<Relay>,
    changed: &Notify,
    draining: &CancellationToken,
) -> Result<(), oc_store::Error> {
    let Some(mut leader) = try_leader(&relay.office.store, "telegram-polling").await? else {
        return Ok(());
    };
    relay.metrics.polling.set(1);
    let mut tasks = JoinSet::new();
    let mut polled: HashMap<TenantId, CancellationToken> = HashMap::new();
    while !draining.is_cancelled() && leader.still().await {
        let tenants = bots::tenants(&relay.office.store).await?;
        polled.retain(|_, ended| !ended.is_cancelled());
        for tenant in tenants {
            if !polled.contains_key(&tenant) {
                let ended = CancellationToken::new();
                polled.insert(tenant.clone(), ended.clone());
                let relay = Arc::clone(relay);
                tasks.spawn(async move {
                    poll(&relay, &tenant).await;
                    ended.cancel();
                });
            }
        }
        while tasks.try_join_next().is_some() {}
        let _ = draining.run_until_cancelled(timeout(LEAD, changed.notified())).await;
    }
    // What was fetched and not written down is not confirmed, and comes again.
    tasks.shutdown().await;
    Ok(())
}

/// Polls for one tenant until it has no bot any more.
async fn poll(relay: &Relay, tenant: &TenantId) {
    let mut offset = 0;
    let mut of_version = None;
    let mut pause = PAUSE;
    loop {
        let desk = match relay.desks.get(tenant).await {
            Ok(Some(desk)) => desk,
            Ok(None) => return,
            Err(_) => {
                sleep(PAUSE).await;
                continue;
            }
        };
        let Some((bot, token)) = &desk.bot else { return };
        let telegram = &relay.office.telegram;
        if of_version != Some(bot.version) {
            // Telegram delivers to a webhook that was set before, and refuses to be polled.
            if telegram.delete_webhook(token).await.is_ok() {
                (of_version, offset) = (Some(bot.version), 0);
            }
        }
        let fetched = match telegram.get_updates(token, offset, WAIT, &KINDS).await {
            Ok(fetched) => fetched,
            Err(error) => {
                tracing::warn!(%tenant, error = %chain(&error), "a bot is not polled");
                sleep(error.retry_after().unwrap_or(pause)).await;
                pause = (pause * 2).min(LONGEST);
                continue;
            }
        };
        pause = PAUSE;
        let arrived = fetched.iter().map(|update| {
            let body = update.get().as_bytes().to_vec();
            relay.arrive(tenant, &desk, bot.number, body)
        });
        let arrived = join_all(arrived).await;
        if arrived.contains(&Arrived::Again) {
            sleep(PAUSE).await;
            continue;
        }
        let last = fetched.iter().filter_map(|update| Update::parse(update.get().as_bytes()).ok());
        offset = last.map(|update| update.id + 1).max().unwrap_or(offset);
    }
}
