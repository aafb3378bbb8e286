//! `plan`: what the fleet needs, costs and brings, and what could be changed.
//!
//! ```text
//!  tenants by tier ─┐                    ┌─► pools: asked for, there
//!  nodes ───────────┼─► pods on nodes ───┼─► room for more, the next server, what cannot be
//!  rendered objects ┘                    └─► cost, revenue, margin ◄── prices, measured use
//! ```
//!
//! It reads files and asks nobody, so it says what should be: prices and assumptions are data
//! beside this file, each with its day and its source.

use std::{fs, path::PathBuf, process::ExitCode};

use clap::Args;
use serde::Serialize;

use self::{
    data::{Assumptions, Prices},
    outlook::Outlook,
    subject::WhatIf,
    usage::Usage,
};
use crate::{check::print_json, failure::Failure, fleet};

mod amount;
mod data;
mod demand;
mod money;
mod offers;
mod outlook;
mod pack;
mod planner;
mod print;
mod problems;
mod subject;
mod svg;
#[cfg(test)]
mod tests;
mod usage;

pub(crate) use self::{
    outlook::Brief,
    planner::Planner,
    print::{changes, dollars, number},
    subject::Subject,
};

/// Says what the fleet needs, costs and brings: capacity by pool, room for more tenants, the next
/// server to buy, revenue, costs and margin
///
/// Money is US dollars a month. docs/plan.md says where each number comes from. Exit codes with
/// --strict: 0 it works out, 4 something cannot be, such as a tenant without a place.
#[derive(Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    root: fleet::Root,
    /// Plans for a changed fleet: tiers and server types (of pool shared, else NAME@POOL) with the
    /// change of their number, like starter=+200,cx43=+1,cx53@dedicated=-1
    #[arg(long, value_name = "CHANGES")]
    what_if: Option<WhatIf>,
    /// Prices that go before those compiled in, as JSON
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// What tenants used in a month, as CSV made from the ledger [default: whole quotas]
    #[arg(long, value_name = "FILE")]
    usage: Option<PathBuf>,
    /// Prints the plan as JSON
    #[arg(long)]
    json: bool,
    /// Draws the plan as a chart too
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Exits with 4 where something cannot be
    #[arg(long)]
    strict: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(flatten)]
    outlook: &'a Outlook,
    #[serde(skip_serializing_if = "Option::is_none")]
    what_if: Option<&'a Changed>,
}

/// What a change is against.
#[derive(Serialize)]
struct Changed {
    change: String,
    before: Brief,
    after: Brief,
}

impl Plan {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let root = self.root.find()?;
        let assumptions = Assumptions::embedded();
        let prices = Prices::read(self.prices.as_deref())?;
        let usage = match &self.usage {
            Some(path) => Usage::read(path, &assumptions)?,
            None => Usage::default(),
        };
        let fleet = fleet::load(&root)?;
        let planner = Planner::new(&fleet.inventory, prices, assumptions, usage)?;
        let mut subject =
            Subject::new(&fleet.inventory, fleet.tenants.iter().map(|tenant| &tenant.spec));
        let mut changed = None;
        if let Some(change) = &self.what_if {
            let before = planner.brief(&subject);
            subject = subject.with(change)?;
            let after = planner.brief(&subject);
            changed = Some(Changed { change: change.text.clone(), before, after });
        }
        self.show(&planner.outlook(&subject), changed.as_ref())
    }

    fn show(&self, outlook: &Outlook, changed: Option<&Changed>) -> Result<ExitCode, Failure> {
        if let Some(path) = &self.svg {
            fs::write(path, svg::chart(outlook))
                .map_err(|error| Failure::io("write", path, &error))?;
        }
        if self.json {
            print_json(&Answer { outlook, what_if: changed })?;
        } else {
            print::plan(outlook);
            if let Some(Changed { change, before, after }) = changed {
                print::change(change, before, after);
            }
        }
        let impossible = self.strict && !outlook.problems.is_empty();
        Ok(ExitCode::from(if impossible { 4 } else { 0 }))
    }
}
