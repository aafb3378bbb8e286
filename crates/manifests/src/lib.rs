//! Kubernetes objects from specs: the one renderer that CLI, Nix and operator share.
//!
//! ```text
//!  Inventory ──────────────► platform(..) ──► namespaces, databases, backups, token proxy, billing, operator, alerts
//!  Inventory + TenantSpec ─► tenant(..) ────► the eight objects of one sealed namespace
//! ```
//!
//! Pure functions: the same inputs give the same bytes on any machine, and no byte of one tenant
//! depends on another. Objects are k8s-openapi's types; no text is glued into YAML.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

mod labels;
mod network;
mod object;
mod platform;
mod pod;
mod quantity;
mod service;
mod tenant;

pub use labels::{MANAGED_BY, REVISION, TENANT, TIER};
pub use network::{Peer, Port};
pub use object::{HelmChart, HelmChartSpec, Object};
pub use platform::platform;
pub use service::{Access, Service};
pub use tenant::{Overlay, data_plane_addresses, list, secret, tenant};

/// The namespace of everything that we run for all tenants.
pub const PLATFORM: &str = "platform";

/// The namespace of metrics, logs and dashboards.
pub const MONITORING: &str = "monitoring";

/// The custom resource definitions that we own.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![oc_domain::tenant::Tenant::crd()]
}
