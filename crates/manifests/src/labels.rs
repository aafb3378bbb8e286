//! Labels: the standard ones of Kubernetes, and ours under `openclaw.cloud/`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

pub(crate) const NAME: &str = "app.kubernetes.io/name";
/// On everything that we render.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Whose it is: on every object and pod of a tenant.
pub const TENANT: &str = "openclaw.cloud/tenant";
/// What was bought: on the namespace.
pub const TIER: &str = "openclaw.cloud/tier";
pub(crate) const NICHE: &str = "openclaw.cloud/niche";
/// An annotation of the namespace, never of the pod template: it must not restart anything.
pub const REVISION: &str = "openclaw.cloud/revision";
pub(crate) const ISOLATION: &str = "openclaw.cloud/isolation";
/// Kubernetes puts this on every namespace by itself, so nobody can forge it.
pub(crate) const NAMESPACE: &str = "kubernetes.io/metadata.name";

pub(crate) type Labels = BTreeMap<String, String>;

/// Labels from pairs.
pub(crate) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Selects what carries all of `pairs`.
pub(crate) fn selector<const N: usize>(pairs: [(&str, &str); N]) -> LabelSelector {
    LabelSelector { match_labels: Some(labels(pairs)), ..LabelSelector::default() }
}

/// The labels of a platform component's objects.
pub(crate) fn component(name: &str) -> Labels {
    labels([(NAME, name), (MANAGED_BY, "openclaw-cloud")])
}

/// The labels that put a namespace under a Pod Security Standard.
///
/// The version is pinned to the oldest minor that we serve: a cluster upgrade must not refuse pods
/// that ran the day before.
pub(crate) fn pod_security(level: &str) -> Labels {
    let version = format!("v1.{}", oc_domain::inventory::KUBERNETES_MINORS.start());
    ["enforce", "warn", "audit"]
        .into_iter()
        .flat_map(|mode| {
            let key = format!("pod-security.kubernetes.io/{mode}");
            [(format!("{key}-version"), version.clone()), (key, level.to_owned())]
        })
        .collect()
}
