//! What Stripe would say of the stand-in's customer, read off its objects. That the API says the same
//! is tested over HTTP.

use jiff::Timestamp;
use oc_domain::TierId;
use oc_sandbox::stripe::{
    Charge as Charged, DisputeState, Engine, Invoice as Bill, InvoiceState, Price, Reason,
    Schedule, ScheduleState, Subscription as Row,
};
use oc_stripe::{Charge, Dispute, Invoice, InvoiceStatus, Standing, Subscription};

pub(crate) fn standing(engine: &Engine) -> Standing {
    Standing {
        subscriptions: engine.subscriptions().rev().map(|row| subscription(engine, row)).collect(),
        invoices: engine.invoices().rev().filter_map(invoice).collect(),
        charges: engine.charges().rev().filter_map(|row| charge(engine, row)).collect(),
    }
}

pub(crate) fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn tier(price: &Price) -> TierId {
    price.details.metadata["tier"].parse().unwrap()
}

fn subscription(engine: &Engine, row: &Row) -> Subscription {
    let schedule = row.schedule.as_ref().and_then(|id| engine.schedule(id));
    let now = tier(&row.item.price);
    let next = schedule.and_then(|schedule| next(schedule, row.period.end));
    let status: &str = row.status.into();
    Subscription {
        id: row.id.to_string(),
        status: status.parse().unwrap(),
        created: time(row.created),
        period: (time(row.period.start), time(row.period.end)),
        tier: now,
        tokens: None,
        next_tier: next.filter(|next| *next != now),
        trial_end: row.trial.as_ref().map(|trial| time(trial.end)),
        cancel_at: row.cancel_at.or(row.cancel_at_period_end.then_some(row.period.end)).map(time),
        ended_at: row.ended_at.map(time),
        tenant: row.metadata.get("openclaw_tenant_id").and_then(|id| id.parse().ok()),
        account: None,
        niche: row.metadata.get("niche").cloned(),
        locale: row.metadata.get("locale").cloned(),
        item: row.item.id.to_string(),
        schedule: row.schedule.as_ref().map(ToString::to_string),
    }
}

fn next(schedule: &Schedule, end: i64) -> Option<TierId> {
    let active = schedule.state == ScheduleState::Active;
    let phase = schedule.phases.iter().find(|phase| phase.start >= end);
    phase.filter(|_| active).map(|phase| tier(&phase.price))
}

fn invoice(row: &Bill) -> Option<Invoice> {
    let status = match row.state {
        InvoiceState::Draft => return None,
        InvoiceState::Open => InvoiceStatus::Open,
        InvoiceState::Paid => InvoiceStatus::Paid,
        InvoiceState::Void => InvoiceStatus::Void,
    };
    Some(Invoice {
        id: row.id.to_string(),
        subscription: row.subscription.to_string(),
        status,
        created: time(row.created),
        paid_at: row.paid_at.map(time),
        attempts: row.attempts,
        due_cents: row.due,
        paid_cents: row.paid,
        for_period: row.reason != Reason::SubscriptionUpdate,
    })
}

fn charge(engine: &Engine, row: &Charged) -> Option<Charge> {
    if row.refunded == 0 && !row.disputed {
        return None;
    }
    let refunds = engine.refunds().filter(|refund| refund.charge == row.id);
    let dispute = engine.disputes().rfind(|dispute| dispute.charge == row.id);
    Some(Charge {
        id: row.id.to_string(),
        created: time(row.created),
        invoice: Some(row.invoice.to_string()),
        cents: row.amount,
        refunded_cents: row.refunded,
        refunded_at: refunds.map(|refund| time(refund.created)).max(),
        dispute: dispute.map(|dispute| {
            let stands = match dispute.state {
                DisputeState::NeedsResponse => Dispute::Open,
                DisputeState::Won => Dispute::Won,
                DisputeState::Lost => Dispute::Lost,
            };
            (stands, time(dispute.created))
        }),
    })
}
