//! One replica leads: the one whose name is in the Lease.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use oc_service::{Clock, chain};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

/// The name of the Lease.
const NAME: &str = "openclaw-operator";
/// Whoever has not renewed for so long does not lead any more.
const DURATION: Duration = Duration::from_secs(8);
/// Whoever could not renew for so long stops, before another one begins.
const DEADLINE: Duration = Duration::from_secs(5);
const RENEW: Duration = Duration::from_secs(2);
/// Between two looks of those that wait.
const RETRY: Duration = Duration::from_secs(1);
/// How long one call may take.
const CALL: Duration = Duration::from_secs(2);

/// The Lease, as one replica sees it.
pub(crate) struct Leadership {
    leases: Api<Lease>,
    /// Who we are.
    identity: String,
    clock: Clock,
    /// The version that somebody else renewed last, and since when we know it: clocks of machines
    /// differ, so theirs is not believed.
    seen: Option<(String, Instant)>,
}

impl Leadership {
    pub(crate) fn new(client: Client, namespace: &str, identity: String, clock: Clock) -> Self {
        Self { leases: Api::namespaced(client, namespace), identity, clock, seen: None }
    }

    /// Waits until this replica leads.
    pub(crate) async fn acquire(&mut self) {
        loop {
            match timeout(CALL, self.try_acquire()).await {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::debug!(error = %chain(&*error), "no lease"),
                Err(_) => tracing::debug!("no answer about the lease"),
            }
            sleep(RETRY).await;
        }
    }

    async fn try_acquire(&mut self) -> Result<bool> {
        let Some(lease) = self.leases.get_opt(NAME).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
                spec: Some(self.spec()),
            };
            return Ok(is_won(self.leases.create(&PostParams::default(), &lease).await)?);
        };
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
        let version = lease.metadata.resource_version.unwrap_or_default();
        let free = holder.is_none_or(|holder| holder.is_empty() || holder == self.identity);
        let expired = match &self.seen {
            Some((seen, since)) if *seen == version => since.elapsed() >= DURATION,
            _ => {
                self.seen = Some((version.clone(), Instant::now()));
                false
            }
        };
        if !free && !expired {
            return Ok(false);
        }
        let patch = json!({ "metadata": { "resourceVersion": version }, "spec": self.spec() });
        Ok(is_won(self.leases.patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await)?)
    }

    /// Stays the leader for as long as it can; returns when it is not any more.
    pub(crate) async fn keep(&mut self) {
        let mut renewed = Instant::now();
        while renewed.elapsed() < DEADLINE {
            sleep(RENEW).await;
            match timeout(CALL, self.renew()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => break,
                Ok(Err(error)) => {
                    tracing::warn!(error = %chain(&error), "the lease is not renewed");
                }
                Err(_) => tracing::warn!("no answer about the lease"),
            }
        }
        tracing::error!("another replica may lead now");
    }

    /// False: it is another's.
    async fn renew(&self) -> Result<bool, kube::Error> {
        let lease = self.leases.get(NAME).await?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity);
        if holder.as_ref() != Some(&self.identity) {
            return Ok(false);
        }
        let version = lease.metadata.resource_version;
        let now = MicroTime(self.clock.now());
        let patch =
            json!({ "metadata": { "resourceVersion": version }, "spec": { "renewTime": now } });
        is_won(self.leases.patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await)
    }

    /// Gives the lead away, so that nobody has to wait until it expires.
    pub(crate) async fn release(&self) {
        let released = timeout(CALL, async {
            let lease = self.leases.get(NAME).await?;
            if lease.spec.and_then(|spec| spec.holder_identity).as_ref() != Some(&self.identity) {
                return Ok(());
            }
            let version = lease.metadata.resource_version;
            let patch = json!({
                "metadata": { "resourceVersion": version }, "spec": { "holderIdentity": "" },
            });
            self.leases.patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
        });
        if let Ok(Err(error)) = released.await {
            tracing::warn!(error = %chain(&error), "the lease expires by itself");
        }
    }

    fn spec(&self) -> LeaseSpec {
        let now = MicroTime(self.clock.now());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }
    }
}

/// Whether a write was made; not if somebody else's came first.
fn is_won(written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match written {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        written => written.map(|_| true),
    }
}

/// A name that no other process has.
pub(crate) fn identity(now: Timestamp) -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    format!("{}-{}-{}", host.trim(), std::process::id(), now.as_millisecond())
}
