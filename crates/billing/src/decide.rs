//! What follows from how an account stands: the one place where money becomes service.
//!
//! A pure function: the same facts at the same time give the same decision, whatever came before and
//! in whatever order it was heard of. What it is given beside the facts are the account's tenants,
//! which it must not make twice, and the notices that nobody has sent yet.

mod notices;
mod periods;
mod service;
mod tenants;

use jiff::{SignedDuration, Timestamp};
use oc_domain::{AccountId, Locale, NicheId, TenantId, TierId, tenant::State};
use oc_store::{
    audit,
    reviews::{Remembered, Review, Subscription as Record},
};
use oc_stripe::{Standing, Subscription};
use serde_json::json;

pub use service::{Grace, Policy, Service, Why};

/// Even where nothing is expected to happen an account is looked at once a day: an event may be lost.
const DAILY: SignedDuration = SignedDuration::from_hours(24);
/// Stripe takes about an hour to charge for a new period.
const RENEWAL: SignedDuration = SignedDuration::from_hours(2);

/// A tenant that somebody has asked for, to be made if it is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its id, drawn.
    pub id: TenantId,
    /// What it is to know.
    pub niche: NicheId,
    /// Its language.
    pub locale: Locale,
}

/// Why nothing can be decided until people have looked at it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// What is paid for cannot be made.
    #[error("subscription {0} names no niche that there is: set metadata `niche`, then retry")]
    NoNiche(String),
    /// A contract without a number.
    #[error(
        "subscription {0}: the price's metadata needs tokens_limit, since the tier is by contract"
    )]
    NoLimit(String),
    /// It is paid by one account, and was bought for another.
    #[error("subscription {0} names account {1}, and its customer is another")]
    OtherAccount(String, AccountId),
}

/// All that a decision is made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Whose.
    pub account: &'a AccountId,
    /// What we know.
    pub remembered: &'a Remembered,
    /// What Stripe says.
    pub standing: &'a Standing,
    /// Who has asked for a tenant.
    pub asked: Option<&'a Asked>,
    /// The time.
    pub now: Timestamp,
    /// How patient we are.
    pub policy: &'a Policy,
}

/// Decides. The trace of the review is still to be filled in.
pub fn decide(facts: Facts<'_>) -> Result<Review, Problem> {
    let subject = subject(&facts.standing.subscriptions);
    if let Some((id, other)) = subject.and_then(|one| Some((&one.id, one.account.as_ref()?)))
        && other != facts.account
    {
        return Err(Problem::OtherAccount(id.clone(), other.clone()));
    }
    let service = service::service(facts, subject);
    let tier = subject.filter(|_| service != Service::Complimentary).map(|one| one.tier);
    let tier = tier.or(facts.remembered.complimentary);
    let tenants = tenants::tenants(facts, subject, service, tier)?;
    let periods = periods::periods(facts, subject, service, tier)?;
    let subscriptions = records(facts, subject, service);
    let (notices, kinds) = notices::notices(facts, subject, service, &tenants);
    let mut next = vec![facts.now + DAILY];
    next.extend(service.deadlines());
    next.extend(subject.map(|one| one.period.1 + RENEWAL));
    next.extend(subject.and_then(|one| one.cancel_at).map(|at| at + RENEWAL));
    let over = subject.is_none_or(|one| one.status.is_final())
        && matches!(service, Service::None | Service::Over);
    let audit = audit(facts, subject, service, tier, &tenants);
    Ok(Review {
        account: facts.account.clone(),
        version: facts.remembered.version,
        now: facts.now,
        trace: String::new(),
        customer: facts.remembered.customer.clone(),
        agents: tenants.agents,
        subscriptions,
        periods,
        tenants: tenants.new,
        deleted: tenants.deleted,
        changes: tenants.changes,
        notices,
        kinds,
        audit,
        events: facts.remembered.events.iter().map(|event| event.id.clone()).collect(),
        next: next.into_iter().filter(|at| *at > facts.now && !over).min(),
    })
}

/// The subscription that counts: an account should have one that lives. Where it has more, the one
/// that is worth most to the customer, then the oldest; else the one that ended last.
pub(crate) fn subject(subscriptions: &[Subscription]) -> Option<&Subscription> {
    use oc_stripe::Status::{
        Active, Canceled, Incomplete, IncompleteExpired, PastDue, Paused, Trialing, Unpaid,
    };
    let rank = |one: &Subscription| match one.status {
        Active | Trialing => 0,
        PastDue => 1,
        Unpaid => 2,
        Paused => 3,
        Canceled => 4,
        // Nothing was ever paid.
        Incomplete | IncompleteExpired => 5,
    };
    let order = |one: &&Subscription| {
        let ended = one.ended_at.map_or(0, |at| -at.as_second());
        (rank(one), ended, one.created, one.id.clone())
    };
    subscriptions.iter().filter(|one| rank(one) < 5).min_by_key(order)
}

/// What is to be remembered of subscriptions: those that are over before the one that lives, since
/// there may be one of these only.
fn records(facts: Facts<'_>, subject: Option<&Subscription>, service: Service) -> Vec<Record> {
    let known = |id: &str| facts.remembered.subscriptions.iter().find(|record| record.id == id);
    let mut records = Vec::new();
    for one in &facts.standing.subscriptions {
        let is_subject = subject.is_some_and(|subject| subject.id == one.id);
        // One more that lives is told to people, not remembered.
        if !is_subject && !one.status.is_final() {
            continue;
        }
        let ended_at = one.status.is_final().then(|| one.ended_at.unwrap_or(one.period.1));
        let decided = match service {
            _ if !is_subject => State::Suspended,
            Service::None | Service::Suspended { .. } => State::Suspended,
            Service::Running { .. } | Service::Complimentary => State::Active,
            Service::Over => State::Deleted,
        };
        let suspended = match service {
            Service::Suspended { since, delete_after, .. } if is_subject => {
                Some((since, delete_after))
            }
            _ => None,
        };
        let before = known(&one.id).filter(|record| record.decided == decided);
        records.push(Record {
            id: one.id.clone(),
            status: one.status.to_string(),
            tier: one.tier,
            current_start: one.period.0,
            current_end: one.period.1,
            cancel_at_period_end: one.cancel_at.is_some(),
            decided,
            past_due_since: service.failing_since().filter(|_| is_subject),
            suspended_at: before
                .and_then(|record| record.suspended_at)
                .or_else(|| suspended.map(|(since, _)| since)),
            delete_after: suspended.and_then(|(_, after)| after),
            ended_at,
            updated_at: facts.now,
        });
    }
    // What Stripe does not list any more was made on another key, or removed with its customer.
    for record in &facts.remembered.subscriptions {
        let listed = facts.standing.subscriptions.iter().any(|one| one.id == record.id);
        if !listed && record.ended_at.is_none() {
            let gone = Record {
                ended_at: Some(facts.now),
                decided: State::Suspended,
                updated_at: facts.now,
                ..record.clone()
            };
            records.push(gone);
        }
    }
    records.sort_by_key(|record| record.ended_at.is_none());
    records
}

/// What is worth telling later: what has changed by this decision.
fn audit(
    facts: Facts<'_>,
    subject: Option<&Subscription>,
    service: Service,
    tier: Option<TierId>,
    tenants: &tenants::Tenants,
) -> Vec<audit::Entry> {
    let entry = |action: &str, tenant: Option<TenantId>, details| audit::Entry {
        actor: "billing".to_owned(),
        action: action.to_owned(),
        account: Some(facts.account.clone()),
        tenant,
        trace: None,
        details,
    };
    let mut entries = Vec::new();
    let last = subject
        .and_then(|one| facts.remembered.subscriptions.iter().find(|record| record.id == one.id));
    let same =
        last.is_some_and(|last| Some(last.tier) == tier && service.state() == Some(last.decided));
    if !same && (subject.is_some() || service == Service::Complimentary) {
        let details = json!({
            "subscription": subject.map(|one| &one.id),
            "status": subject.map(|one| one.status.to_string()),
            "tier": tier,
            "decided": service.to_string(),
        });
        entries.push(entry("billing.decided", None, details));
    }
    for tenant in &tenants.new {
        let details = json!({"tier": tenant.tier, "niche": tenant.niche});
        entries.push(entry("tenant.created", Some(tenant.id.clone()), details));
    }
    for tenant in &tenants.deleted {
        entries.push(entry("tenant.deleted", Some(tenant.clone()), json!({})));
    }
    entries
}
