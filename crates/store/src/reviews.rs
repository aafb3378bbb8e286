//! Reviews: billing looks at an account again.
//!
//! ```text
//! event, deadline, people ──► due ──► claim_due ──► load ──► Stripe is read, billing decides ──► commit
//!                              ▲                      ▲                                            │
//!                              └── failed: later      └──────────────── Moved: once more ──────────┘
//! ```
//!
//! Whatever comes while a review runs makes the account due once more; whoever dies leaves it due
//! when the claim is over. A review is committed as a whole, and only on the version of the account
//! that it loaded.

use jiff::Timestamp;
use oc_domain::{AccountId, Locale, ModelId, NicheId, TenantId, Thinking, TierId, tenant::State};
use serde::{Deserialize, Serialize};

use crate::{
    audit,
    outbox::Notice,
    periods::{Period, Wanted},
    spec_changes::{Change, NewChange},
};

mod claim;
mod commit;
mod load;

pub use claim::{Claimed, claim_due, due, failed};
pub use commit::commit;
pub use load::load;

/// A subscription as billing last read it, and what was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Stripe's id of it.
    pub id: String,
    /// Its status in Stripe's words.
    pub status: String,
    /// What it pays for.
    pub tier: TierId,
    /// The first instant of the period that it is in.
    pub current_start: Timestamp,
    /// The first instant after that.
    pub current_end: Timestamp,
    /// Whether it ends then.
    pub cancel_at_period_end: bool,
    /// What the tenants should be because of it.
    #[serde(rename = "decided_state")]
    pub decided: State,
    /// Since when a payment is missing.
    pub past_due_since: Option<Timestamp>,
    /// Since when the tenants are suspended.
    pub suspended_at: Option<Timestamp>,
    /// When the tenants are to be deleted.
    pub delete_after: Option<Timestamp>,
    /// Since when it is over: an account has one that is not.
    pub ended_at: Option<Timestamp>,
    /// When it was read.
    pub updated_at: Timestamp,
}

/// What is known of an account at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Remembered {
    /// To be named in the review.
    pub version: i64,
    /// Stripe's customer that it is.
    pub customer: Option<String>,
    /// The language of its messages.
    pub locale: Locale,
    /// How many tenants there may be that are not deleted; nothing is any number.
    pub agents: Option<u32>,
    /// The tier that nobody pays for.
    pub complimentary: Option<TierId>,
    /// When people last set aside what suspended it.
    pub cleared_at: Option<Timestamp>,
    /// All there ever were, the last read one last.
    pub subscriptions: Vec<Subscription>,
    /// Those that were not over 60 days ago, in their order.
    pub periods: Vec<Period>,
    /// All there ever were, in the order of their making.
    pub tenants: Vec<KnownTenant>,
    /// Notices that are neither sent nor withdrawn, in the order of their writing.
    pub notices: Vec<Notice>,
    /// Pending events, in the order of their coming: the last one's trace goes on.
    pub events: Vec<PendingEvent>,
}

/// A tenant of the account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KnownTenant {
    /// The key.
    pub id: TenantId,
    /// What it knows; unknown for those from before billing.
    pub niche: Option<NicheId>,
    /// The tier that it has had from the operator last.
    pub tier: TierId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it should be deleted.
    pub deleted_at: Option<Timestamp>,
    /// What billing last wanted of its file.
    pub last_change: Option<Change>,
}

/// An event that waits for a review.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PendingEvent {
    /// Stripe's id of it.
    pub id: String,
    /// Stripe's type of it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The trace that began with it.
    #[serde(rename = "trace_id")]
    pub trace: String,
}

/// A tenant that there shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewTenant {
    /// The key, drawn.
    pub id: TenantId,
    /// What it knows.
    pub niche: NicheId,
    /// What is paid for.
    pub tier: TierId,
    /// The language of messages.
    pub locale: Locale,
    /// The model that it uses.
    pub model: ModelId,
    /// How long that model thinks.
    pub thinking: Thinking,
}

/// What a review found and decided.
#[derive(Clone, Debug)]
pub struct Review {
    /// Whose.
    pub account: AccountId,
    /// The version that it was loaded at.
    pub version: i64,
    /// When it was decided.
    pub now: Timestamp,
    /// The trace that it belongs to.
    pub trace: String,
    /// Stripe's customer, if it was found; one that is known already stays.
    pub customer: Option<String>,
    /// How many tenants there may be that are not deleted; nothing is any number.
    pub agents: Option<u32>,
    /// Subscriptions as they were read now.
    pub subscriptions: Vec<Subscription>,
    /// The periods that there should be from now on, and no others.
    pub periods: Vec<Wanted>,
    /// Tenants that are new: suspended until the operator says otherwise.
    pub tenants: Vec<NewTenant>,
    /// Tenants that should be deleted.
    pub deleted: Vec<TenantId>,
    /// Changes of tenant files.
    pub changes: Vec<NewChange>,
    /// What people are to be told, as far as it is true now: new ones and old ones.
    pub notices: Vec<Notice>,
    /// The kinds of notices that this review knows all about: what is not among `notices` is not
    /// true any more.
    pub kinds: Vec<String>,
    /// What was done.
    pub audit: Vec<audit::Entry>,
    /// Events that this review is the answer to.
    pub events: Vec<String>,
    /// When to look again at the latest, whatever comes.
    pub next: Option<Timestamp>,
}

/// What became of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it holds.
    Committed {
        /// How many changes of tenant files there are for the committer.
        changes: u64,
        /// Whether periods changed.
        periods: bool,
    },
    /// The account is another version by now, or gone. Nothing was done: load again.
    Moved,
}
