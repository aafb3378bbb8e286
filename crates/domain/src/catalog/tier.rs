use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::Display;

use super::{Embedded, Thinking, embedded};

/// Which kind of customer a tier is made for; the family decides priority and grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Family {
    /// Persons.
    Personal,
    /// Firms.
    Business,
}

/// Whose pods may share a node with a tenant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// Nodes of the pool `shared`, with other tenants.
    Shared,
    /// A node of the pool `dedicated`, with no other tenant.
    Dedicated,
}

/// How much of something a tier allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// This tier does not count it.
    NotCounted,
    /// Counted and never refused.
    Unlimited,
    /// As the contract says.
    ByContract,
    /// At most this many.
    #[serde(untagged)]
    AtMost(u64),
}

impl Limit {
    /// The number that a count may not exceed, where there is one.
    pub fn most(self) -> Option<u64> {
        match self {
            Self::AtMost(most) => Some(most),
            Self::NotCounted | Self::Unlimited | Self::ByContract => None,
        }
    }
}

/// What the scheduler reserves and what the kernel allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Reserved on the node.
    pub request: u32,
    /// Allowed at most.
    pub limit: u32,
}

/// One tier: what a customer pays and what the pod gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tier {
    /// Whom it is for, in one line: its description in schemas.
    pub summary: String,
    /// Which kind of customer it is for.
    pub family: Family,
    /// US cents a month, list price.
    pub price_cents: u64,
    /// Quota tokens a month, of the account.
    pub tokens_per_month: Limit,
    /// Messages a month.
    pub messages_per_month: Limit,
    /// Tenants of one account.
    pub agents: Limit,
    /// People who may talk to the bot.
    pub telegram_users: Limit,
    /// Scheduled jobs of the agent.
    pub automations: Limit,
    /// Connections of one tenant.
    pub integrations: Limit,
    /// The most that the model thinks, and what it does when the tenant says nothing.
    pub thinking: Thinking,
    /// Thousandths of a CPU.
    pub cpu_millis: Range,
    /// Mebibytes of memory.
    pub memory_mib: Range,
    /// Gibibytes of the state volume.
    pub storage_gib: u32,
    /// Whose pods may share the node.
    pub isolation: Isolation,
}

/// The ids, from what the build script found in `catalog/tiers.json`: an entry each.
macro_rules! tiers {
    ($($variant:ident $name:tt $summary:tt)*) => {
        named! {
            /// What can be bought.
            pub enum TierId {
                $(
                    #[doc = $summary]
                    #[serde(rename = $name)]
                    #[strum(to_string = $name)]
                    $variant,
                )*
            }
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/tiers.rs"));

static TIERS: Embedded<BTreeMap<TierId, Tier>> =
    Embedded::new(|| embedded("tiers.json", include_str!("../../catalog/tiers.json")));

impl TierId {
    /// What the tier is.
    #[expect(
        clippy::indexing_slicing,
        reason = "the build makes the ids of the entries of this file"
    )]
    pub fn get(self) -> &'static Tier {
        &TIERS[&self]
    }
}
