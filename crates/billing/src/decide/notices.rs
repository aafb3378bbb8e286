//! What people are to be told, as far as it is true now.
//!
//! A notice is known by its key: what happened once is told once. The store withdraws what is not
//! true any more before it was sent, so this says all that is true, not only what is new.

use jiff::{SignedDuration, Timestamp};
use oc_domain::tenant::State;
use oc_store::outbox::Notice;
use oc_stripe::{Dispute, Subscription};
use serde_json::{Value, json};
use strum::{Display, VariantArray};

use super::{Facts, Service, Why, service::missing, tenants::Tenants};

/// How long before the end of what is kept its owner is told.
pub(super) const BEFORE_DELETION: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What notices there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Kind {
    /// To the customer: the agent is being made.
    Welcome,
    /// To the customer: a renewal was not paid, and until when that is borne.
    PaymentFailed,
    /// To the customer: nothing runs any more, and why.
    Suspended,
    /// To the customer: it runs again.
    Reactivated,
    /// To the customer: it will end.
    Ending,
    /// To the customer: what is kept will be deleted.
    Deletion,
    /// To ops: a part of a payment was paid back.
    PartialRefund,
    /// To ops: a payment is disputed, and until when to answer is on Stripe's page.
    DisputeOpened,
    /// To ops: an account pays twice.
    SecondSubscription,
}

/// All that is true, and the kinds that this is all of.
pub(super) fn notices(
    facts: Facts<'_>,
    subject: Option<&Subscription>,
    service: Service,
    tenants: &Tenants,
) -> (Vec<Notice>, Vec<String>) {
    let mut all = Vec::new();
    let mut tell = |kind: Kind, key: &str, payload: Value| {
        let kind = kind.to_string();
        all.push(Notice { dedup_key: format!("{kind}:{key}"), kind, payload });
    };
    let runs = service.state() == Some(State::Active);
    for tenant in tenants.new.iter().filter(|_| runs) {
        tell(Kind::Welcome, tenant.id.as_str(), json!({"tenant": tenant.id}));
    }
    if let Some(one) = subject {
        of_subscription(facts, one, service, &mut tell);
    }
    of_charges(facts, &mut tell);
    let live = facts.standing.subscriptions.iter().filter(|one| {
        use oc_stripe::Status::{Active, PastDue, Trialing};
        matches!(one.status, Active | PastDue | Trialing)
    });
    for one in live.filter(|one| subject.is_some_and(|subject| subject.id != one.id)) {
        tell(Kind::SecondSubscription, &one.id, json!({"subscription": one.id}));
    }
    still_true(facts, service, &mut all);
    (all, Kind::VARIANTS.iter().map(Kind::to_string).collect())
}

fn of_subscription(
    facts: Facts<'_>,
    one: &Subscription,
    service: Service,
    tell: &mut impl FnMut(Kind, &str, Value),
) {
    let id = &one.id;
    match service {
        Service::Running { grace } => {
            if let Some((_, until)) = grace {
                let invoice = missing(facts.standing, one);
                let key =
                    invoice.map_or_else(|| seconds(one.period.0), |invoice| invoice.id.clone());
                let attempts = invoice.map_or(0, |invoice| invoice.attempts);
                tell(Kind::PaymentFailed, &key, json!({"until": until, "attempts": attempts}));
            }
            let before = facts.remembered.subscriptions.iter().find(|record| record.id == *id);
            if let Some(since) = before
                .filter(|record| record.decided == State::Suspended)
                .and_then(|record| record.suspended_at)
            {
                tell(Kind::Reactivated, &format!("{id}:{}", seconds(since)), json!({}));
            }
            if let Some(at) = one.cancel_at {
                tell(Kind::Ending, &format!("{id}:{}", seconds(at)), json!({"at": at}));
            }
        }
        Service::Suspended { why, since, delete_after } => {
            let key = format!("{id}:{}", seconds(since));
            let payload = json!({"why": why.to_string(), "delete_after": delete_after});
            // Whoever cancelled was told of the end before.
            let told = why == Why::Ended && facts.remembered.tenants.is_empty();
            if !told {
                tell(Kind::Suspended, &key, payload);
            }
            if let Some(after) = delete_after.filter(|after| facts.now >= *after - BEFORE_DELETION)
            {
                tell(Kind::Deletion, &format!("{id}:{}", seconds(after)), json!({"after": after}));
            }
        }
        Service::None | Service::Complimentary | Service::Over => {}
    }
}

fn of_charges(facts: Facts<'_>, tell: &mut impl FnMut(Kind, &str, Value)) {
    for charge in &facts.standing.charges {
        let cents = charge.refunded_cents;
        if cents > 0 && cents < charge.cents {
            let payload = json!({"charge": charge.id, "refunded_cents": cents});
            tell(Kind::PartialRefund, &format!("{}:{cents}", charge.id), payload);
        }
        if let Some((Dispute::Open, at)) = charge.dispute {
            let key = format!("{}:{}", charge.id, seconds(at));
            tell(Kind::DisputeOpened, &key, json!({"charge": charge.id}));
        }
    }
}

/// What was true of a moment stays true for as long as it runs.
fn still_true(facts: Facts<'_>, service: Service, all: &mut Vec<Notice>) {
    let runs = service.state() == Some(State::Active);
    let of_a_moment = [Kind::Welcome.to_string(), Kind::Reactivated.to_string()];
    for notice in &facts.remembered.notices {
        let again = all.iter().any(|one| one.dedup_key == notice.dedup_key);
        if runs && of_a_moment.contains(&notice.kind) && !again {
            all.push(notice.clone());
        }
    }
}

fn seconds(at: Timestamp) -> String {
    at.as_second().to_string()
}
