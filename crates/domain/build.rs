//! Makes `TierId` and `NicheId` of what lies in `catalog/`, or fails with everything that is missing
//! there. Its manual is `docs/adding-a-niche-or-tier.md`.

use std::{env, fs, path::Path, process::ExitCode};

#[path = "build/catalog.rs"]
mod catalog;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=catalog");
    let ids = match catalog::read(Path::new("catalog")) {
        Ok(ids) => ids,
        Err(findings) => {
            for finding in findings {
                println!("cargo::error=catalog/{finding}");
            }
            return ExitCode::FAILURE;
        }
    };
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    for (name, text) in [("tiers", ids.tiers()), ("niches", ids.niches())] {
        let path = Path::new(&out).join(name).with_extension("rs");
        if let Err(error) = fs::write(&path, text) {
            println!("cargo::error={}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
