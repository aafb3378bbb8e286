//! One Kubernetes object of any kind that we render.

use k8s_openapi::{
    Metadata, NamespaceResourceScope, Resource,
    api::{
        apps::v1::{Deployment, StatefulSet},
        batch::v1::CronJob,
        core::v1::{
            ConfigMap, LimitRange, Namespace, PersistentVolumeClaim, ResourceQuota, Service,
            ServiceAccount,
        },
        networking::v1::NetworkPolicy,
        node::v1::RuntimeClass,
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
        scheduling::v1::PriorityClass,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct};

macro_rules! objects {
    ($($kind:ident),* $(,)?) => {
        /// A Kubernetes object, of whichever kind.
        #[derive(Clone, Debug)]
        #[expect(missing_docs, reason = "the variants are Kubernetes' own kinds")]
        pub enum Object { $($kind(Box<$kind>)),* }

        $(impl From<$kind> for Object {
            fn from(object: $kind) -> Self {
                Self::$kind(Box::new(object))
            }
        })*

        impl Object {
            /// Its kind, as Kubernetes spells it.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$kind(_) => <$kind as Resource>::KIND),* }
            }

            /// Its metadata.
            pub fn metadata(&self) -> &ObjectMeta {
                match self { $(Self::$kind(object) => object.metadata()),* }
            }
        }

        impl Serialize for Object {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self { $(Self::$kind(object) => object.serialize(serializer)),* }
            }
        }
    };
}

objects!(
    ClusterRole,
    ClusterRoleBinding,
    ConfigMap,
    CronJob,
    Deployment,
    HelmChart,
    LimitRange,
    Namespace,
    NetworkPolicy,
    PersistentVolumeClaim,
    PodDisruptionBudget,
    PriorityClass,
    ResourceQuota,
    Role,
    RoleBinding,
    RuntimeClass,
    Service,
    ServiceAccount,
    StatefulSet,
);

impl Object {
    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// Its namespace, where its kind has one.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata().namespace.as_deref()
    }

    /// The name of the file that holds it alone, unique in lower case among valid objects.
    pub fn file_name(&self) -> String {
        let namespace = self.namespace().unwrap_or("cluster");
        format!("{}-{namespace}-{}.json", self.kind(), self.name()).to_lowercase()
    }
}

/// A Helm chart that K3s installs and keeps at its version.
#[derive(Clone, Debug, Default)]
pub struct HelmChart {
    /// Name and namespace of this object, which is not the chart's own namespace.
    pub metadata: ObjectMeta,
    /// What to install.
    pub spec: HelmChartSpec,
}

/// What K3s should install.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HelmChartSpec {
    /// The chart, by name in `repo` or as an `oci://` address.
    pub chart: String,
    /// The chart repository, where `chart` is a name in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// The chart's exact version.
    pub version: String,
    /// Where it is installed.
    pub target_namespace: String,
    /// Whether that namespace is made.
    pub create_namespace: bool,
    /// Its values: YAML, of which JSON is a part.
    pub values_content: String,
}

impl Resource for HelmChart {
    type Scope = NamespaceResourceScope;

    const API_VERSION: &'static str = "helm.cattle.io/v1";
    const GROUP: &'static str = "helm.cattle.io";
    const KIND: &'static str = "HelmChart";
    const URL_PATH_SEGMENT: &'static str = "helmcharts";
    const VERSION: &'static str = "v1";
}

impl Metadata for HelmChart {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &Self::Ty {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Self::Ty {
        &mut self.metadata
    }
}

impl Serialize for HelmChart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut state = serializer.serialize_struct(Self::KIND, 4)?;
        state.serialize_field("apiVersion", Self::API_VERSION)?;
        state.serialize_field("kind", Self::KIND)?;
        state.serialize_field("metadata", &self.metadata)?;
        state.serialize_field("spec", &self.spec)?;
        state.end()
    }
}
