//! Where the clients are.

use std::{env, path::PathBuf};

/// Python with the SDKs.
pub(crate) fn python() -> PathBuf {
    path("OPENCLAW_TEST_PYTHON")
}

/// The folder that Node's packages, and Node itself, are installed in.
pub(crate) fn node_modules() -> PathBuf {
    path("OPENCLAW_TEST_NODE_MODULES")
}

/// Node as OpenClaw wants it.
pub(crate) fn node() -> PathBuf {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    node_modules().join(format!("node-linux-{architecture}/bin/node"))
}

fn path(variable: &str) -> PathBuf {
    let Some(path) = env::var_os(variable) else {
        panic!("{variable} is not set: run scripts/test, which installs the clients");
    };
    path.into()
}
