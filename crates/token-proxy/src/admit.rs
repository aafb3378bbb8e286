//! From a request to a reservation, or to the reason why there is none.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use oc_domain::{AccountId, ModelId, RequestId, TenantId};
use oc_platform_token::Claims;
use oc_service::chain;
use oc_store::{Store, periods, tenants};
use oc_streams::{
    Admitted, Connection, Look, Period, Policy, Reservation, Reserve, Tenant, Verdict,
};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use crate::{
    answer::{Notice, Problem},
    meter::Meter,
    shape::Output,
};

/// A request that comes too soon, or while Redis is away, is held for so long.
const HOLD: Duration = Duration::from_secs(2);
/// Between two looks for a free place.
const LOOK: Duration = Duration::from_millis(25);

/// Who decides.
#[derive(Clone)]
pub(crate) struct Gatekeeper {
    pub(crate) redis: Connection,
    pub(crate) store: Store,
    /// The runtime that the store's connections live on.
    pub(crate) runtime: Handle,
    pub(crate) meter: Arc<Meter>,
}

/// Why a request is not admitted.
#[derive(Debug)]
pub(crate) enum Refusal {
    Problem(Problem),
    Notice(Notice, Policy),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// What has been tried for one request.
#[derive(Default)]
struct Tries {
    /// How often its tenant or its periods were loaded.
    loads: u32,
    /// Whether a spent quota was looked at again.
    again: bool,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) claims: &'a Claims,
    pub(crate) model: ModelId,
    /// The model's name as the client wrote it.
    pub(crate) name: &'a str,
    pub(crate) input: u64,
    pub(crate) output: Output,
}

impl Gatekeeper {
    /// Sets tokens aside.
    pub(crate) async fn admit(
        &mut self,
        wanted: Wanted<'_>,
    ) -> Result<(Reservation, Admitted), Refusal> {
        let until = Instant::now() + HOLD;
        let mut tries = Tries::default();
        loop {
            let request = RequestId::new(self.meter.clock.unix_ms(), rand::random());
            let reserve = Reserve {
                request,
                tenant: &wanted.claims.tenant,
                generation: wanted.claims.generation,
                model: wanted.model,
                input: wanted.input,
                output: wanted.output.wanted,
                least_output: wanted.output.least,
            };
            let asking = self.meter.asking(request);
            let verdict = match self.redis.reserve(reserve).await {
                Ok(verdict) => verdict,
                Err(error) => {
                    if matches!(error, oc_streams::Error::Restarted) {
                        asking.answered();
                    } else {
                        drop(asking);
                    }
                    self.redis_is_back(until, &error).await?;
                    continue;
                }
            };
            asking.answered();
            match verdict {
                Verdict::Admitted(admitted) => {
                    if admitted.refresh {
                        self.refresh(&wanted.claims.tenant, &admitted.account);
                    }
                    let reservation = Reservation {
                        request,
                        tenant: wanted.claims.tenant.clone(),
                        account: admitted.account.clone(),
                        period: admitted.period,
                        model: wanted.model,
                        input: wanted.input,
                        amount: wanted.input + admitted.output,
                    };
                    return Ok((reservation, admitted));
                }
                other => self.otherwise(other, wanted, until, &mut tries).await?,
            }
        }
    }

    /// Does what makes another try worth it, or says why none is.
    async fn otherwise(
        &mut self,
        verdict: Verdict,
        wanted: Wanted<'_>,
        until: Instant,
        tries: &mut Tries,
    ) -> Result<(), Refusal> {
        let metrics = &self.meter.metrics;
        match verdict {
            Verdict::Admitted(_) => Ok(()),
            Verdict::Recovering => self.hold(LOOK, until, Problem::Unavailable).await,
            Verdict::UnknownTenant | Verdict::UnknownPeriods(_) if tries.loads > 3 => {
                Err(Problem::Unavailable.into())
            }
            Verdict::UnknownTenant => {
                tries.loads += 1;
                self.load_tenant(&wanted.claims.tenant).await
            }
            Verdict::UnknownPeriods(account) => {
                tries.loads += 1;
                self.load_periods(account).await
            }
            Verdict::Revoked => Err(Problem::Unauthenticated.into()),
            Verdict::OtherModel(_) => Err(Problem::UnknownModel(wanted.name.to_owned()).into()),
            Verdict::RateLimited { wait_ms } => {
                metrics.limited("rate");
                let wait = Duration::from_millis(wait_ms);
                let seconds = u32::try_from(wait_ms.div_ceil(1000)).unwrap_or(5).clamp(1, 5);
                self.hold(wait, until, Problem::RateLimited(seconds)).await
            }
            Verdict::Busy => {
                metrics.limited("concurrency");
                self.hold(LOOK, until, Problem::RateLimited(1)).await
            }
            Verdict::Suspended(policy) => {
                metrics.limited("suspended");
                Err(Refusal::Notice(Notice::Suspended, policy))
            }
            Verdict::Unpaid(policy) => {
                metrics.limited("unpaid");
                Err(Refusal::Notice(Notice::Unpaid, policy))
            }
            // What is set aside may have been used up to a part, and be settled in this moment: here,
            // which is known, or by another proxy.
            Verdict::QuotaSpent(_, standing)
                if standing.reserved > 0
                    && Instant::now() < until
                    && (!tries.again || self.meter.is_settling(&wanted.claims.tenant)) =>
            {
                tries.again = true;
                sleep(LOOK).await;
                Ok(())
            }
            Verdict::QuotaSpent(policy, standing) => {
                metrics.limited("quota");
                Err(Refusal::Notice(Notice::QuotaSpent(standing.ends_ms), policy))
            }
        }
    }

    /// Who the tenant is and what is left.
    pub(crate) async fn look(&mut self, claims: &Claims) -> Result<Look, Refusal> {
        let until = Instant::now() + HOLD;
        let mut tries = Tries::default();
        loop {
            match self.redis.look(&claims.tenant, claims.generation).await {
                Ok(Look::Other(verdict)) => {
                    let wanted = Wanted {
                        claims,
                        model: ModelId::default(),
                        name: "",
                        input: 0,
                        output: Output { wanted: 0, least: 0 },
                    };
                    self.otherwise(verdict, wanted, until, &mut tries).await?;
                }
                Ok(look) => return Ok(look),
                Err(error) => self.redis_is_back(until, &error).await?,
            }
        }
    }

    /// Waits before another try, unless that would be too long.
    async fn hold(&self, wait: Duration, until: Instant, else_: Problem) -> Result<(), Refusal> {
        if Instant::now() + wait > until {
            return Err(else_.into());
        }
        sleep(wait).await;
        Ok(())
    }

    async fn redis_is_back(
        &mut self,
        until: Instant,
        error: &oc_streams::Error,
    ) -> Result<(), Refusal> {
        if !error.is_transient() {
            tracing::error!(error = %chain(error), "a script of ours failed");
            return Err(Problem::Unavailable.into());
        }
        let left = until.saturating_duration_since(Instant::now());
        let back = timeout(left, async {
            // The epoch is withdrawn a moment after the first call that finds Redis lost.
            sleep(LOOK).await;
            self.redis.ready().await;
        });
        back.await.map_err(|_| Problem::Unavailable.into())
    }

    async fn load_tenant(&self, tenant: &TenantId) -> Result<(), Refusal> {
        match self
            .on_store(load_tenant(self.redis.clone(), self.store.clone(), tenant.clone()))
            .await
        {
            Ok(true) => Ok(()),
            Ok(false) => Err(Problem::Unauthenticated.into()),
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    async fn load_periods(&self, account: AccountId) -> Result<(), Refusal> {
        let now = self.meter.clock.now();
        let load = load_periods(self.redis.clone(), self.store.clone(), account, now);
        self.on_store(load).await.map_err(|error| self.unavailable(&error))
    }

    fn unavailable(&self, error: &anyhow::Error) -> Refusal {
        tracing::warn!(error = %chain(&**error), "a tenant or its periods cannot be loaded");
        self.meter.metrics.limited("unavailable");
        Problem::Unavailable.into()
    }

    /// Looks again, without anybody waiting for it.
    fn refresh(&self, tenant: &TenantId, account: &AccountId) {
        let (redis, store) = (self.redis.clone(), self.store.clone());
        let (tenant, account) = (tenant.clone(), account.clone());
        let now = self.meter.clock.now();
        self.meter.tasks.spawn_on(
            async move {
                let outcome = async {
                    load_tenant(redis.clone(), store.clone(), tenant).await?;
                    load_periods(redis, store, account, now).await
                };
                if let Err(error) = outcome.await {
                    tracing::debug!(error = %chain(&*error), "not refreshed");
                }
            },
            &self.runtime,
        );
    }

    /// Runs on the runtime that the store's connections live on.
    async fn on_store<T: Send + 'static>(
        &self,
        work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
    ) -> anyhow::Result<T> {
        self.runtime.spawn(work).await?
    }
}

/// Mirrors the tenant; false if there is none.
async fn load_tenant(redis: Connection, store: Store, id: TenantId) -> anyhow::Result<bool> {
    let mirror = redis.mirror()?;
    let Some((tenant, changed)) = tenants::find(&store, &id).await? else { return Ok(false) };
    let policy = Policy { tier: tenant.tier, locale: tenant.locale, thinking: tenant.thinking };
    mirror
        .put_tenant(&Tenant {
            id: &id,
            version: changed.as_microsecond(),
            generation: tenant.generation,
            active: tenant.state == tenants::State::Active,
            account: &tenant.account,
            policy,
            models: &[tenant.model],
        })
        .await?;
    Ok(true)
}

async fn load_periods(
    redis: Connection,
    store: Store,
    account: AccountId,
    now: jiff::Timestamp,
) -> anyhow::Result<()> {
    let mirror = redis.mirror()?;
    let periods = periods::current_and_next(&store, &account, now).await?;
    let periods: Vec<Period> = periods
        .iter()
        .map(|period| Period {
            id: period.id,
            starts_ms: period.starts_at.as_millisecond(),
            ends_ms: period.ends_at.as_millisecond(),
            limit: period.limit,
            used: period.used,
        })
        .collect();
    Ok(mirror.put_periods(&account, &periods).await?)
}
