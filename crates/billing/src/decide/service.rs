//! Whether an account is served, by how it pays.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use oc_domain::{catalog::Family, tenant::State};
use oc_stripe::{Charge, Dispute, Invoice, InvoiceStatus, Standing, Status, Subscription};

use super::Facts;

/// How patient we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// With persons.
    pub personal: Grace,
    /// With firms.
    pub business: Grace,
    /// How long a suspended tenant is kept that nobody pays for.
    pub keep: SignedDuration,
}

/// How long a renewal may be unpaid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// From when the invoice was made.
    pub time: SignedDuration,
    /// Failed attempts, whatever the time.
    pub attempts: u32,
}

impl Default for Policy {
    fn default() -> Self {
        let grace = Grace { time: SignedDuration::from_hours(7 * 24), attempts: 3 };
        Self { personal: grace, business: grace, keep: SignedDuration::from_hours(30 * 24) }
    }
}

/// What an account gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Nothing was ever paid.
    None,
    /// What nobody pays for.
    Complimentary,
    /// What it pays for, or is trusted to pay for.
    Running {
        /// Since when a payment is missing, and until when that is borne.
        grace: Option<(Timestamp, Timestamp)>,
    },
    /// Nothing, and all of its own is kept.
    Suspended {
        /// Why.
        why: Why,
        /// Since when, by what Stripe says.
        since: Timestamp,
        /// Until when it is kept; for ever while it is paid for.
        delete_after: Option<Timestamp>,
    },
    /// Nothing, and nothing is kept.
    Over,
}

/// Why an account is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Why {
    /// A renewal was not paid.
    Unpaid,
    /// The subscription has ended.
    Ended,
    /// A trial has ended without a card.
    Paused,
    /// The current period was paid back.
    Refunded,
    /// The customer's bank was asked to take the money back.
    Disputed,
}

impl Service {
    /// What its tenants should be; nothing where there are none.
    pub fn state(self) -> Option<State> {
        match self {
            Self::None => None,
            Self::Complimentary | Self::Running { .. } => Some(State::Active),
            Self::Suspended { .. } => Some(State::Suspended),
            Self::Over => Some(State::Deleted),
        }
    }

    /// Since when a payment is missing, while that is borne.
    pub fn failing_since(self) -> Option<Timestamp> {
        match self {
            Self::Running { grace } => grace.map(|(since, _)| since),
            _ => None,
        }
    }

    /// When something else will follow, though nothing happens.
    pub(super) fn deadlines(self) -> Vec<Timestamp> {
        match self {
            Self::Running { grace: Some((_, until)) } => vec![until],
            Self::Suspended { delete_after: Some(after), .. } => {
                vec![after - super::notices::BEFORE_DELETION, after]
            }
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("nothing paid yet"),
            Self::Complimentary => f.write_str("active, complimentary"),
            Self::Running { grace: None } => f.write_str("active"),
            Self::Running { grace: Some((_, until)) } => {
                write!(f, "active, in grace until {until}")
            }
            Self::Suspended { why, delete_after: None, .. } => write!(f, "suspended: {why}"),
            Self::Suspended { why, delete_after: Some(after), .. } => {
                write!(f, "suspended: {why}, deleted after {after}")
            }
            Self::Over => f.write_str("deleted"),
        }
    }
}

/// The table of statuses.
pub(super) fn service(facts: Facts<'_>, subject: Option<&Subscription>) -> Service {
    let complimentary = facts.remembered.complimentary.is_some();
    let Some(one) = subject else {
        return if complimentary { Service::Complimentary } else { Service::None };
    };
    let by_status = by_status(facts, one);
    if complimentary && !matches!(by_status, Service::Running { .. }) {
        return Service::Complimentary;
    }
    match (by_status, block(facts, one)) {
        (Service::Running { .. }, Some((why, since))) => {
            Service::Suspended { why, since, delete_after: None }
        }
        (service, _) => service,
    }
}

fn by_status(facts: Facts<'_>, one: &Subscription) -> Service {
    let Facts { standing, now, policy, .. } = facts;
    let suspended = |why, since: Timestamp| {
        let after = since + policy.keep;
        if after <= now {
            Service::Over
        } else {
            Service::Suspended { why, since, delete_after: Some(after) }
        }
    };
    let grace = match one.tier.get().family {
        Family::Personal => policy.personal,
        Family::Business => policy.business,
    };
    match one.status {
        Status::Incomplete | Status::IncompleteExpired => Service::None,
        Status::Active | Status::Trialing => Service::Running { grace: None },
        Status::PastDue => {
            let missing = missing(standing, one);
            let since = missing.map_or(one.period.0, |invoice| invoice.created);
            let until = since + grace.time;
            let attempts = missing.map_or(0, |invoice| invoice.attempts);
            if now < until && attempts < grace.attempts {
                Service::Running { grace: Some((since, until)) }
            } else {
                // Kept from the latest that the grace may have ended, so that it does not depend on
                // when somebody looked.
                suspended(Why::Unpaid, until)
            }
        }
        Status::Unpaid => {
            let missing = missing(standing, one);
            let since = missing.map_or(one.period.0, |invoice| invoice.created);
            suspended(Why::Unpaid, since + grace.time)
        }
        Status::Paused => suspended(Why::Paused, one.trial_end.unwrap_or(one.period.0)),
        Status::Canceled => {
            let ended = one.ended_at.unwrap_or(one.period.1);
            // What was over for want of a payment does not come back by ending, whether or not
            // somebody looked in between.
            let missing = missing(standing, one).map(|invoice| invoice.created + grace.time);
            if missing.is_some_and(|since| since + policy.keep <= ended) {
                Service::Over
            } else {
                suspended(Why::Ended, ended)
            }
        }
    }
}

/// The oldest invoice that should have been paid. Whoever has paid a later one since, if only by a
/// credit, was served again, though Stripe leaves the older one open for ever.
pub(super) fn missing<'a>(standing: &'a Standing, one: &Subscription) -> Option<&'a Invoice> {
    let own = || standing.invoices.iter().filter(|invoice| invoice.subscription == one.id);
    let is_paid = |invoice: &&Invoice| invoice.status == InvoiceStatus::Paid;
    let last_paid = own().filter(is_paid).map(|invoice| invoice.created).max();
    let is_open = |invoice: &&Invoice| {
        matches!(invoice.status, InvoiceStatus::Open | InvoiceStatus::Uncollectible)
            && invoice.due_cents > 0
            && Some(invoice.created) > last_paid
    };
    own().filter(is_open).min_by_key(|invoice| invoice.created)
}

/// What suspends an account though it has paid, and since when.
fn block(facts: Facts<'_>, one: &Subscription) -> Option<(Why, Timestamp)> {
    let blocks = facts.standing.charges.iter().filter_map(|charge| {
        let (why, at) = taken_back(facts.standing, one, charge)?;
        let cleared = facts.remembered.cleared_at.is_some_and(|cleared| cleared >= at);
        let paid_since =
            facts.standing.invoices.iter().any(|invoice| {
                invoice.paid_cents > 0 && invoice.paid_at.is_some_and(|paid| paid > at)
            });
        (!cleared && !paid_since).then_some((why, at))
    });
    blocks.min_by_key(|(_, at)| *at)
}

/// Whether, why and since when the money of a charge is not, or may not be, ours.
fn taken_back(
    standing: &Standing,
    one: &Subscription,
    charge: &Charge,
) -> Option<(Why, Timestamp)> {
    if let Some((Dispute::Open | Dispute::Lost, at)) = charge.dispute {
        return Some((Why::Disputed, at));
    }
    let whole = charge.cents > 0 && charge.refunded_cents >= charge.cents;
    let invoice = charge.invoice.as_deref();
    let invoice = standing.invoices.iter().find(|known| Some(known.id.as_str()) == invoice)?;
    let current = invoice.for_period
        && invoice.subscription == one.id
        && invoice.created >= one.period.0 - SignedDuration::from_hours(1);
    (whole && current).then_some((Why::Refunded, charge.refunded_at?))
}
