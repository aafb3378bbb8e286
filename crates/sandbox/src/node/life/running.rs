//! What there is of a pod on this machine.

use super::super::{cgroup::Cgroup, container::Container, forward::Forwards, sandbox::Sandbox};

/// A pod's parts. Its processes end with this value.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) parts: Option<Parts>,
    pub(super) container: Option<Container>,
}

/// What a container is started in.
#[derive(Debug)]
pub(super) struct Parts {
    // In this order: connections end before the network.
    pub(super) _forwards: Forwards,
    pub(super) sandbox: Sandbox,
    pub(super) cgroup: Cgroup,
}

impl Running {
    /// Kills what is left, and waits for its end.
    pub(super) async fn end(&mut self) {
        self.container = None;
        if let Some(parts) = self.parts.take() {
            parts.sandbox.end().await;
        }
    }
}
