//! Which tenants there are, and what their files should say.

use oc_domain::{
    Locale, ModelId, NicheId, TenantId, TierId,
    tenant::{Channels, State, Telegram, TenantFile, TenantSpec},
};
use oc_store::{
    reviews::NewTenant,
    spec_changes::{Edits, NewChange},
};
use oc_stripe::{Invoice, InvoiceStatus, Subscription};
use serde_json::{Value, json};

use super::{Asked, Facts, Problem, Service};
use crate::draw::draw;

/// What becomes of an account's tenants.
pub(super) struct Tenants {
    /// How many there may be; nothing is any number.
    pub(super) agents: Option<u32>,
    pub(super) new: Vec<NewTenant>,
    pub(super) deleted: Vec<TenantId>,
    pub(super) changes: Vec<NewChange>,
}

pub(super) fn tenants(
    facts: Facts<'_>,
    subject: Option<&Subscription>,
    service: Service,
    tier: Option<TierId>,
) -> Result<Tenants, Problem> {
    let agents = match (service.state(), tier) {
        (Some(State::Active | State::Suspended), Some(tier)) => {
            tier.get().agents.most().map(|most| u32::try_from(most).unwrap_or(u32::MAX))
        }
        _ => facts.remembered.agents,
    };
    let mut tenants = Tenants { agents, new: Vec::new(), deleted: Vec::new(), changes: Vec::new() };
    let (Some(state), Some(tier)) = (service.state(), tier) else { return Ok(tenants) };
    let bought = subject.map(|one| bought(facts, one));
    let living = facts.remembered.tenants.iter().filter(|known| known.deleted_at.is_none());
    let mut living: Vec<&TenantId> = living.map(|known| &known.id).collect();
    // What was bought comes first, then the oldest: where a tier allows fewer, the rest is suspended.
    living.sort_by_key(|id| Some(*id) != bought.as_ref());
    let most = agents.map_or(usize::MAX, |agents| agents as usize);
    for (place, id) in living.iter().enumerate() {
        let state = if place >= most && state == State::Active { State::Suspended } else { state };
        if state == State::Deleted {
            tenants.deleted.push((*id).clone());
        }
        tenants.changes.push(change(facts, id, tier, state, None));
    }
    if state == State::Deleted {
        return Ok(tenants);
    }
    let mut wanted: Vec<Asked> = Vec::new();
    // Also where it is suspended by now: whoever hears of a purchase only after it was taken back
    // does as one who heard of it in time.
    if let (Some(id), Some(one)) = (bought, subject)
        && living.is_empty()
        && service != Service::Complimentary
        && was_served(facts, one)
    {
        let niche: Option<NicheId> = one.niche.as_deref().and_then(|niche| niche.parse().ok());
        let niche = niche.ok_or_else(|| Problem::NoNiche(one.id.clone()))?;
        let locale = one.locale.as_deref().and_then(|locale| locale.parse().ok());
        wanted.push(Asked { id, niche, locale: locale.unwrap_or(facts.remembered.locale) });
    }
    wanted.extend(facts.asked.filter(|_| state == State::Active).cloned());
    for asked in wanted {
        if living.len() + tenants.new.len() < most && !living.contains(&&asked.id) {
            tenants.changes.push(change(facts, &asked.id, tier, state, Some(&asked)));
            tenants.new.push(new(asked, tier));
        }
    }
    Ok(tenants)
}

/// Whether there was ever something to be served for: a payment, or a trial.
fn was_served(facts: Facts<'_>, one: &Subscription) -> bool {
    let paid =
        |invoice: &Invoice| invoice.subscription == one.id && invoice.status == InvoiceStatus::Paid;
    one.trial_end.is_some() || facts.standing.invoices.iter().any(paid)
}

/// The id of the tenant that a subscription was bought for. A deleted one never comes back, and one
/// that was made by hand may name none: then it is drawn from the subscription's id, so that it is
/// the same however often it is decided.
fn bought(facts: Facts<'_>, one: &Subscription) -> TenantId {
    let is_deleted = |id: &TenantId| {
        let known = facts.remembered.tenants.iter().find(|known| known.id == *id);
        known.is_some_and(|known| known.deleted_at.is_some())
    };
    let drawn = (0_u32..).map(|number| TenantId::draw(draw(&format!("{} {number}", one.id))));
    let mut ids = one.tenant.clone().into_iter().chain(drawn);
    // There are more ids than deleted tenants.
    ids.find(|id| !is_deleted(id)).unwrap_or_else(|| TenantId::draw([0; 5]))
}

fn new(asked: Asked, tier: TierId) -> NewTenant {
    let Asked { id, niche, locale } = asked;
    let thinking = tier.get().thinking;
    NewTenant { id, niche, tier, locale, model: ModelId::default(), thinking }
}

/// Tier and state are ours, whatever else stands in the file.
fn change(
    facts: Facts<'_>,
    id: &TenantId,
    tier: TierId,
    state: State,
    asked: Option<&Asked>,
) -> NewChange {
    let edits: Edits = [
        ("/spec/tier".to_owned(), Some(json!(tier))),
        ("/spec/state".to_owned(), Some(json!(state))),
    ]
    .into();
    let known = facts.remembered.tenants.iter().find(|known| known.id == *id);
    let niche = asked.map(|asked| asked.niche).or(known.and_then(|known| known.niche));
    let locale = asked.map_or(facts.remembered.locale, |asked| asked.locale);
    // Also for one that is known: its file may have been lost with a push that never came through.
    let base = niche.filter(|_| state != State::Deleted);
    let base = base.map(|niche| file(id, tier, niche, locale));
    NewChange {
        tenant: id.clone(),
        edits,
        base,
        reason: format!("tier {tier}, state {state}"),
        event: facts.remembered.events.last().map(|event| event.id.clone()),
        trace: String::new(),
    }
}

fn file(id: &TenantId, tier: TierId, niche: NicheId, locale: Locale) -> Value {
    let spec = TenantSpec {
        tier,
        niche,
        locale,
        model: None,
        thinking: None,
        channels: Channels { telegram: Telegram { enabled: true } },
        connections: Vec::new(),
        state: State::Active,
        hold: None,
    };
    let file = TenantFile::new(id.clone(), spec);
    serde_json::to_value(file).unwrap_or_default()
}
