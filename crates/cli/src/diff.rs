//! `diff`: what a change of the fleet does to the cluster, before it is applied.
//!
//! Both sides are rendered by this binary and compared as objects, so the report says what happens
//! (a restart, a resize, a loss) and not which lines differ. A change of the renderer itself is not
//! in it: that is a rollout, and the operator's.

use std::process::ExitCode;

use clap::Args;

use crate::{check::print_json, failure::Failure, fleet};

mod classify;
mod compare;
mod print;
mod report;

/// Reports what changed since a commit: tenants and objects touched, what happens to them, what
/// cannot be undone, and the change in monthly revenue
///
/// Exit codes with --exit-code: 0 no change, 4 changes, 5 a change that cannot be undone.
#[derive(Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    root: fleet::Root,
    /// The commit to compare the working copy with
    #[arg(long, value_name = "REV")]
    against: String,
    /// Prints the report as JSON, every tenant by name
    #[arg(long)]
    json: bool,
    /// Exits with 4 where something changed, with 5 where it cannot be undone
    #[arg(long)]
    exit_code: bool,
}

impl Diff {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let root = self.root.find()?;
        let old = fleet::load_revision(&root, &self.against)?;
        let new = fleet::load(&root)?;
        let report = report::Report::new(&old, &new);
        if self.json {
            print_json(&report)?;
        } else {
            report.print(&self.against);
        }
        let code = match (self.exit_code, report.is_empty(), report.irreversible()) {
            (false, ..) | (true, true, _) => 0,
            (true, false, false) => 4,
            (true, false, true) => 5,
        };
        Ok(ExitCode::from(code))
    }
}
