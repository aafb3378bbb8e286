//! What is asked of Stripe: customers, checkouts, changes.

use jiff::Timestamp;
use oc_domain::{AccountId, Locale, NicheId, TenantId, TierId};

use crate::{
    Error, Stripe, Subscription,
    standing::{ACCOUNT, TENANT, segment, time},
    wire,
};

/// Something to buy.
#[derive(Clone, Copy, Debug)]
pub struct Checkout<'a> {
    /// Who buys.
    pub account: &'a AccountId,
    /// Its customer at Stripe.
    pub customer: &'a str,
    /// The tenant that there will be.
    pub tenant: &'a TenantId,
    /// What is bought.
    pub tier: TierId,
    /// What the agent will know.
    pub niche: NicheId,
    /// The language of the page, and of the agent.
    pub locale: Locale,
    /// Where the customer comes back to, paid.
    pub success_url: &'a str,
    /// Where the customer comes back to, not paid.
    pub cancel_url: &'a str,
}

/// A page of Stripe for one customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Stripe's id.
    pub id: String,
    /// The page.
    pub url: String,
    /// When it ends, where Stripe says so.
    pub expires_at: Option<Timestamp>,
}

/// When a subscription ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// At once; nothing is paid back.
    Now,
    /// When what is paid for is over.
    AtPeriodEnd,
    /// Not at all: a cancellation at the end of the period is taken back.
    Undo,
}

impl Stripe {
    /// The customer for an account: the same one, however often it is asked for within a day.
    pub async fn create_customer(
        &self,
        account: &AccountId,
        email: Option<&str>,
        locale: Locale,
    ) -> Result<String, Error> {
        let mut parameters = vec![
            ("metadata[openclaw_customer_id]", account.to_string()),
            ("preferred_locales[0]", locale.to_string()),
        ];
        if let Some(email) = email {
            parameters.push(("email", email.to_owned()));
        }
        let key = format!("customer-{account}");
        let customer: wire::Customer = self.post("/customers", &parameters, &key).await?;
        Ok(customer.id)
    }

    /// A page on which the tier is bought for a new tenant. `key` makes it one page, however often it
    /// is asked for.
    pub async fn checkout(&self, checkout: Checkout<'_>, key: &str) -> Result<Session, Error> {
        let price = self.price_of(checkout.tier).await?;
        let facts = [
            (ACCOUNT, checkout.account.to_string()),
            (TENANT, checkout.tenant.to_string()),
            ("niche", checkout.niche.to_string()),
            ("locale", checkout.locale.to_string()),
        ];
        // On the session for whoever looks at it, on the subscription for us: it outlives the session.
        let named: Vec<(String, String)> = facts
            .into_iter()
            .flat_map(|(key, value)| {
                let subscription = format!("subscription_data[metadata][{key}]");
                [(format!("metadata[{key}]"), value.clone()), (subscription, value)]
            })
            .collect();
        let mut parameters = vec![
            ("mode", "subscription".to_owned()),
            ("customer", checkout.customer.to_owned()),
            ("client_reference_id", checkout.account.to_string()),
            ("line_items[0][price]", price),
            ("line_items[0][quantity]", "1".to_owned()),
            ("payment_method_types[0]", "card".to_owned()),
            ("locale", checkout.locale.to_string()),
            ("success_url", checkout.success_url.to_owned()),
            ("cancel_url", checkout.cancel_url.to_owned()),
        ];
        parameters.extend(named.iter().map(|(name, value)| (name.as_str(), value.clone())));
        session(self.post("/checkout/sessions", &parameters, key).await?)
    }

    /// The pages on which the customer can still buy.
    pub async fn open_checkouts(&self, customer: &str) -> Result<Vec<String>, Error> {
        let of = vec![("customer", customer.to_owned()), ("status", "open".to_owned())];
        let open: Vec<wire::Link> = self.list("/checkout/sessions", &of).await?;
        Ok(open.into_iter().map(|session| session.id).collect())
    }

    /// Ends a page on which nothing was bought, so that nothing can be bought there any more.
    pub async fn expire_checkout(&self, id: &str) -> Result<(), Error> {
        let path = format!("/checkout/sessions/{}/expire", segment(id)?);
        let expired: Result<wire::Link, _> =
            self.post(&path, &Vec::new(), &format!("expire-{id}")).await;
        match expired {
            // Complete or expired already.
            Err(Error::Refused { status: 400, .. } | Error::Missing(_)) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The page on which a customer changes cards, sees invoices, and cancels.
    pub async fn portal(
        &self,
        customer: &str,
        locale: Locale,
        return_url: &str,
        key: &str,
    ) -> Result<Session, Error> {
        let parameters = vec![
            ("customer", customer.to_owned()),
            ("locale", locale.to_string()),
            ("return_url", return_url.to_owned()),
        ];
        session(self.post("/billing_portal/sessions", &parameters, key).await?)
    }

    /// Changes the tier now, and takes what it costs more for the rest of the period at once. Nothing
    /// changes where that payment is declined.
    pub async fn upgrade(
        &self,
        subscription: &Subscription,
        tier: TierId,
        key: &str,
    ) -> Result<(), Error> {
        self.release(subscription, key).await?;
        let parameters = vec![
            ("items[0][id]", subscription.item.clone()),
            ("items[0][price]", self.price_of(tier).await?),
            ("proration_behavior", "always_invoice".to_owned()),
            ("payment_behavior", "error_if_incomplete".to_owned()),
        ];
        let path = format!("/subscriptions/{}", segment(&subscription.id)?);
        self.post::<wire::Subscription>(&path, &parameters, key).await.map(drop)
    }

    /// Changes the tier when the period ends.
    pub async fn downgrade(
        &self,
        subscription: &Subscription,
        tier: TierId,
        key: &str,
    ) -> Result<(), Error> {
        let next = self.price_of(tier).await?;
        let current = self.price_of(subscription.tier).await?;
        let schedule: wire::Schedule = if let Some(id) = &subscription.schedule {
            self.get(&format!("/subscription_schedules/{}", segment(id)?), &Vec::new()).await?
        } else {
            let from = vec![("from_subscription", subscription.id.clone())];
            self.post("/subscription_schedules", &from, &format!("{key}-schedule")).await?
        };
        let (start, end) = subscription.period;
        let parameters = vec![
            ("end_behavior", "release".to_owned()),
            ("proration_behavior", "none".to_owned()),
            ("phases[0][items][0][price]", current),
            ("phases[0][items][0][quantity]", "1".to_owned()),
            ("phases[0][start_date]", start.as_second().to_string()),
            ("phases[0][end_date]", end.as_second().to_string()),
            ("phases[1][items][0][price]", next),
            ("phases[1][items][0][quantity]", "1".to_owned()),
            ("phases[1][duration][interval]", "month".to_owned()),
            ("phases[1][duration][interval_count]", "1".to_owned()),
        ];
        let path = format!("/subscription_schedules/{}", segment(&schedule.id)?);
        self.post::<wire::Schedule>(&path, &parameters, key).await.map(drop)
    }

    /// Cancels, or takes that back.
    pub async fn cancel(
        &self,
        subscription: &Subscription,
        when: Cancel,
        key: &str,
    ) -> Result<(), Error> {
        self.release(subscription, key).await?;
        let path = format!("/subscriptions/{}", segment(&subscription.id)?);
        let cancelled: Result<wire::Subscription, _> = match when {
            Cancel::Now => self.delete(&path, key).await,
            Cancel::AtPeriodEnd | Cancel::Undo => {
                let at_end = (when == Cancel::AtPeriodEnd).to_string();
                self.post(&path, &vec![("cancel_at_period_end", at_end)], key).await
            }
        };
        cancelled.map(drop)
    }

    /// Takes back a change of tier that was to come: Stripe changes a subscription with a schedule by
    /// its schedule alone.
    async fn release(&self, subscription: &Subscription, key: &str) -> Result<(), Error> {
        let Some(schedule) = &subscription.schedule else { return Ok(()) };
        let path = format!("/subscription_schedules/{}/release", segment(schedule)?);
        let released: Result<wire::Schedule, _> =
            self.post(&path, &Vec::new(), &format!("{key}-release")).await;
        match released {
            // Released before, by a call whose answer was lost.
            Err(Error::Refused { status: 400, .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn session(link: wire::Link) -> Result<Session, Error> {
    let url = link.url.ok_or_else(|| Error::Shape(format!("session {}: no url", link.id)))?;
    Ok(Session { id: link.id, url, expires_at: link.expires_at.map(time).transpose()? })
}
