//! `check`: every error of every file.

use std::process::ExitCode;

use clap::Args;
use oc_domain::{Diagnostic, inventory};

use crate::{
    failure::{Failure, plural, print_diagnostics},
    fleet, git,
};

/// Reads every file and reports every error: where it is, what was found, what was expected
#[derive(Args)]
pub(crate) struct Check {
    #[command(flatten)]
    root: fleet::Root,
    /// Prints the findings as a JSON list
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let root = self.root.find()?;
        let mut checked = fleet::read(&root);
        for path in git::untracked(&root, &["tenants/*.json", inventory::PATH]) {
            let message = "git does not track this file, so Nix does not see it";
            let warning = Diagnostic::warning(&path, "", message);
            checked.diagnostics.push(warning.help("git add --intent-to-add it"));
        }
        checked.diagnostics.sort();
        if self.json {
            print_json(&checked.diagnostics)?;
        } else {
            print_diagnostics(&checked.diagnostics);
        }
        let Some(fleet) = checked.fleet else { return Err(Failure::Invalid) };
        if !self.json {
            let (tenants, nodes) = (fleet.tenants.len(), fleet.inventory.nodes.len());
            let summary = [plural(tenants, "tenant"), plural(nodes, "node")].join(" and ");
            anstream::println!("{summary}: good");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints a value for other programs.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::Outside(format!("JSON: {error}")))?;
    anstream::println!("{text}");
    Ok(())
}
