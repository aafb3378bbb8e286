//! What an account may use, from when to when.

use jiff::{Span, Timestamp, ToSpan as _, tz::TimeZone};
use oc_domain::TierId;
use oc_store::periods::Wanted;
use oc_stripe::Subscription;

use super::{Facts, Problem, Service};

/// The current period, and the next one made in advance, so that a renewal has no gap: Stripe charges
/// about an hour after it began.
pub(super) fn periods(
    facts: Facts<'_>,
    subject: Option<&Subscription>,
    service: Service,
    tier: Option<TierId>,
) -> Result<Vec<Wanted>, Problem> {
    let Some(tier) = tier else { return Ok(Vec::new()) };
    let ((starts_at, ends_at), lasts, next) = match (service, subject) {
        (Service::Complimentary, _) => (complimentary(facts), true, tier),
        (Service::None | Service::Over, _) | (_, None) => return Ok(Vec::new()),
        (_, Some(one)) => {
            let (starts_at, ends_at) = one.period;
            let ends_at = one.ended_at.map_or(ends_at, |ended| ended.min(ends_at));
            let lasts = matches!(service, Service::Running { .. })
                && one.cancel_at.is_none_or(|at| at > ends_at);
            ((starts_at, ends_at), lasts, one.next_tier.unwrap_or(tier))
        }
    };
    let mut wanted = Vec::new();
    if starts_at < ends_at {
        wanted.push(of_tier(tier, subject, starts_at, ends_at)?);
    }
    if lasts {
        wanted.push(of_tier(next, subject, ends_at, month_after(ends_at))?);
    }
    Ok(wanted)
}

/// The period that is under way, or one that begins now.
fn complimentary(facts: Facts<'_>) -> (Timestamp, Timestamp) {
    let now = facts.now;
    let current = facts
        .remembered
        .periods
        .iter()
        .find(|period| period.starts_at <= now && now < period.ends_at);
    match current {
        Some(period) => (period.starts_at, period.ends_at),
        None => (now, month_after(now)),
    }
}

/// A period with what the tier allows.
fn of_tier(
    tier: TierId,
    subject: Option<&Subscription>,
    starts_at: Timestamp,
    ends_at: Timestamp,
) -> Result<Wanted, Problem> {
    let messages = tier.get().messages_per_month.most();
    Ok(Wanted { starts_at, ends_at, limit: limit(tier, subject)?, messages })
}

/// Tokens of a month.
fn limit(tier: TierId, subject: Option<&Subscription>) -> Result<u64, Problem> {
    if let Some(tokens) = tier.get().tokens_per_month.most() {
        return Ok(tokens);
    }
    let Some(one) = subject else { return Ok(COMPLIMENTARY_CONTRACT) };
    one.tokens.ok_or_else(|| Problem::NoLimit(one.id.clone()))
}

/// Where there is neither a number in the tier nor a contract.
const COMPLIMENTARY_CONTRACT: u64 = 20_000_000;

fn month_after(at: Timestamp) -> Timestamp {
    let month: Span = 1.month();
    let zoned = at.to_zoned(TimeZone::UTC);
    zoned.checked_add(month).map_or(at, |then| then.timestamp())
}
