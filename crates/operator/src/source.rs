//! What git says of a tenant.

use std::sync::Arc;

use oc_domain::TenantSpec;
use oc_gitops::Origin;

/// What git says of a tenant.
#[derive(Clone, Debug, Default)]
pub(crate) enum Source {
    /// Nothing, or git has not been read yet.
    #[default]
    Unknown,
    /// This.
    Good(Arc<Wanted>),
    /// Nothing that can be used, and why; what it said before stays.
    Bad(Arc<str>),
    /// There was a file, and there is none: what it said before stays.
    Missing,
}

/// What a tenant should be.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) spec: TenantSpec,
    /// The commit that says so.
    pub(crate) origin: Origin,
}
