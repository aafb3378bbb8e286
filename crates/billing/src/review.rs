//! The worker: every account that is due is read, decided and written down.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use jiff::SignedDuration;
use oc_domain::AccountId;
use oc_service::{Clock, Lifecycle, chain};
use oc_store::{
    Store, accounts, events,
    reviews::{self, Claimed, Outcome, Review},
};
use oc_streams::Bulletin;
use oc_stripe::{Standing, Stripe};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{
    decide::{Asked, Facts, Policy, Problem, decide},
    metrics::Metrics,
    trace,
};

/// Accounts that are reviewed at once.
const AT_ONCE: usize = 16;
/// How long a review may take before somebody else tries: longer than Stripe's calls may take.
const LEASE: SignedDuration = SignedDuration::from_secs(45);
/// Between two looks for what is due, if nobody says that there is something.
const POLL: Duration = Duration::from_millis(200);
/// After Postgres was away.
const PAUSE: Duration = Duration::from_secs(1);
/// How often an account that changes under the hands is tried.
const ROUNDS: u32 = 10;

/// What reviews are made with.
#[derive(Clone)]
pub(crate) struct Reviewer {
    pub(crate) store: Store,
    pub(crate) stripe: Stripe,
    pub(crate) bulletin: Bulletin,
    pub(crate) clock: Clock,
    pub(crate) policy: Policy,
    pub(crate) metrics: Arc<Metrics>,
    /// Somebody has made an account due.
    pub(crate) due: Arc<Notify>,
    /// There is something for the committer.
    pub(crate) changed: Arc<Notify>,
}

/// Why an account was not reviewed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("Postgres")]
    Store(#[from] oc_store::Error),
    #[error("Stripe")]
    Stripe(#[from] oc_stripe::Error),
    #[error(transparent)]
    Problem(#[from] Problem),
    #[error("the account changed under {ROUNDS} reviews in a row")]
    Restless,
}

impl Failure {
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Stripe(error) => error.is_transient(),
            Self::Problem(_) => false,
            Self::Restless => true,
        }
    }
}

impl Reviewer {
    /// Runs until the drain.
    pub(crate) async fn run(self, lifecycle: Lifecycle) -> anyhow::Result<()> {
        let draining = lifecycle.draining();
        while !draining.is_cancelled() {
            match self.round().await {
                Ok(0) => {
                    let _ = draining.run_until_cancelled(timeout(POLL, self.due.notified())).await;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "reviews wait for Postgres");
                    let _ = draining.run_until_cancelled(sleep(PAUSE)).await;
                }
            }
        }
        Ok(())
    }

    /// Looks at what is due; says how much it was.
    async fn round(&self) -> Result<usize, oc_store::Error> {
        let now = self.clock.now();
        let strangers = events::unattributed(&self.store, now, 100).await?;
        let strange = strangers.len();
        stream::iter(strangers)
            .for_each_concurrent(AT_ONCE, |event| async move {
                if let Err(error) = self.attribute(&event).await {
                    tracing::warn!(event = event.id, error = %chain(&error), "whose is it?");
                }
            })
            .await;
        let limit = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
        let claimed = reviews::claim_due(&self.store, now, now + LEASE, limit).await?;
        let count = claimed.len();
        stream::iter(claimed).for_each_concurrent(AT_ONCE, |one| self.attend(one)).await;
        Ok(count + strange)
    }

    /// Finds out whose an event is.
    async fn attribute(&self, event: &events::Event) -> Result<(), Failure> {
        let now = self.clock.now();
        match self.owner(event).await {
            Ok(Some(account)) => {
                events::attribute(&self.store, &event.id, &account, now).await?;
            }
            Ok(None) => {
                self.metrics.quarantined.inc();
                let reason = "no account of ours is concerned";
                events::quarantine(&self.store, &event.id, reason).await?;
            }
            Err(Failure::Stripe(error)) if error.is_transient() => {
                let again = now + backoff(event.attempts);
                events::postpone(&self.store, &event.id, again, &error.to_string()).await?;
            }
            Err(Failure::Stripe(error)) => {
                self.metrics.quarantined.inc();
                events::quarantine(&self.store, &event.id, &error.to_string()).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn owner(&self, event: &events::Event) -> Result<Option<AccountId>, Failure> {
        let customer = match (&event.customer, &event.object) {
            (Some(customer), _) => Some(customer.clone()),
            // Disputes name their charge only.
            (None, Some(charge)) if event.kind.starts_with("charge.") => {
                self.stripe.customer_of_charge(charge).await?
            }
            _ => None,
        };
        let Some(customer) = customer else { return Ok(None) };
        if let Some(account) = accounts::find_by_customer(&self.store, &customer).await? {
            return Ok(Some(account));
        }
        // Made, and not written down: a process was killed in between.
        let Some(account) = self.stripe.account_of(&customer).await? else { return Ok(None) };
        match accounts::set_customer(&self.store, &account, &customer).await {
            Ok(_) => Ok(Some(account)),
            Err(error) if error.is_transient() => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// Reviews an account that was claimed, and sees to it that it is tried again if need be.
    async fn attend(&self, one: Claimed) {
        let account = &one.account;
        let Err(failure) = self.review(account, None).await else { return };
        let transient = failure.is_transient();
        let text = chain(&failure).to_string();
        if transient {
            tracing::warn!(%account, attempts = one.attempts, error = text, "review again later");
        } else {
            tracing::error!(%account, error = text, "an account needs people");
        }
        self.metrics.reviewed(if transient { "again" } else { "failed" });
        if let Err(error) = self.give_up(&one, transient, &text).await {
            // Its lease passes, and it is due again.
            tracing::warn!(%account, error = %chain(&error), "not even that was written down");
        }
    }

    async fn give_up(
        &self,
        one: &Claimed,
        transient: bool,
        text: &str,
    ) -> Result<(), oc_store::Error> {
        let now = self.clock.now();
        let pause = if transient { backoff(one.attempts) } else { SignedDuration::from_hours(1) };
        // Before the events are looked at: one that comes after this makes the account due again,
        // and one that came before is set aside with the others.
        reviews::failed(&self.store, &one.account, now + pause, text).await?;
        if !transient
            && let Some(remembered) = reviews::load(&self.store, &one.account, now).await?
        {
            for event in remembered.events {
                self.metrics.quarantined.inc();
                events::quarantine(&self.store, &event.id, text).await?;
            }
        }
        Ok(())
    }

    /// Reads, decides, writes: until what was read is what was decided on.
    pub(crate) async fn review(
        &self,
        account: &AccountId,
        asked: Option<&Asked>,
    ) -> Result<Review, Failure> {
        let began = self.clock.now();
        for _ in 0..ROUNDS {
            let Some(remembered) = reviews::load(&self.store, account, self.clock.now()).await?
            else {
                return Err(
                    oc_store::Error::Unknown { what: "account", id: account.to_string() }.into()
                );
            };
            // After the account was read: what is decided on is newer than what was decided before.
            let standing = match &remembered.customer {
                Some(customer) => self.stripe.standing(customer).await?,
                None => Standing::default(),
            };
            let now = self.clock.now();
            let facts = Facts {
                account,
                remembered: &remembered,
                standing: &standing,
                asked,
                now,
                policy: &self.policy,
            };
            let last = remembered.events.last();
            let trace = last.map_or_else(trace::new, |event| event.trace.clone());
            let review = traced(decide(facts)?, &trace);
            match reviews::commit(&self.store, &review).await? {
                Outcome::Committed { changes, periods } => {
                    self.tell(account, changes, periods).await;
                    self.metrics.reviewed("done");
                    self.metrics.review_time(now.duration_since(began));
                    return Ok(review);
                }
                Outcome::Moved => {}
            }
        }
        Err(Failure::Restless)
    }

    /// Tells those who would find out by themselves.
    async fn tell(&self, account: &AccountId, changes: u64, periods: bool) {
        if changes > 0 {
            self.changed.notify_one();
        }
        if periods && let Err(error) = self.bulletin.periods_changed(account).await {
            tracing::debug!(%account, error = %chain(&error), "proxies find out within a minute");
        }
    }
}

/// All that a review does belongs to its trace.
fn traced(mut review: Review, trace: &str) -> Review {
    trace.clone_into(&mut review.trace);
    for change in &mut review.changes {
        trace.clone_into(&mut change.trace);
    }
    for entry in &mut review.audit {
        entry.trace = Some(trace.to_owned());
    }
    review
}

/// From a second to five minutes, doubling, with a quarter of jitter.
fn backoff(attempts: u32) -> SignedDuration {
    let base = SignedDuration::from_secs(1) * 2_i32.pow(attempts.min(8));
    let jitter = base.as_millis() / 4;
    let jitter = rand::random_range(0..=i64::try_from(jitter).unwrap_or_default());
    base.min(SignedDuration::from_mins(5)) + SignedDuration::from_millis(jitter)
}
