//! Puts a plan together: places pods, counts money, looks for what cannot be.

use std::collections::BTreeMap;

use oc_domain::{Inventory, TierId, inventory::Pool};
use strum::VariantArray;

use super::{
    amount::{Amount, Resource, UNLIMITED},
    data::{Assumptions, Prices, StorageClass},
    demand::Demand,
    money::{Money, TierMoney, name},
    offers::offers,
    outlook::{Brief, Need, Outlook, PoolOutlook, TierOutlook, Totals},
    pack::Packing,
    problems,
    subject::{Counts, Subject},
    usage::Usage,
};
use crate::failure::{Failure, plural};

/// All that plans of one cluster have in common.
pub(crate) struct Planner {
    pub prices: Prices,
    pub assumptions: Assumptions,
    pub usage: Usage,
    pub demand: Demand,
    pub class: StorageClass,
    /// What is unknown of the cluster itself.
    notes: Vec<String>,
}

impl Planner {
    /// A planner for the cluster of `inventory`.
    pub(crate) fn new(
        inventory: &Inventory,
        prices: Prices,
        assumptions: Assumptions,
        usage: Usage,
    ) -> Result<Self, Failure> {
        let mut notes = Vec::new();
        let class = &inventory.cluster.storage_class;
        let found = assumptions.storage_class(class);
        if found.is_none() {
            notes.push(format!("storage class {class}: how many volumes a node takes is unknown"));
        }
        let class = found.unwrap_or(StorageClass { on_node: false, volumes_per_node: None });
        if !class.on_node {
            notes
                .push("volumes are not in the cost: they are bought apart from servers".to_owned());
        }
        let demand = Demand::new(inventory, &assumptions, class)?;
        Ok(Self { prices, assumptions, usage, demand, class, notes })
    }

    /// A planner with what is compiled in alone.
    pub(crate) fn plain(inventory: &Inventory) -> Result<Self, Failure> {
        Self::new(inventory, Prices::read(None)?, Assumptions::embedded(), Usage::default())
    }

    /// Where the pods of `subject` go.
    pub(crate) fn pack(&self, subject: &Subject) -> Packing {
        Packing::new(subject, &self.demand, &self.assumptions, self.class)
    }

    /// The same where nothing runs out of `resource`.
    pub(crate) fn pack_without_limit(&self, subject: &Subject, resource: Resource) -> Packing {
        let (demand, assumptions) = (&self.demand, &self.assumptions);
        Packing::without_limit(resource, subject, demand, assumptions, self.class)
    }

    fn money(&self, subject: &Subject, packing: &Packing) -> Money {
        let Self { prices, assumptions, usage, demand, .. } = self;
        Money::new(subject, demand, packing, prices, assumptions, usage)
    }

    /// What a change of the fleet is judged by.
    pub(crate) fn brief(&self, subject: &Subject) -> Brief {
        let packing = self.pack(subject);
        Brief {
            totals: totals(&self.money(subject, &packing)),
            room: self.room(&packing),
            waiting: packing.waiting.values().sum(),
        }
    }

    /// The whole plan.
    pub(crate) fn outlook(&self, subject: &Subject) -> Outlook {
        let packing = self.pack(subject);
        let money = self.money(subject, &packing);
        Outlook {
            prices_checked: self.prices.checked.clone(),
            exchange: self.prices.exchange.clone(),
            model_cost: self.model_cost(),
            tenants: sum(subject.tiers.values()),
            nodes: subject.machines.len(),
            pools: self.pools(subject, &packing, &money),
            tiers: self.tiers(subject, &packing, &money),
            totals: totals(&money),
            offers: offers(self, subject, &packing),
            problems: problems::find(self, subject, &packing),
            notes: self.notes(subject, &packing, &money),
        }
    }

    fn room(&self, packing: &Packing) -> BTreeMap<TierId, u64> {
        let room = |tier: &TierId| {
            let wanted = self.demand.tier(*tier);
            (*tier, packing.fits(wanted.pool, wanted.running))
        };
        TierId::VARIANTS.iter().map(room).collect()
    }

    fn pools(&self, subject: &Subject, packing: &Packing, money: &Money) -> Vec<PoolOutlook> {
        let pool = |pool: Pool| {
            let rooms = || packing.rooms.iter().filter(move |room| room.pool == pool);
            let platform = rooms().fold(Amount::default(), |sum, room| sum.plus(room.platform));
            let mut allocatable = packing.allocatable(pool);
            let requested = if pool == Pool::Platform {
                platform.plus(self.homeless(packing))
            } else {
                allocatable = allocatable.minus(platform);
                self.requested(subject, pool)
            };
            let need = |resource: &Resource| Need {
                resource: *resource,
                requested: requested.of(*resource),
                platform: platform.of(*resource),
                allocatable: Some(allocatable.of(*resource)).filter(|most| *most != UNLIMITED),
            };
            PoolOutlook {
                pool: name(pool),
                nodes: rooms().count(),
                cents: money.pools.get(name(pool)).copied().unwrap_or_default(),
                needs: Resource::VARIANTS.iter().map(need).collect(),
            }
        };
        [Pool::Platform, Pool::Shared, Pool::Dedicated].map(pool).into()
    }

    /// What all tenants of a pool ask for, those without a place too.
    pub(crate) fn requested(&self, subject: &Subject, pool: Pool) -> Amount {
        let each = |(tier, counts): (&TierId, &Counts)| {
            let wanted = self.demand.tier(*tier);
            let here = u64::from(wanted.pool == pool);
            let resting = wanted.resting.times(counts.held + counts.suspended);
            wanted.running.times(counts.running).plus(resting).times(here)
        };
        subject.tiers.iter().map(each).fold(Amount::default(), Amount::plus)
    }

    fn homeless(&self, packing: &Packing) -> Amount {
        let each = |(name, count): &(String, u64)| {
            let load = self.demand.platform.iter().find(|load| load.name == *name);
            load.map(|load| load.each.times(*count)).unwrap_or_default()
        };
        packing.homeless.iter().map(each).fold(Amount::default(), Amount::plus)
    }

    fn tiers(&self, subject: &Subject, packing: &Packing, money: &Money) -> Vec<TierOutlook> {
        let room = self.room(packing);
        let tier = |(tier, money): (&TierId, &TierMoney)| TierOutlook {
            tier: *tier,
            tenants: subject.counts(*tier),
            waiting: packing.waiting.get(tier).copied().unwrap_or_default(),
            room: room.get(tier).copied().unwrap_or_default(),
            price_cents: tier.get().price_cents,
            revenue_cents: money.revenue,
            cluster_cents: money.cluster,
            seeds_hosting_cents: self.assumptions.seeds_hosting_cents(*tier),
            model_cents: money.model,
            margin_cents: money.margin(),
        };
        money.tiers.iter().map(tier).collect()
    }

    fn model_cost(&self) -> String {
        let price = self.assumptions.cents_per_million_tokens();
        let price = format!("${}.{:02} a million tokens", price / 100, price % 100);
        if self.usage == Usage::default() {
            format!("every quota used up, at {price}")
        } else {
            format!("as measured; tiers without a measurement use up their quotas, at {price}")
        }
    }

    fn notes(&self, subject: &Subject, packing: &Packing, money: &Money) -> Vec<String> {
        let mut notes = self.notes.clone();
        if !packing.waiting.is_empty() {
            notes.push("money counts tenants without a place as if they were served".to_owned());
        }
        for (what, count) in &money.unpriced {
            let checked = &self.prices.checked;
            notes.push(format!(
                "no price of {checked} for {what} ({count} not in the cost): give one with --prices"
            ));
        }
        for (tier, money) in &money.tiers {
            if money.model.is_none() {
                let count = usize::try_from(subject.counts(*tier).running).unwrap_or(usize::MAX);
                let tenants = plural(count, "tenant");
                notes.push(format!(
                    "tokens of tier {tier} ({tenants}) have no number and are not in the cost: give --usage"
                ));
            }
        }
        notes
    }
}

fn totals(money: &Money) -> Totals {
    let revenue_cents: u64 = money.tiers.values().map(|tier| tier.revenue).sum();
    let model_cents: u64 = money.tiers.values().filter_map(|tier| tier.model).sum();
    let cluster_cents = money.cluster();
    let costs = cluster_cents.saturating_add(model_cents);
    Totals {
        revenue_cents,
        cluster_cents,
        cluster_eur_cents: money.cluster_eur_cents,
        unused_cents: money.unused_cents,
        model_cents,
        margin_cents: revenue_cents.cast_signed().saturating_sub(costs.cast_signed()),
    }
}

fn sum<'a>(counts: impl Iterator<Item = &'a Counts>) -> Counts {
    counts.fold(Counts::default(), |sum, more| Counts {
        running: sum.running + more.running,
        held: sum.held + more.held,
        suspended: sum.suspended + more.suspended,
        deleted: sum.deleted + more.deleted,
    })
}
