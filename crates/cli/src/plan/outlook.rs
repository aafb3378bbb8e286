//! A plan as data: what `--json` prints, and what the table and the chart are drawn from.

use std::collections::BTreeMap;

use oc_domain::TierId;
use serde::Serialize;

use super::{amount::Resource, data::Exchange, subject::Counts};

/// The whole plan; money in US cents a month.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outlook {
    /// The day on which the prices were true.
    pub prices_checked: String,
    /// What euros are worth.
    pub exchange: Exchange,
    /// What the cost of tokens supposes.
    pub model_cost: String,
    /// All tenants.
    pub tenants: Counts,
    /// How many nodes there are.
    pub nodes: usize,
    /// By pool.
    pub pools: Vec<PoolOutlook>,
    /// By tier.
    pub tiers: Vec<TierOutlook>,
    /// All in all.
    pub totals: Totals,
    /// Servers to buy next, the cheapest per tenant first, up to one that can be ordered.
    pub offers: Vec<Offer>,
    /// What cannot be.
    pub problems: Vec<Problem>,
    /// What is not in the numbers.
    pub notes: Vec<String>,
}

/// The nodes of a pool.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PoolOutlook {
    pub pool: &'static str,
    pub nodes: usize,
    pub cents: u64,
    pub needs: Vec<Need>,
}

/// One resource of a pool: thousandths of a CPU, mebibytes, pods, volumes.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Need {
    pub resource: Resource,
    /// By the pods that belong there, with or without a place.
    pub requested: u64,
    /// By pods of the platform that found a place there.
    pub platform: u64,
    /// What those that belong there can have; nothing where it has no limit.
    pub allocatable: Option<u64>,
}

impl Need {
    /// How much of it is asked for, in percent; nothing where it has no limit. What is asked for
    /// where there is nothing is twice too much.
    pub(crate) fn percent(&self) -> Option<u64> {
        let most = self.allocatable?;
        let percent = u128::from(self.requested) * 100;
        Some(match (self.requested, most) {
            (0, 0) => 0,
            (_, 0) => 200,
            _ => u64::try_from(percent.div_ceil(u128::from(most))).unwrap_or(u64::MAX),
        })
    }
}

/// One tier.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TierOutlook {
    pub tier: TierId,
    #[serde(flatten)]
    pub tenants: Counts,
    /// Without a place.
    pub waiting: u64,
    /// How many more fit, if they are all that come.
    pub room: u64,
    pub price_cents: u64,
    pub revenue_cents: u64,
    pub cluster_cents: u64,
    /// What the seeds thought that a tenant's hosting costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seeds_hosting_cents: Option<u64>,
    /// Nothing where nobody can know.
    pub model_cents: Option<u64>,
    pub margin_cents: i64,
}

/// All money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the unit is in every name, and there are two")]
pub(crate) struct Totals {
    pub revenue_cents: u64,
    pub cluster_cents: u64,
    /// The same in euro cents.
    pub cluster_eur_cents: u64,
    /// The part of the cluster that falls on no tier, since its pool has no tenant.
    pub unused_cents: u64,
    pub model_cents: u64,
    pub margin_cents: i64,
}

/// A server that one could buy.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Offer {
    pub server_type: String,
    pub pool: &'static str,
    pub cents: u64,
    pub eur_cents: u64,
    /// Whether it could be ordered on the day of the prices.
    pub orderable: bool,
    /// The tier that it is measured by.
    pub tier: TierId,
    /// How many of these the empty server takes.
    pub takes: u64,
    /// Tenants, of all tiers, that wait now and would have a place.
    pub places: u64,
    /// How many more of the tier there is room for then.
    pub room: u64,
    /// What these would pay.
    pub revenue_cents: u64,
}

/// Something that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    pub kind: Kind,
    pub message: String,
}

/// Why something cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A pod is larger than any node that it may be on.
    PodTooLarge,
    /// Its pool has no node.
    NoNode,
    /// More dedicated tenants than nodes for them.
    DedicatedNodes,
    /// Nodes take no more volumes.
    VolumesPerNode,
    /// The nodes are full.
    NoRoom,
    /// Something of the platform has no place.
    Platform,
    /// A node keeps every pod away.
    ClosedNode,
}

/// What a change of the fleet is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Brief {
    #[serde(flatten)]
    pub totals: Totals,
    /// How many more of each tier fit.
    pub room: BTreeMap<TierId, u64>,
    /// Tenants without a place.
    pub waiting: u64,
}
