//! The inbox of Stripe's events: each is a hint to look at an account again, and nothing more.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use oc_domain::AccountId;
use serde::{Deserialize, Serialize};
use sqlx::{query_scalar, types::Json};
use strum::{Display, EnumString};

use crate::{Error, Store};

mod handling;

pub use handling::{attribute, postpone, prune, quarantine, retry, unattributed};

/// An event as the webhook has verified it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Stripe's id of it.
    pub id: String,
    /// Stripe's type of it.
    pub kind: String,
    /// The API version that it was rendered in.
    pub api_version: Option<String>,
    /// What it is about.
    pub object: Option<String>,
    /// Whose that is, in Stripe's words.
    pub customer: Option<String>,
    /// When it happened.
    pub created_at: Timestamp,
    /// The trace that begins with it.
    pub trace: String,
    /// Whether it is of a type that means nothing to us: kept for people, and no reason to look at
    /// the account.
    pub ignored: bool,
}

/// Whether an event was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It is now.
    New,
    /// It was; nothing has changed.
    Known,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Status {
    /// A review of its account is still to come.
    Pending,
    /// A review has taken it into account.
    Done,
    /// Its type means nothing to us.
    Ignored,
    /// It waits for people.
    Quarantined,
}

/// An event in the inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Stripe's id of it.
    pub id: String,
    /// Stripe's type of it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The API version that it was rendered in.
    pub api_version: Option<String>,
    /// What it is about.
    #[serde(rename = "object_id")]
    pub object: Option<String>,
    /// Whose that is, in Stripe's words.
    pub customer: Option<String>,
    /// Whose that is, once it is known.
    #[serde(rename = "account_id")]
    pub account: Option<AccountId>,
    /// When it happened.
    pub created_at: Timestamp,
    /// When it came for the first time.
    pub received_at: Timestamp,
    /// The trace that began with it.
    #[serde(rename = "trace_id")]
    pub trace: String,
    /// The trace of the review that was the answer to it.
    #[serde(rename = "review_trace_id")]
    pub review_trace: Option<String>,
    /// What became of it.
    pub status: Status,
    /// How often its account was looked for in vain.
    pub attempts: u32,
    /// What went wrong last.
    pub error: Option<String>,
    /// When a review took it into account.
    pub done_at: Option<Timestamp>,
}

/// Which events to list; what is not said is any.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The event of this id alone.
    pub id: Option<String>,
    /// What became of them.
    pub status: Option<Status>,
    /// Whose they are.
    pub account: Option<AccountId>,
    /// Their type.
    pub kind: Option<String>,
    /// The trace that began with them, or that was the answer.
    pub trace: Option<String>,
}

/// Takes an event in, and where its customer is known makes the account due: in one statement, so
/// once this is done the event will be seen to.
pub async fn receive(store: &Store, event: &Received, now: Timestamp) -> Result<Receipt, Error> {
    let new = store.run(async |db| {
        Ok(query_scalar!(
            r#"with new as (
                insert into stripe_events (
                    id, type, api_version, object_id, customer, account_id, created_at,
                    received_at, trace_id, status, next_attempt_at
                )
                values (
                    $1, $2, $3, $4, $5, (select id from accounts where stripe_customer_id = $5), $6,
                    $7, $8, $9, $7
                )
                on conflict do nothing
                returning account_id, status
            ),
            due as (
                update accounts
                set review_at = least(review_at, $7)
                from new
                where accounts.id = new.account_id
                    and new.status = 'pending'
            )
            select exists (select from new) as "new!""#,
            event.id,
            event.kind,
            event.api_version,
            event.object,
            event.customer,
            event.created_at.to_sqlx() as _,
            now.to_sqlx() as _,
            event.trace,
            if event.ignored { Status::Ignored } else { Status::Pending }.to_string(),
        )
        .fetch_one(db)
        .await?)
    });
    Ok(if new.await? { Receipt::New } else { Receipt::Known })
}

/// The events that `filter` lets through, the last received first, `limit` at most.
pub async fn list(store: &Store, filter: &Filter, limit: u32) -> Result<Vec<Event>, Error> {
    let found = store.run(async |db| {
        Ok(query_scalar!(
            r#"select to_jsonb(stripe_events) as "event!: Json<Event>"
            from stripe_events
            where ($1::text is null or id = $1)
                and ($2::text is null or status = $2)
                and ($3::text is null or account_id = $3)
                and ($4::text is null or type = $4)
                and ($5::text is null or trace_id = $5 or review_trace_id = $5)
            order by received_at desc, id desc
            limit $6"#,
            filter.id,
            filter.status.map(|status| status.to_string()),
            filter.account.as_ref().map(AccountId::as_str),
            filter.kind,
            filter.trace,
            i64::from(limit),
        )
        .fetch_all(db)
        .await?)
    });
    Ok(found.await?.into_iter().map(|Json(event)| event).collect())
}
