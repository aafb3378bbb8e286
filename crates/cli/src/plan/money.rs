//! What the fleet costs and brings in a month, and how that falls on its tiers.

use std::collections::BTreeMap;

use oc_domain::{TierId, inventory::Pool};

use super::{
    data::{Assumptions, Prices},
    demand::Demand,
    pack::Packing,
    subject::Subject,
    usage::Usage,
};

/// US cents a month of a fleet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Money {
    pub tiers: BTreeMap<TierId, TierMoney>,
    /// The nodes of each pool.
    pub pools: BTreeMap<&'static str, u64>,
    /// All nodes, in euro cents.
    pub cluster_eur_cents: u64,
    /// The part of the cluster that no tenant uses, since its pool has none.
    pub unused_cents: u64,
    /// Types of nodes for which there is no price, and how many nodes that are.
    pub unpriced: BTreeMap<String, u64>,
}

/// US cents a month of a tier.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TierMoney {
    /// List price of all that are active, the held too.
    pub revenue: u64,
    /// Its part of the cluster.
    pub cluster: u64,
    /// Its tokens; nothing where nobody can know.
    pub model: Option<u64>,
}

impl TierMoney {
    /// What is left of the revenue.
    pub(crate) fn margin(self) -> i64 {
        let costs = self.cluster.saturating_add(self.model.unwrap_or_default());
        self.revenue.cast_signed().saturating_sub(costs.cast_signed())
    }
}

impl Money {
    /// The money of `subject`, whose pods are placed as `packing` has them.
    pub(crate) fn new(
        subject: &Subject,
        demand: &Demand,
        packing: &Packing,
        prices: &Prices,
        assumptions: &Assumptions,
        usage: &Usage,
    ) -> Self {
        let mut money = Self::default();
        for (tier, counts) in &subject.tiers {
            let revenue = tier.get().price_cents * (counts.running + counts.held);
            let whole_quota = |each: u128| each * u128::from(counts.running);
            let measured = usage.nano_usd(*tier, counts.running);
            let nano = measured.or_else(|| assumptions.quota_nano_usd(*tier).map(whole_quota));
            let model = if counts.running == 0 { Some(0) } else { nano.map(cents) };
            money.tiers.insert(*tier, TierMoney { revenue, cluster: 0, model });
        }
        money.add_nodes(subject, prices);
        money.share_out(subject, demand, packing);
        money
    }

    fn add_nodes(&mut self, subject: &Subject, prices: &Prices) {
        for machine in &subject.machines {
            let cents = self.pools.entry(name(machine.pool)).or_default();
            if let Some(eur) = prices.eur_cents(&machine.server_type, machine.location) {
                *cents += prices.us_cents(eur);
                self.cluster_eur_cents += eur;
            } else {
                let at = format!("{} in {}", machine.server_type, machine.location);
                *self.unpriced.entry(at).or_default() += 1;
            }
        }
    }

    /// A pool of tenants is paid for by them, by how much of it they keep from others; the platform
    /// by every tenant alike. So idle nodes are in the cost of those who are there.
    fn share_out(&mut self, subject: &Subject, demand: &Demand, packing: &Packing) {
        for pool in [Pool::Platform, Pool::Shared, Pool::Dedicated] {
            let cost = self.pools.get(name(pool)).copied().unwrap_or_default();
            let total = packing.allocatable(pool);
            let weight = |tier: &TierId| {
                let (wanted, running) = (demand.tier(*tier), subject.counts(*tier).running);
                let each = if pool == Pool::Platform {
                    1
                } else if pool == wanted.pool {
                    wanted.running.share(total).min(HEAVIEST)
                } else {
                    0
                };
                u128::from(each) * u128::from(running)
            };
            let weights: Vec<u128> = self.tiers.keys().map(weight).collect();
            let Some(parts) = split(cost, &weights) else {
                self.unused_cents += cost;
                continue;
            };
            for (money, part) in self.tiers.values_mut().zip(parts) {
                money.cluster += part;
            }
        }
    }

    /// All nodes, in US cents.
    pub(crate) fn cluster(&self) -> u64 {
        self.pools.values().sum()
    }
}

/// What a pod weighs at most, where its pool has nothing to give: a thousand times the pool.
const HEAVIEST: u64 = 1_000_000_000;

/// The name of a pool, as files have it.
pub(crate) fn name(pool: Pool) -> &'static str {
    match pool {
        Pool::Platform => "platform",
        Pool::Shared => "shared",
        Pool::Dedicated => "dedicated",
    }
}

/// Billionths of a dollar as cents, to the nearest.
fn cents(nano_usd: u128) -> u64 {
    u64::try_from((nano_usd + 5_000_000) / 10_000_000).unwrap_or(u64::MAX)
}

/// `total` by `weights`, nothing lost: each part is exact but for less than a cent. Nothing where
/// nobody weighs anything.
fn split(total: u64, weights: &[u128]) -> Option<Vec<u64>> {
    let sum: u128 = weights.iter().sum();
    if sum == 0 {
        return None;
    }
    let mut before = 0;
    let mut given = 0;
    let part = |weight: &u128| {
        before += weight;
        let upto = u64::try_from(u128::from(total) * before / sum).unwrap_or(total);
        let part = upto - given;
        given = upto;
        part
    };
    Some(weights.iter().map(part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_loses_no_cent() {
        assert_eq!(split(100, &[1, 1, 1]), Some(vec![33, 33, 34]));
        assert_eq!(split(100, &[0, 5, 0]), Some(vec![0, 100, 0]));
        assert_eq!(split(1, &[1; 4]), Some(vec![0, 0, 0, 1]));
        assert_eq!(split(100, &[0, 0]), None);
    }
}
