//! The kinds that a tenant's namespace holds of ours.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, LimitRange, PersistentVolumeClaim, ResourceQuota, ServiceAccount},
    networking::v1::NetworkPolicy,
};
use kube::core::ApiResource;

/// The kinds that we render, besides the namespace itself. Secrets are not among them: of these
/// nothing but the metadata is ever asked for.
pub(crate) fn kinds() -> [ApiResource; 7] {
    [
        ApiResource::erase::<ResourceQuota>(&()),
        ApiResource::erase::<LimitRange>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<PersistentVolumeClaim>(&()),
        ApiResource::erase::<Deployment>(&()),
    ]
}
