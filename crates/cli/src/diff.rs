//! `diff`: what a change of the fleet does to the cluster, before it is applied.
//!
//! Against a commit, both sides are rendered by this binary and compared as objects, so the report
//! says what happens (a restart, a resize, a loss) and not which lines differ. A change of the
//! renderer itself is not in it: that is a rollout, and the operator's. Against the cluster it is,
//! and drift too, since one side is what is there.

use std::{path::Path, process::ExitCode};

use clap::Args;

use self::report::Report;
use crate::{check::print_json, failure::Failure, fleet};

mod classify;
mod compare;
#[cfg(feature = "cluster")]
mod live;
mod print;
mod report;

/// Reports what the working copy changes: tenants and objects touched, what happens to them, what
/// cannot be undone, and the change in monthly revenue, costs, margin and room
///
/// Exit codes with --exit-code: 0 no change, 4 changes, 5 a change that cannot be undone.
#[derive(Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    root: fleet::Root,
    #[command(flatten)]
    base: Base,
    /// Prints the report as JSON, every tenant by name
    #[arg(long)]
    json: bool,
    /// Exits with 4 where something changed, with 5 where it cannot be undone
    #[arg(long)]
    exit_code: bool,
}

/// What the working copy is compared with.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Base {
    /// Compares the working copy with this commit
    #[arg(long, value_name = "REV")]
    against: Option<String>,
    /// Compares the working copy with the tenants that the cluster has
    #[cfg(feature = "cluster")]
    #[arg(long)]
    cluster: bool,
}

impl Base {
    /// The report, and what it is against.
    fn report(&self, root: &Path) -> Result<(Report, &str), Failure> {
        #[cfg(feature = "cluster")]
        if self.cluster {
            let fleet = fleet::load(root)?;
            return Ok((Report::live(&live::Live::read()?, &fleet)?, "the cluster"));
        }
        // Clap wants one of the two.
        let revision = self.against.as_deref().unwrap_or_default();
        let old = fleet::load_revision(root, revision)?;
        Ok((Report::new(&old, &fleet::load(root)?)?, revision))
    }
}

impl Diff {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let root = self.root.find()?;
        let (report, against) = self.base.report(&root)?;
        if self.json {
            print_json(&report)?;
        } else {
            report.print(against);
        }
        let code = match (self.exit_code, report.is_empty(), report.irreversible()) {
            (false, ..) | (true, true, _) => 0,
            (true, false, false) => 4,
            (true, false, true) => 5,
        };
        Ok(ExitCode::from(code))
    }
}
