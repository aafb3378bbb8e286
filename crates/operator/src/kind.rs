//! The kinds of a tenant's objects.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{
        ConfigMap, LimitRange, Namespace, PersistentVolumeClaim, ResourceQuota, Secret,
        ServiceAccount,
    },
    networking::v1::NetworkPolicy,
};
use kube::{core::Resource, discovery::ApiResource};
use strum::{Display, EnumString};

/// A kind, in the order in which they can be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Display, EnumString)]
pub(crate) enum Kind {
    Namespace,
    ResourceQuota,
    LimitRange,
    NetworkPolicy,
    ServiceAccount,
    ConfigMap,
    Secret,
    PersistentVolumeClaim,
    Deployment,
}

impl Kind {
    /// How the API calls it.
    pub(crate) fn resource(self) -> ApiResource {
        match self {
            Self::Namespace => ApiResource::erase::<Namespace>(&()),
            Self::ResourceQuota => ApiResource::erase::<ResourceQuota>(&()),
            Self::LimitRange => ApiResource::erase::<LimitRange>(&()),
            Self::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::Secret => ApiResource::erase::<Secret>(&()),
            Self::PersistentVolumeClaim => ApiResource::erase::<PersistentVolumeClaim>(&()),
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
        }
    }

    /// Where the API has the object `name` of `namespace`, which a namespace itself does not need.
    pub(crate) fn path(self, namespace: &str, name: &str) -> String {
        let namespace = (self != Self::Namespace).then_some(namespace);
        let resource = self.resource();
        format!("{}/{name}", kube::api::DynamicObject::url_path(&resource, namespace))
    }
}

/// Kind and name of an object in a tenant's namespace, or of the namespace.
pub(crate) type Key = (Kind, String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let path = |kind: Kind| kind.path("customer-a", "x");
        assert_eq!(path(Kind::Namespace), "/api/v1/namespaces/x");
        assert_eq!(path(Kind::ResourceQuota), "/api/v1/namespaces/customer-a/resourcequotas/x");
        assert_eq!(
            path(Kind::NetworkPolicy),
            "/apis/networking.k8s.io/v1/namespaces/customer-a/networkpolicies/x"
        );
    }
}
