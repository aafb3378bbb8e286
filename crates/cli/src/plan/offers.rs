//! The next server to buy, and what it brings.

use oc_domain::{
    TierId,
    inventory::{Arch, Pool, server_type},
};
use strum::VariantArray;

use super::{
    outlook::Offer,
    pack::{Packing, Room},
    planner::Planner,
    subject::{Machine, Subject},
};

/// Offers for the shared pool, measured by starters, and for dedicated tenants that wait.
pub(super) fn offers(planner: &Planner, subject: &Subject, packing: &Packing) -> Vec<Offer> {
    let dedicated = TierId::VARIANTS.iter().find(|tier| {
        planner.demand.tier(**tier).pool == Pool::Dedicated && packing.waiting.contains_key(tier)
    });
    [Some(&TierId::Starter), dedicated]
        .into_iter()
        .flatten()
        .flat_map(|tier| for_tier(*tier, planner, subject, packing))
        .collect()
}

/// The cheapest per tenant of `tier`, up to the first that can be ordered.
fn for_tier(tier: TierId, planner: &Planner, subject: &Subject, packing: &Packing) -> Vec<Offer> {
    let pool = planner.demand.tier(tier).pool;
    let known = architectures(pool, subject);
    let mut offers: Vec<Offer> = planner
        .prices
        .types
        .keys()
        .filter(|name| server_type(name).is_some_and(|server| known.contains(&server.arch)))
        .filter_map(|name| empty(name, tier, planner, subject))
        .collect();
    offers.sort_by(|a, b| {
        // Cheaper by cents a tenant, without a division.
        let (ours, theirs) = (u128::from(a.cents), u128::from(b.cents));
        let by_tenant = (ours * u128::from(b.takes)).cmp(&(theirs * u128::from(a.takes)));
        by_tenant.then(a.cents.cmp(&b.cents)).then(a.server_type.cmp(&b.server_type))
    });
    let orderable = offers.iter().position(|offer| offer.orderable);
    offers.truncate(orderable.map_or(offers.len(), |at| at + 1));
    // One that cannot be ordered is worth a word, not a list.
    if offers.len() > 2 {
        offers.drain(1..offers.len() - 1);
    }
    for offer in &mut offers {
        bring(offer, planner, subject, packing);
    }
    offers
}

/// The processors that the pool's pods run on today: an image is not built for all of them.
fn architectures(pool: Pool, subject: &Subject) -> Vec<Arch> {
    let of = |pool: Option<Pool>| -> Vec<Arch> {
        let machines = subject.machines.iter();
        let here = machines.filter(|machine| pool.is_none_or(|pool| machine.pool == pool));
        here.map(|machine| machine.server.arch).collect()
    };
    let own = of(Some(pool));
    if own.is_empty() { of(None) } else { own }
}

/// The server by itself; nothing where it takes nobody.
fn empty(name: &str, tier: TierId, planner: &Planner, subject: &Subject) -> Option<Offer> {
    let wanted = planner.demand.tier(tier);
    let machine = machine(name, wanted.pool, subject)?;
    let eur_cents = planner.prices.eur_cents(name, machine.location)?;
    let free = Room::new(&machine, &planner.assumptions, planner.class).free();
    let takes = wanted.running.fits(free);
    (takes > 0).then(|| Offer {
        server_type: name.to_owned(),
        pool: super::money::name(wanted.pool),
        cents: planner.prices.us_cents(eur_cents),
        eur_cents,
        orderable: planner.prices.types.get(name).is_some_and(|price| price.orderable),
        tier,
        takes,
        places: 0,
        room: 0,
        revenue_cents: 0,
    })
}

fn machine(name: &str, pool: Pool, subject: &Subject) -> Option<Machine> {
    let title = format!("next-{name}");
    Some(Machine::agent(title, (name, server_type(name)?), pool, subject.location()))
}

/// What changes with it for the fleet as it is.
fn bring(offer: &mut Offer, planner: &Planner, subject: &Subject, before: &Packing) {
    let wanted = planner.demand.tier(offer.tier);
    let mut larger = subject.clone();
    larger.machines.extend(machine(&offer.server_type, wanted.pool, subject));
    let after = planner.pack(&larger);
    let waiting = |packing: &Packing| packing.waiting.values().sum::<u64>();
    let fits = |packing: &Packing| packing.fits(wanted.pool, wanted.running);
    offer.places = waiting(before).saturating_sub(waiting(&after));
    offer.room = fits(&after).saturating_sub(fits(before));
    offer.revenue_cents = offer.tier.get().price_cents * offer.room;
}
