//! Where stripe-mock is.

use std::{env, path::PathBuf};

/// The program.
pub(crate) fn program() -> PathBuf {
    folder().join("stripe-mock")
}

/// Its `OpenAPI` document.
pub(crate) fn document() -> PathBuf {
    folder().join("spec3.json")
}

fn folder() -> PathBuf {
    let Some(folder) = env::var_os("OPENCLAW_TEST_STRIPE_MOCK") else {
        panic!("OPENCLAW_TEST_STRIPE_MOCK is not set: run scripts/test, which installs it");
    };
    folder.into()
}
