//! What is planned for: how many tenants of which tier, and which machines. A question "what if"
//! changes these, not files.

use std::{collections::BTreeMap, str::FromStr};

use oc_domain::{
    Inventory, TenantSpec, TierId,
    inventory::{Effect, Location, Node, Pool, Role, ServerType, Taint, server_type, server_types},
    tenant::State,
};
use serde::Serialize;
use strum::VariantArray;

use crate::failure::Failure;

/// Tenants by tier, and machines.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub tiers: BTreeMap<TierId, Counts>,
    pub machines: Vec<Machine>,
}

/// Tenants by what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Active, with a pod.
    pub running: u64,
    /// Active and paid for, and held by somebody of us.
    pub held: u64,
    /// Neither paid for nor running.
    pub suspended: u64,
    /// Gone for ever.
    pub deleted: u64,
}

/// A node as far as the plan goes.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub name: String,
    pub server_type: String,
    pub server: ServerType,
    pub role: Role,
    pub location: Location,
    pub pool: Pool,
    /// Whether it has a taint that no pod of ours tolerates.
    pub closed: bool,
}

impl Subject {
    /// The tenants of `specs` on the nodes of `inventory`.
    pub(crate) fn new<'a>(
        inventory: &Inventory,
        specs: impl Iterator<Item = &'a TenantSpec>,
    ) -> Self {
        let none = TierId::VARIANTS.iter().map(|tier| (*tier, Counts::default()));
        let mut tiers: BTreeMap<TierId, Counts> = none.collect();
        for spec in specs {
            let counts = tiers.entry(spec.tier).or_default();
            *match spec.state {
                State::Active if spec.runs() => &mut counts.running,
                State::Active => &mut counts.held,
                State::Suspended => &mut counts.suspended,
                State::Deleted => &mut counts.deleted,
            } += 1;
        }
        let machines = inventory.nodes.iter().filter_map(Machine::of).collect();
        Self { tiers, machines }
    }

    /// How many tenants of the tier do what.
    pub(crate) fn counts(&self, tier: TierId) -> Counts {
        self.tiers.get(&tier).copied().unwrap_or_default()
    }

    /// The subject as `change` would leave it.
    pub(crate) fn with(mut self, change: &WhatIf) -> Result<Self, Failure> {
        for step in &change.steps {
            match &step.what {
                What::Tenants(tier) => {
                    let counts = self.tiers.entry(*tier).or_default();
                    let after = counts.running.checked_add_signed(step.by);
                    counts.running = after.ok_or_else(|| {
                        let message = format!("--what-if: {} {tier} run", counts.running);
                        Failure::Usage(message)
                    })?;
                }
                What::Machines(name, server, pool) => {
                    self.change_machines(name, *server, *pool, step.by)?;
                }
            }
        }
        Ok(self)
    }

    fn change_machines(
        &mut self,
        name: &str,
        server: ServerType,
        pool: Pool,
        by: i64,
    ) -> Result<(), Failure> {
        for number in 0..by.max(0) {
            let title = format!("new-{name}-{pool}-{}", number + 1);
            self.machines.push(Machine::agent(title, (name, server), pool, self.location()));
        }
        let is = |machine: &Machine| machine.server_type == name && machine.pool == pool;
        for _ in by.min(0)..0 {
            let Some(last) = self.machines.iter().rposition(is) else {
                let message =
                    format!("--what-if: there are not that many {name} in pool {pool} to remove");
                return Err(Failure::Usage(message));
            };
            self.machines.remove(last);
        }
        Ok(())
    }

    /// Where another node would stand: beside the last one.
    pub(crate) fn location(&self) -> Location {
        self.machines.last().map_or(Location::Fsn1, |machine| machine.location)
    }
}

impl Machine {
    /// Nothing for a type that we do not know, which no valid inventory has.
    fn of(node: &Node) -> Option<Self> {
        let closed = |taint: &Taint| {
            *taint != Taint::dedicated() && taint.effect != Effect::PreferNoSchedule
        };
        Some(Self {
            name: node.name.clone(),
            server_type: node.server_type.clone(),
            server: server_type(&node.server_type)?,
            role: node.role,
            location: node.location,
            pool: node.pool,
            closed: node.taints.iter().any(closed),
        })
    }

    /// A new one that runs pods only.
    pub(crate) fn agent(
        name: String,
        (server_type, server): (&str, ServerType),
        pool: Pool,
        location: Location,
    ) -> Self {
        let server_type = server_type.to_owned();
        Self { name, server_type, server, role: Role::Agent, location, pool, closed: false }
    }
}

/// Changes to a fleet, like `starter=+200,cx43=+1,cx53@dedicated=-1`.
#[derive(Clone, Debug)]
pub(crate) struct WhatIf {
    /// As somebody wrote it.
    pub text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    what: What,
    by: i64,
}

#[derive(Clone, Debug)]
enum What {
    Tenants(TierId),
    Machines(String, ServerType, Pool),
}

impl FromStr for WhatIf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let steps = text.split(',').map(step).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), steps })
    }
}

fn step(text: &str) -> Result<Step, String> {
    let form = "expected a tier or server type and a change, like starter=+200 or cx43@shared=-1";
    let (name, by) =
        text.trim().split_once('=').ok_or_else(|| format!("found {text:?}, {form}"))?;
    let signed = by.starts_with(['+', '-']);
    let by: i64 =
        by.parse().ok().filter(|by: &i64| signed && by.unsigned_abs() <= MOST).ok_or_else(
            || format!("found {by:?}, expected + or - and a number of at most {MOST}"),
        )?;
    if let Ok(tier) = name.parse() {
        return Ok(Step { what: What::Tenants(tier), by });
    }
    let (server, pool) = name.split_once('@').unwrap_or((name, "shared"));
    let pool = Pool::VARIANTS.iter().find(|known| known.to_string() == pool);
    let pool = *pool.ok_or_else(|| {
        format!("found {name:?}, expected a pool after @: {}", names(Pool::VARIANTS))
    })?;
    let known = server_type(server).ok_or_else(|| {
        let types = server_types().keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let tiers = names(TierId::VARIANTS);
        format!("found {server:?}, expected a tier ({tiers}) or a server type ({types})")
    })?;
    Ok(Step { what: What::Machines(server.to_owned(), known, pool), by })
}

/// The largest change that is a question and not a slip.
const MOST: u64 = 100_000;

fn names(known: &[impl ToString]) -> String {
    known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
