//! `crd` and `schema`: what other programs need to know of our formats.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use oc_domain::{Inventory, document, tenant::TenantFile};

use crate::{check::print_json, failure::Failure};

/// Prints the CRD of Tenant
#[derive(Args)]
pub(crate) struct Crd {}

impl Crd {
    pub(crate) fn run() -> Result<ExitCode, Failure> {
        for crd in oc_manifests::crds() {
            print_json(&crd)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints the JSON Schema of a file, for editors
#[derive(Args)]
pub(crate) struct Schema {
    /// Which file
    #[arg(value_enum)]
    of: Document,
}

#[derive(Clone, Copy, ValueEnum)]
enum Document {
    /// A file in tenants/
    Tenant,
    /// The file nodes/inventory.json
    Inventory,
}

impl Schema {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let schema = match self.of {
            Document::Tenant => document::schema::<TenantFile>(),
            Document::Inventory => document::schema::<Inventory>(),
        };
        print_json(&schema)?;
        Ok(ExitCode::SUCCESS)
    }
}
