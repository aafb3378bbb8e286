//! Reading how an account stands.

use std::str::FromStr;

use futures::future::{try_join_all, try_join3};
use jiff::Timestamp;
use oc_domain::{AccountId, TierId};

use crate::{
    Charge, Dispute, Error, Invoice, InvoiceStatus, Standing, Stripe, Subscription,
    wire::{self, Metadata},
};

/// The account's id in the metadata of customers, sessions and subscriptions.
pub(crate) const ACCOUNT: &str = "openclaw_customer_id";
/// The tenant's id, drawn when the session is made.
pub(crate) const TENANT: &str = "openclaw_tenant_id";
/// In the metadata of products and prices.
pub(crate) const TIER: &str = "tier";
/// In the metadata of products and prices: tokens a month, or `contract`.
pub(crate) const TOKENS: &str = "tokens_limit";

impl Stripe {
    /// The account that a customer of Stripe is, by its metadata; nothing if it is none of ours, or
    /// was deleted.
    pub async fn account_of(&self, customer: &str) -> Result<Option<AccountId>, Error> {
        let Ok(id) = segment(customer) else { return Ok(None) };
        let path = format!("/customers/{id}");
        let customer: wire::Customer = match self.get(&path, &Vec::new()).await {
            Err(Error::Missing(_)) => return Ok(None),
            customer => customer?,
        };
        let deleted = customer.deleted == Some(true);
        Ok((!deleted).then(|| word(customer.metadata.as_ref(), ACCOUNT)).flatten())
    }

    /// The customer that an object of an event belongs to, for events that do not say so.
    pub async fn customer_of_charge(&self, charge: &str) -> Result<Option<String>, Error> {
        #[derive(miniserde::Deserialize)]
        struct Owner {
            customer: Option<String>,
        }
        let Ok(id) = segment(charge) else { return Ok(None) };
        let path = format!("/charges/{id}");
        match self.get::<Owner>(&path, &Vec::new()).await {
            Err(Error::Missing(_)) => Ok(None),
            owner => Ok(owner?.customer),
        }
    }

    /// All that billing has to know of a customer, read now.
    pub async fn standing(&self, customer: &str) -> Result<Standing, Error> {
        let of = |customer: &str| vec![("customer", customer.to_owned())];
        let mut every = of(customer);
        every.push(("status", "all".to_owned()));
        let of = of(customer);
        let (subscriptions, invoices, charges) = try_join3(
            self.list::<wire::Subscription>("/subscriptions", &every),
            self.list::<wire::Invoice>("/invoices", &of),
            self.list::<wire::Charge>("/charges", &of),
        )
        .await?;
        let touched =
            |charge: &wire::Charge| charge.amount_refunded > 0 || charge.disputed == Some(true);
        let charges = charges.into_iter().filter(touched).map(|charge| self.charge(charge));
        let subscriptions = subscriptions.into_iter().map(|one| self.subscription(one));
        let (subscriptions, charges) =
            futures::future::try_join(try_join_all(subscriptions), try_join_all(charges)).await?;
        let invoices = invoices.into_iter().map(invoice).collect::<Result<Vec<_>, _>>()?;
        Ok(Standing { subscriptions, invoices: invoices.into_iter().flatten().collect(), charges })
    }

    async fn subscription(&self, one: wire::Subscription) -> Result<Subscription, Error> {
        let wrong = |what: &str| Error::Shape(format!("subscription {}: {what}", one.id));
        let item = one.items.data.first().ok_or_else(|| wrong("no item"))?;
        let start = item.current_period_start.or(one.current_period_start);
        let end = item.current_period_end.or(one.current_period_end);
        let (Some(start), Some(end)) = (start, end) else { return Err(wrong("no period")) };
        let tier = word(item.price.metadata.as_ref(), TIER)
            .ok_or_else(|| wrong("the price's metadata names no tier"))?;
        let schedule = one.schedule.as_deref();
        let next_tier = match schedule {
            Some(schedule) => self.next_tier(schedule, end).await?.filter(|next| *next != tier),
            None => None,
        };
        let metadata = one.metadata.as_ref();
        let cancel_at = match (one.cancel_at, one.cancel_at_period_end) {
            (Some(at), _) => Some(time(at)?),
            (None, Some(true)) => Some(time(end)?),
            _ => None,
        };
        Ok(Subscription {
            status: one.status.parse().map_err(|_| wrong(&format!("status {:?}", one.status)))?,
            created: time(one.created)?,
            period: (time(start)?, time(end)?),
            tier,
            tokens: word(item.price.metadata.as_ref(), TOKENS),
            next_tier,
            trial_end: one.trial_end.map(time).transpose()?,
            cancel_at,
            ended_at: one.ended_at.map(time).transpose()?,
            tenant: word(metadata, TENANT),
            account: word(metadata, ACCOUNT),
            niche: word(metadata, "niche"),
            locale: word(metadata, "locale"),
            item: item.id.clone(),
            schedule: one.schedule.clone(),
            id: one.id,
        })
    }

    /// What a schedule changes to after the period that ends then.
    async fn next_tier(&self, schedule: &str, end: i64) -> Result<Option<TierId>, Error> {
        let path = format!("/subscription_schedules/{}", segment(schedule)?);
        let schedule: wire::Schedule = self.get(&path, &Vec::new()).await?;
        if schedule.status.as_deref() != Some("active") {
            return Ok(None);
        }
        let phases = schedule.phases.unwrap_or_default();
        let next = phases.iter().find(|phase| phase.start_date >= end);
        let Some(item) = next.and_then(|phase| phase.items.first()) else { return Ok(None) };
        let path = format!("/prices/{}", segment(&item.price)?);
        let price: wire::Price = self.get(&path, &Vec::new()).await?;
        Ok(word(price.metadata.as_ref(), TIER))
    }

    async fn charge(&self, charge: wire::Charge) -> Result<Charge, Error> {
        let invoice = match &charge.payment_intent {
            Some(intent) => {
                let of = vec![
                    ("payment[type]", "payment_intent".to_owned()),
                    ("payment[payment_intent]", intent.clone()),
                ];
                let payments: Vec<wire::InvoicePayment> =
                    self.list("/invoice_payments", &of).await?;
                payments.into_iter().find_map(|payment| payment.invoice)
            }
            None => None,
        };
        let dispute = if charge.disputed == Some(true) {
            let of = vec![("charge", charge.id.clone())];
            let disputes: Vec<wire::Dispute> = self.list("/disputes", &of).await?;
            let newest = disputes.first().map(|dispute| {
                let stands = match dispute.status.as_str() {
                    // An inquiry that was closed took no money.
                    "won" | "warning_closed" => Dispute::Won,
                    "lost" => Dispute::Lost,
                    _ => Dispute::Open,
                };
                Ok::<_, Error>((stands, time(dispute.created)?))
            });
            newest.transpose()?
        } else {
            None
        };
        let refunded_at = if charge.amount_refunded > 0 {
            let of = vec![("charge", charge.id.clone())];
            let refunds: Vec<wire::Refund> = self.list("/refunds", &of).await?;
            let done = |refund: &&wire::Refund| {
                !matches!(refund.status.as_deref(), Some("failed" | "canceled"))
            };
            let last = refunds.iter().filter(done).map(|refund| refund.created).max();
            Some(time(last.unwrap_or(charge.created))?)
        } else {
            None
        };
        Ok(Charge {
            created: time(charge.created)?,
            invoice,
            cents: charge.amount,
            refunded_cents: charge.amount_refunded,
            refunded_at,
            dispute,
            id: charge.id,
        })
    }
}

/// An invoice; nothing if it is a draft, or of no subscription.
fn invoice(one: wire::Invoice) -> Result<Option<Invoice>, Error> {
    let under_parent = one.parent.and_then(|parent| parent.subscription_details?.subscription);
    let (Some(id), Some(subscription)) = (one.id, under_parent.or(one.subscription)) else {
        return Ok(None);
    };
    let status = one.status.as_deref().unwrap_or_default();
    if status == "draft" {
        return Ok(None);
    }
    let status = InvoiceStatus::from_str(status)
        .map_err(|_| Error::Shape(format!("invoice {id}: status {status:?}")))?;
    let paid_at = one.status_transitions.and_then(|transitions| transitions.paid_at);
    let reason = one.billing_reason.unwrap_or_default();
    Ok(Some(Invoice {
        id,
        subscription,
        status,
        created: time(one.created)?,
        paid_at: paid_at.map(time).transpose()?,
        attempts: one.attempt_count.unwrap_or_default(),
        due_cents: one.amount_due.unwrap_or_default(),
        paid_cents: one.amount_paid.unwrap_or_default(),
        for_period: reason == "subscription_create" || reason == "subscription_cycle",
    }))
}

/// A word in metadata, where it is there and is one.
pub(crate) fn word<T: FromStr>(metadata: Option<&Metadata>, key: &str) -> Option<T> {
    metadata?.get(key)?.parse().ok()
}

pub(crate) fn time(seconds: i64) -> Result<Timestamp, Error> {
    Timestamp::from_second(seconds).map_err(|_| Error::Shape(format!("the time {seconds}")))
}

/// An id as a part of a path: what comes from outside must not be another path.
pub(crate) fn segment(id: &str) -> Result<&str, Error> {
    let fine =
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fine { Ok(id) } else { Err(Error::Missing(format!("{id:?}"))) }
}
