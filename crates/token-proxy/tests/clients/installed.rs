//! Where the clients are.

use std::{env, path::PathBuf};

/// Python with the SDKs.
pub(crate) fn python() -> PathBuf {
    path("OPENCLAW_TEST_PYTHON")
}

/// The folder that the SDKs for Node are installed in.
pub(crate) fn node_modules() -> PathBuf {
    path("OPENCLAW_TEST_NODE_MODULES")
}

/// OpenClaw's program.
pub(crate) fn openclaw() -> PathBuf {
    path("OPENCLAW_PACKAGES").join("openclaw/openclaw.mjs")
}

/// Node as OpenClaw wants it.
pub(crate) fn node() -> PathBuf {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    path("OPENCLAW_PACKAGES").join(format!("node-linux-{architecture}/bin/node"))
}

fn path(variable: &str) -> PathBuf {
    let Some(path) = env::var_os(variable) else {
        panic!("{variable} is not set: run scripts/test, which installs the clients");
    };
    path.into()
}
