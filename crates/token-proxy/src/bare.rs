//! What stands for authentication and admission in a proxy without either, see the feature `bare`.

use std::sync::Arc;

use oc_domain::{AccountId, Locale, RequestId, TenantId, Thinking, TierId};
use oc_platform_token::Claims;
use oc_service::Clock;
use oc_streams::{Admitted, Policy, Reservation, Standing};

use crate::admit::Wanted;

/// Everybody is the first tenant of the local stack.
#[expect(clippy::expect_used, reason = "a constant")]
pub(crate) fn claims() -> Arc<Claims> {
    let tenant: TenantId = "t-0".parse().expect("an id");
    Arc::new(Claims { tenant, generation: 1 })
}

/// Everything is admitted.
#[expect(clippy::expect_used, reason = "a constant")]
pub(crate) fn admit(wanted: Wanted<'_>, clock: Clock) -> (Reservation, Admitted) {
    let account: AccountId = "a-bare".parse().expect("an id");
    let amount = wanted.input + wanted.output.wanted;
    let reservation = Reservation {
        request: RequestId::new(clock.unix_ms(), rand::random()),
        tenant: wanted.claims.tenant.clone(),
        account: account.clone(),
        period: 0,
        model: wanted.model,
        input: wanted.input,
        amount,
    };
    let policy = Policy { tier: TierId::Starter, locale: Locale::En, thinking: Thinking::High };
    let standing = Standing { limit: u64::MAX / 1000, used: 0, reserved: amount, ends_ms: 0 };
    let output = wanted.output.wanted;
    (reservation, Admitted { policy, account, period: 0, output, standing, refresh: false })
}
