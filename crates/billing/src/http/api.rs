//! What our own services ask for: to buy, to change, to end.
//!
//! Nothing here changes what an account gets: Stripe is asked, and what comes of that is decided by
//! the review that follows, as for any event.

use std::sync::Arc;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::HeaderMap,
};
use jiff::Timestamp;
use oc_domain::{AccountId, Locale, NicheId, TenantId, TierId};
use oc_store::{
    accounts::{self, Member, Role},
    reviews::{self, Remembered},
};
use oc_stripe::{Cancel, Checkout, Session, Subscription};
use serde::{Deserialize, Serialize};

use super::{Problem, Shared};
use crate::{
    decide::{Asked, subject},
    draw::draw,
    review::Reviewer,
    trace,
};

type Body<T> = Result<Json<T>, JsonRejection>;

/// A page of Stripe, and for whom.
#[derive(Serialize)]
pub(super) struct Page {
    account: AccountId,
    url: String,
    expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckoutRequest {
    /// None for a new customer.
    account: Option<AccountId>,
    /// Of the first member of a new account.
    email: Option<String>,
    tier: TierId,
    niche: NicheId,
    locale: Locale,
    success_url: String,
    cancel_url: String,
}

/// What is bought, wherever it is asked for.
pub(super) struct Buy<'a> {
    pub(super) tier: TierId,
    pub(super) niche: NicheId,
    pub(super) locale: Locale,
    pub(super) success_url: &'a str,
    pub(super) cancel_url: &'a str,
}

/// A page to buy a tier on.
pub(super) async fn checkout(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body<CheckoutRequest>,
) -> Result<Json<Page>, Problem> {
    let Json(asked) = body.map_err(invalid)?;
    let reviewer = &shared.reviewer;
    let key = key(&headers)?;
    let account = match asked.account {
        Some(account) => account,
        None => new_account(reviewer, asked.email.as_deref(), asked.locale, &key).await?,
    };
    let known = load(reviewer, &account).await?;
    let buy = Buy {
        tier: asked.tier,
        niche: asked.niche,
        locale: asked.locale,
        success_url: &asked.success_url,
        cancel_url: &asked.cancel_url,
    };
    let session = self::buy(reviewer, &account, &known, buy).await?;
    Ok(Json(Page { account, url: session.url, expires_at: session.expires_at }))
}

/// A checkout for an account that has no subscription. Pages that it had before sell nothing any
/// more, or it would pay twice; so a page whose answer was lost is not asked for again, but another.
pub(super) async fn buy(
    reviewer: &Reviewer,
    account: &AccountId,
    known: &Remembered,
    buy: Buy<'_>,
) -> Result<Session, Problem> {
    let customer = customer(reviewer, account, known, buy.locale).await?;
    let standing = reviewer.stripe.standing(&customer).await?;
    if subject(&standing.subscriptions).is_some_and(|one| !one.status.is_final()) {
        let message = "the account has a subscription: change its tier, or open the portal";
        return Err(Problem::Conflict(message.to_owned()));
    }
    for session in reviewer.stripe.open_checkouts(&customer).await? {
        reviewer.stripe.expire_checkout(&session).await?;
    }
    // One that is suspended comes back; a deleted one never does.
    let kept = known.tenants.iter().find(|tenant| tenant.deleted_at.is_none());
    let tenant = kept.map_or_else(|| TenantId::draw(rand::random()), |tenant| tenant.id.clone());
    let checkout = Checkout {
        account,
        customer: &customer,
        tenant: &tenant,
        tier: buy.tier,
        niche: buy.niche,
        locale: buy.locale,
        success_url: buy.success_url,
        cancel_url: buy.cancel_url,
    };
    Ok(reviewer.stripe.checkout(checkout, &trace::new()).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PortalRequest {
    account: AccountId,
    return_url: String,
}

/// The page of cards and invoices.
pub(super) async fn portal(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body<PortalRequest>,
) -> Result<Json<Page>, Problem> {
    let Json(PortalRequest { account, return_url }) = body.map_err(invalid)?;
    let known = load(&shared.reviewer, &account).await?;
    let nothing = || Problem::Conflict("the account has never bought anything".to_owned());
    let customer = known.customer.as_deref().ok_or_else(nothing)?;
    let stripe = &shared.reviewer.stripe;
    let session = stripe.portal(customer, known.locale, &return_url, &key(&headers)?).await?;
    Ok(Json(Page { account, url: session.url, expires_at: session.expires_at }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TierRequest {
    account: AccountId,
    tier: TierId,
}

/// When a change of tier holds.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Effective {
    Now,
    At(Timestamp),
}

/// A dearer tier now, a cheaper one when the period ends.
pub(super) async fn tier(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body<TierRequest>,
) -> Result<Json<Effective>, Problem> {
    let Json(TierRequest { account, tier }) = body.map_err(invalid)?;
    is_for_sale(tier)?;
    let (stripe, key) = (&shared.reviewer.stripe, key(&headers)?);
    let one = live_subscription(&shared.reviewer, &account).await?;
    let effective = if tier.get().price_cents >= one.tier.get().price_cents {
        stripe.upgrade(&one, tier, &key).await?;
        Effective::Now
    } else {
        stripe.downgrade(&one, tier, &key).await?;
        Effective::At(one.period.1)
    };
    look_again(&shared.reviewer, &account).await?;
    Ok(Json(effective))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CancelRequest {
    account: AccountId,
    when: When,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    Now,
    PeriodEnd,
    Undo,
}

/// Ends a subscription, or takes that back. To end one that has ended is no error: it may be asked
/// again by who never heard the answer.
pub(super) async fn cancel(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body<CancelRequest>,
) -> Result<Json<Effective>, Problem> {
    let Json(CancelRequest { account, when }) = body.map_err(invalid)?;
    let one = latest_subscription(&shared.reviewer, &account).await?;
    let (cancel, effective) = match when {
        When::Now => (Cancel::Now, Effective::Now),
        When::PeriodEnd => (Cancel::AtPeriodEnd, Effective::At(one.period.1)),
        When::Undo => (Cancel::Undo, Effective::Now),
    };
    if !one.status.is_final() {
        shared.reviewer.stripe.cancel(&one, cancel, &key(&headers)?).await?;
    } else if cancel != Cancel::Now {
        return Err(no_subscription());
    }
    look_again(&shared.reviewer, &account).await?;
    Ok(Json(effective))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantRequest {
    account: AccountId,
    niche: NicheId,
    locale: Locale,
}

/// The tenant that there is now.
#[derive(Serialize)]
pub(super) struct Made {
    account: AccountId,
    tenant: TenantId,
}

/// One more tenant of an account, as many as its tier allows.
pub(super) async fn tenants(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body<TenantRequest>,
) -> Result<Json<Made>, Problem> {
    let Json(TenantRequest { account, niche, locale }) = body.map_err(invalid)?;
    let tenant = make(&shared.reviewer, &account, niche, locale, &key(&headers)?).await?;
    Ok(Json(Made { account, tenant }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProvisionRequest {
    account: Option<AccountId>,
    email: Option<String>,
    tier: TierId,
    niche: NicheId,
    locale: Locale,
}

/// A tenant that nobody pays for.
pub(super) async fn provision(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body<ProvisionRequest>,
) -> Result<Json<Made>, Problem> {
    let Json(asked) = body.map_err(invalid)?;
    let (reviewer, key) = (&shared.reviewer, key(&headers)?);
    let account = match asked.account {
        Some(account) => account,
        None => new_account(reviewer, asked.email.as_deref(), asked.locale, &key).await?,
    };
    let now = reviewer.clock.now();
    accounts::set_complimentary(&reviewer.store, &account, Some(asked.tier), now).await?;
    let tenant = make(reviewer, &account, asked.niche, asked.locale, &key).await?;
    Ok(Json(Made { account, tenant }))
}

async fn make(
    reviewer: &Reviewer,
    account: &AccountId,
    niche: NicheId,
    locale: Locale,
    key: &str,
) -> Result<TenantId, Problem> {
    let asked = Asked { id: TenantId::draw(draw(&format!("{key}\n{account}"))), niche, locale };
    let review = reviewer.review(account, Some(&asked)).await?;
    // New, or made by a call whose answer was lost.
    let made = review.changes.iter().any(|change| change.tenant == asked.id);
    let no_room = || Problem::Conflict("the account's tier allows no more tenants".to_owned());
    made.then_some(asked.id).ok_or_else(no_room)
}

/// What is for sale has a number of tokens; the rest is agreed on between people.
fn is_for_sale(tier: TierId) -> Result<(), Problem> {
    let by_contract = || Problem::Invalid(format!("tier {tier} is by contract"));
    tier.get().tokens_per_month.most().map(|_| ()).ok_or_else(by_contract)
}

async fn new_account(
    reviewer: &Reviewer,
    email: Option<&str>,
    locale: Locale,
    key: &str,
) -> Result<AccountId, Problem> {
    let email = email.filter(|email| email.contains('@') && email.len() <= 254);
    let email = email.ok_or_else(|| Problem::Invalid("a new account needs an email".to_owned()))?;
    let account = AccountId::draw(draw(&format!("{key}\n{}", email.to_lowercase())));
    let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
    let member = Member { id, email: email.to_owned(), role: Role::Owner, locale };
    match accounts::create(&reviewer.store, &account, locale, &member).await {
        Ok(()) => Ok(account),
        Err(error) if error.is_transient() => Err(error.into()),
        // Made by a call whose answer was lost: by no other key there is this id for this email.
        Err(_) if load(reviewer, &account).await.is_ok() => Ok(account),
        Err(_) => Err(Problem::Conflict("somebody with this email has an account".to_owned())),
    }
}

/// The account's customer at Stripe, made where there is none. Two at once make one: Stripe is asked
/// with the account's own key.
async fn customer(
    reviewer: &Reviewer,
    account: &AccountId,
    known: &Remembered,
    locale: Locale,
) -> Result<String, Problem> {
    if let Some(customer) = &known.customer {
        return Ok(customer.clone());
    }
    let customer = reviewer.stripe.create_customer(account, None, locale).await?;
    Ok(accounts::set_customer(&reviewer.store, account, &customer).await?)
}

async fn load(reviewer: &Reviewer, account: &AccountId) -> Result<Remembered, Problem> {
    let missing = || Problem::NotFound(format!("there is no account {account}"));
    reviews::load(&reviewer.store, account, reviewer.clock.now()).await?.ok_or_else(missing)
}

async fn live_subscription(
    reviewer: &Reviewer,
    account: &AccountId,
) -> Result<Subscription, Problem> {
    let one = latest_subscription(reviewer, account).await?;
    if one.status.is_final() { Err(no_subscription()) } else { Ok(one) }
}

/// The one that lives, or else the one that ended last.
async fn latest_subscription(
    reviewer: &Reviewer,
    account: &AccountId,
) -> Result<Subscription, Problem> {
    let known = load(reviewer, account).await?;
    let customer = known.customer.ok_or_else(no_subscription)?;
    let standing = reviewer.stripe.standing(&customer).await?;
    subject(&standing.subscriptions).cloned().ok_or_else(no_subscription)
}

fn no_subscription() -> Problem {
    Problem::Conflict("the account has no subscription".to_owned())
}

/// Without waiting for the event.
async fn look_again(reviewer: &Reviewer, account: &AccountId) -> Result<(), Problem> {
    reviews::due(&reviewer.store, account, reviewer.clock.now()).await?;
    reviewer.due.notify_one();
    Ok(())
}

/// What makes a request one, however often it is sent: the caller's `idempotency-key`, or a new one.
fn key(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(sent) = headers.get("idempotency-key") else {
        return Ok(trace::new());
    };
    let sent = sent.to_str().ok().filter(|key| (1..=128).contains(&key.len()));
    sent.map(str::to_owned)
        .ok_or_else(|| Problem::Invalid("idempotency-key: 1 to 128 characters".to_owned()))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn invalid(rejection: JsonRejection) -> Problem {
    Problem::Invalid(rejection.body_text())
}
