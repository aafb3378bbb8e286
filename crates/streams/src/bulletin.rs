//! What services tell each other: that something else is true now, in Postgres or in git.
//!
//! Nothing here is the only way to learn it: whoever reads a mirror looks again in time, and whoever
//! waits for a message asks by itself as well.

use oc_domain::{AccountId, TenantId};
use redis::{
    Pipeline,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use secrecy::SecretString;

use crate::{Error, Presence, ledger::client};

mod notices;
mod subscription;

pub use notices::{Notices, Told, Wake, Wakes};

/// The channel that commits of the fleet repository are told on.
pub const FLEET: &str = "oc:fleet";
/// The channel that ids of changed tenants are told on.
pub const TENANT: &str = "oc:tenant";
/// The channel that ids of tenants are told on for which messages came.
pub(crate) const UPDATES: &str = "oc:updates";
/// The channel that replicas of the relay tell each other on whose pod polls.
pub(crate) const POLL: &str = "oc:poll";

/// The field that a mirror is none without.
const EPOCH: &str = "epoch";

/// A way to tell.
#[derive(Clone)]
pub struct Bulletin {
    redis: ConnectionManager,
}

impl Bulletin {
    /// By Redis at `url`, which need not be there. Call it within a Tokio runtime.
    pub fn new(url: &SecretString) -> Result<Self, Error> {
        let second = Some(std::time::Duration::from_secs(1));
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(second)
            .set_response_timeout(second);
        Ok(Self { redis: client(url)?.get_connection_manager_lazy(config)? })
    }

    /// The account has other billing periods: what is mirrored of them is read again.
    pub async fn periods_changed(&self, account: &AccountId) -> Result<(), Error> {
        self.run(redis::pipe().hdel(format!("oc:p:{account}"), EPOCH)).await
    }

    /// The tenant's row has changed: what is mirrored of it is read again, and whoever listens is
    /// told.
    pub async fn tenant_changed(&self, tenant: &TenantId) -> Result<(), Error> {
        let mut commands = redis::pipe();
        commands.hdel(format!("oc:t:{tenant}"), EPOCH).publish(TENANT, tenant.as_str());
        self.run(&commands).await
    }

    /// The fleet repository is at this commit.
    pub async fn fleet_moved(&self, commit: &str) -> Result<(), Error> {
        self.run(redis::pipe().publish(FLEET, commit)).await
    }

    /// Messages came for these tenants; the pods of those poll at the replica of that number.
    pub async fn wake<'a>(
        &self,
        came: impl Iterator<Item = &'a TenantId>,
        polls: impl Iterator<Item = &'a TenantId>,
        replica: u64,
    ) -> Result<(), Error> {
        let mut commands = redis::pipe();
        for tenant in came {
            commands.publish(UPDATES, tenant.as_str());
        }
        for tenant in polls {
            commands.publish(POLL, format!("{tenant} {replica}"));
        }
        self.run(&commands).await
    }

    /// What is known of gateways, by the same connection.
    pub fn presence(&self) -> Presence {
        Presence::new(self.redis.clone())
    }

    async fn run(&self, commands: &Pipeline) -> Result<(), Error> {
        commands.query_async::<redis::Value>(&mut self.redis.clone()).await?;
        Ok(())
    }
}
