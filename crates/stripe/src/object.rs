//! What billing has to know of an account's dealings with Stripe.

use jiff::Timestamp;
use oc_domain::{AccountId, TenantId, TierId};
use strum::{Display, EnumString};

/// All that Stripe says of one customer, read at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Subscriptions, the newest first, ended ones too.
    pub subscriptions: Vec<Subscription>,
    /// Invoices of subscriptions, the newest first, without drafts.
    pub invoices: Vec<Invoice>,
    /// Charges of which something was paid back or is disputed, the newest first.
    pub charges: Vec<Charge>,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Stripe's id.
    pub id: String,
    /// What Stripe says of it.
    pub status: Status,
    /// When it was made.
    pub created: Timestamp,
    /// The period that it is in.
    pub period: (Timestamp, Timestamp),
    /// What is bought, by the metadata of the price.
    pub tier: TierId,
    /// Tokens a month, by the metadata of the price: what a contract says.
    pub tokens: Option<u64>,
    /// What will be bought from the next period on, where that is agreed to be something else.
    pub next_tier: Option<TierId>,
    /// When its trial ended, or will.
    pub trial_end: Option<Timestamp>,
    /// When it will end, where that is agreed.
    pub cancel_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The tenant that it was bought for, drawn when the checkout was made.
    pub tenant: Option<TenantId>,
    /// The account that it was bought for.
    pub account: Option<AccountId>,
    /// The niche that was chosen.
    pub niche: Option<String>,
    /// The language that was chosen.
    pub locale: Option<String>,
    /// The subscription item, by which its price is changed.
    pub item: String,
    /// The schedule that will change it.
    pub schedule: Option<String>,
}

/// Stripe's word for how a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// The first payment is open.
    Incomplete,
    /// The first payment never came. Final.
    IncompleteExpired,
    /// Not paid yet, by agreement.
    Trialing,
    /// Paid.
    Active,
    /// A renewal failed, and is tried again.
    PastDue,
    /// A renewal failed, and is not tried again.
    Unpaid,
    /// Ended. Final.
    Canceled,
    /// A trial ended without a card.
    Paused,
}

impl Status {
    /// Whether it can never be anything else.
    pub fn is_final(self) -> bool {
        matches!(self, Self::IncompleteExpired | Self::Canceled)
    }
}

/// An invoice of a subscription, finalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// Stripe's id.
    pub id: String,
    /// The subscription.
    pub subscription: String,
    /// What became of it.
    pub status: InvoiceStatus,
    /// When it was made.
    pub created: Timestamp,
    /// When it was paid.
    pub paid_at: Option<Timestamp>,
    /// How often the card was tried.
    pub attempts: u32,
    /// What is to be paid, in cents.
    pub due_cents: i64,
    /// What was paid, in cents.
    pub paid_cents: i64,
    /// Whether it is for a period and not for a change within one.
    pub for_period: bool,
}

/// What became of an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum InvoiceStatus {
    /// To be paid.
    Open,
    /// Paid.
    Paid,
    /// Not to be paid any more.
    Void,
    /// Given up.
    Uncollectible,
}

/// A charge of which something was paid back or is disputed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Stripe's id.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// The invoice that it paid, where there is one.
    pub invoice: Option<String>,
    /// What was charged, in cents.
    pub cents: i64,
    /// What was paid back, in cents.
    pub refunded_cents: i64,
    /// When the last of that was paid back.
    pub refunded_at: Option<Timestamp>,
    /// What became of a dispute, and when it began.
    pub dispute: Option<(Dispute, Timestamp)>,
}

/// How a dispute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispute {
    /// Not decided.
    Open,
    /// For us.
    Won,
    /// For the customer: the money is gone.
    Lost,
}
