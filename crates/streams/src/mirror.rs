//! Tenants and periods, from Postgres to Redis.

use std::sync::Arc;

use oc_domain::{AccountId, ModelId, TenantId};
use redis::Cmd;

use crate::{
    Connection, Epoch, Error, Policy,
    epoch::Script,
    ledger::{evalsha, name},
};

/// Writes to one Redis process what Postgres says.
///
/// It is made before Postgres is asked, since what was read before a restart must not be written
/// after it: the ledger may have grown, and a Redis that has lost everything counts from there.
pub struct Mirror {
    connection: Connection,
    epoch: Arc<Epoch>,
}

/// A tenant as the proxies have to know it.
#[derive(Clone, Debug)]
pub struct Tenant<'a> {
    /// Its id.
    pub id: &'a TenantId,
    /// Grows with every change: an older version never replaces a newer one.
    pub version: i64,
    /// Tokens of other generations are refused. It never falls.
    pub generation: u32,
    /// Whether it may ask for anything.
    pub active: bool,
    /// Who pays.
    pub account: &'a AccountId,
    /// What it may do.
    pub policy: Policy,
    /// Models that it may use.
    pub models: &'a [ModelId],
}

/// A billing period of an account.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// Its id.
    pub id: i64,
    /// When it begins, in milliseconds after 1970.
    pub starts_ms: i64,
    /// When it ends, exclusive.
    pub ends_ms: i64,
    /// Quota tokens in it.
    pub limit: u64,
    /// Those that the ledger says are spent.
    pub used: u64,
}

impl Mirror {
    pub(crate) fn new(connection: Connection, epoch: Arc<Epoch>) -> Self {
        Self { connection, epoch }
    }

    async fn call(&self, script: Script, fill: impl FnOnce(&mut Cmd)) -> Result<(), Error> {
        let mut command = evalsha(&self.epoch, script);
        fill(&mut command);
        self.connection.run(&command).await.map(drop)
    }

    /// Mirrors a tenant, see [`Tenant::version`].
    pub async fn put_tenant(&self, tenant: &Tenant<'_>) -> Result<(), Error> {
        let models: String =
            tenant.models.iter().fold(" ".to_owned(), |list, model| list + name(*model) + " ");
        let answer = self.call(Script::PutTenant, |command| {
            command
                .arg(tenant.id.as_str())
                .arg(tenant.version)
                .arg(tenant.generation)
                .arg(if tenant.active { "active" } else { "suspended" })
                .arg(tenant.account.as_str())
                .arg(tenant.policy.encode())
                .arg(models);
        });
        answer.await
    }

    /// Mirrors the account's current and next period; there may be none.
    pub async fn put_periods(&self, account: &AccountId, periods: &[Period]) -> Result<(), Error> {
        let answer = self.call(Script::PutPeriods, |command| {
            command.arg(account.as_str());
            for period in periods.iter().take(2) {
                command
                    .arg(period.id)
                    .arg(period.starts_ms)
                    .arg(period.ends_ms)
                    .arg(period.limit)
                    .arg(period.used);
            }
        });
        answer.await
    }
}
