//! The eight objects of a tenant: one sealed namespace, one pod.

use k8s_openapi::{
    ByteString,
    api::core::v1::{
        LimitRange, LimitRangeItem, LimitRangeSpec, Namespace, PersistentVolumeClaim,
        PersistentVolumeClaimSpec, ResourceQuota, ResourceQuotaSpec, Secret, ServiceAccount,
        VolumeResourceRequirements,
    },
    api::networking::v1::NetworkPolicy,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use oc_domain::{Inventory, TenantId, TenantSpec, catalog::Tier, inventory::DataPlane};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use crate::{
    Object,
    labels::{self, Labels, MANAGED_BY, NAME, NICHE, REVISION, TENANT, TIER, pod_security},
    network::{Peer, Port, policy},
    pod::Resources,
    quantity::{count, gibi},
};

mod deployment;
mod gateway;
pub(crate) mod workspace;

/// The name of the Deployment, its pods and its ServiceAccount.
const GATEWAY: &str = "openclaw-gateway";
const CLAIM: &str = "openclaw-state";
const WORKSPACE: &str = "openclaw-workspace";
/// Written by the operator alone: `platform-token` and `telegram-number`.
const SECRET: &str = "openclaw-config";

/// What only the operator knows while the cluster runs; the default is what git alone says.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// The fleet's revision that the tenant is on: an annotation of the namespace.
    pub revision: Option<String>,
    /// The size of the state volume in GiB, where it is not the tier's: a claim cannot shrink, and
    /// not every storage class lets it grow.
    pub storage_gib: Option<u32>,
}

/// Every object of a tenant, namespace first, in the order in which they can be applied.
pub fn tenant(
    id: &TenantId,
    spec: &TenantSpec,
    inventory: &Inventory,
    overlay: &Overlay,
) -> Vec<Object> {
    let context = Context { id, spec, tier: spec.tier.get(), inventory, overlay };
    vec![
        context.namespace().into(),
        context.quota().into(),
        context.limit_range().into(),
        context.isolation().into(),
        context.service_account().into(),
        context.workspace().into(),
        context.claim().into(),
        context.deployment().into(),
    ]
}

/// The Secret of the tenant's pod, which the operator alone writes: the platform token, and the number
/// that stands before it in the path of the tenant's Bot API root.
pub fn secret(id: &TenantId, platform_token: &str, telegram_number: &str) -> Secret {
    let keys = [("platform-token", platform_token), ("telegram-number", telegram_number)];
    let data = keys.map(|(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec())));
    Secret {
        metadata: metadata(id, SECRET),
        type_: Some("Opaque".to_owned()),
        data: Some(data.into()),
        ..Secret::default()
    }
}

/// Objects as the `v1 List` that a tenant's file is.
pub fn list(objects: &[Object]) -> impl Serialize {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct List<'a> {
        api_version: &'static str,
        kind: &'static str,
        items: &'a [Object],
    }
    List { api_version: "v1", kind: "List", items: objects }
}

/// What the objects of one tenant are made from.
#[derive(Clone, Copy)]
struct Context<'a> {
    id: &'a TenantId,
    spec: &'a TenantSpec,
    tier: &'static Tier,
    inventory: &'a Inventory,
    overlay: &'a Overlay,
}

impl Context<'_> {
    fn namespace(self) -> Namespace {
        let mut labels = labels::labels([
            (MANAGED_BY, "openclaw-cloud"),
            (TENANT, self.id.as_str()),
            (TIER, &self.spec.tier.to_string()),
            (NICHE, &self.spec.niche.to_string()),
        ]);
        labels.extend(pod_security("restricted"));
        let metadata = ObjectMeta {
            name: Some(self.id.namespace()),
            labels: Some(labels),
            annotations: self
                .overlay
                .revision
                .as_ref()
                .map(|revision| labels::labels([(REVISION, revision)])),
            ..ObjectMeta::default()
        };
        Namespace { metadata, ..Namespace::default() }
    }

    /// Room for the pod and the one that replaces it: a quota of exactly one pod refuses every
    /// update while the old pod still terminates.
    fn quota(self) -> ResourceQuota {
        let pod = self.resources();
        let twice = |(request, limit): (u32, u32)| (request * 2, limit * 2);
        let both = Resources {
            cpu_millis: twice(pod.cpu_millis),
            memory_mib: twice(pod.memory_mib),
            disk_mib: twice(pod.disk_mib),
        };
        let mut hard = BTreeMap::from([
            ("pods".to_owned(), count(2)),
            ("persistentvolumeclaims".to_owned(), count(1)),
            ("requests.storage".to_owned(), gibi(self.storage_gib())),
            ("services".to_owned(), count(0)),
        ]);
        let prefixed =
            |prefix: &'static str| move |(key, value)| (format!("{prefix}.{key}"), value);
        hard.extend(both.requests().into_iter().map(prefixed("requests")));
        hard.extend(both.limits().into_iter().map(prefixed("limits")));
        let spec = ResourceQuotaSpec { hard: Some(hard), ..ResourceQuotaSpec::default() };
        ResourceQuota { metadata: self.metadata("tier-limits"), spec: Some(spec), status: None }
    }

    /// No container of the namespace asks for nothing, and none for more than the tier's pod.
    fn limit_range(self) -> LimitRange {
        let pod = self.resources();
        let container = LimitRangeItem {
            type_: "Container".to_owned(),
            default: Some(pod.limits()),
            default_request: Some(pod.requests()),
            max: Some(pod.limits()),
            ..LimitRangeItem::default()
        };
        LimitRange {
            metadata: self.metadata("tier-limits"),
            spec: Some(LimitRangeSpec { limits: vec![container] }),
        }
    }

    /// Out to the four data-plane services and nowhere else, not even DNS; in from nobody.
    ///
    /// Services are named by the labels of their pods: policy acts after the address of a Service
    /// was translated, so a rule for a ClusterIP would match nothing.
    fn isolation(self) -> NetworkPolicy {
        let egress = data_plane(&self.inventory.cluster.data_plane)
            .map(|service| (Peer::Platform(service.name), vec![Port::Tcp(service.port)]));
        policy(self.metadata("customer-isolation"), Labels::new(), &[], &egress)
    }

    fn service_account(self) -> ServiceAccount {
        ServiceAccount {
            metadata: self.metadata(GATEWAY),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        }
    }

    fn claim(self) -> PersistentVolumeClaim {
        let requests = BTreeMap::from([("storage".to_owned(), gibi(self.storage_gib()))]);
        PersistentVolumeClaim {
            metadata: self.metadata(CLAIM),
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
                storage_class_name: Some(self.inventory.cluster.storage_class.clone()),
                resources: Some(VolumeResourceRequirements {
                    requests: Some(requests),
                    ..VolumeResourceRequirements::default()
                }),
                ..PersistentVolumeClaimSpec::default()
            }),
            status: None,
        }
    }

    fn storage_gib(self) -> u32 {
        self.overlay.storage_gib.unwrap_or(self.tier.storage_gib)
    }

    fn metadata(self, name: &str) -> ObjectMeta {
        metadata(self.id, name)
    }

    fn resources(self) -> Resources {
        let Tier { cpu_millis, memory_mib, .. } = self.tier;
        Resources {
            cpu_millis: (cpu_millis.request, cpu_millis.limit),
            memory_mib: (memory_mib.request, memory_mib.limit),
            // `/tmp` of 512 MiB, the rest for the container's log.
            disk_mib: (128, 1024),
        }
    }
}

fn metadata(id: &TenantId, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(id.namespace()),
        labels: Some(labels::labels([
            (NAME, GATEWAY),
            (MANAGED_BY, "openclaw-cloud"),
            (TENANT, id.as_str()),
        ])),
        ..ObjectMeta::default()
    }
}

/// The names of the four services that a tenant pod may reach, and where it does.
pub fn data_plane_addresses(inventory: &Inventory) -> [(&'static str, SocketAddr); 4] {
    data_plane(&inventory.cluster.data_plane)
        .map(|service| (service.name, (service.address, service.port).into()))
}

/// One of the four services that a tenant pod may reach.
struct DataPlaneService {
    name: &'static str,
    /// The port of the container, and of the Service before it.
    port: u16,
    address: Ipv4Addr,
    /// The variable that tells the pod its address.
    variable: &'static str,
}

impl DataPlaneService {
    /// The full name: OpenClaw calls a host without a key only where it is `*.local`.
    fn host(&self) -> String {
        format!("{}.{}.svc.cluster.local", self.name, crate::PLATFORM)
    }

    fn url(&self) -> String {
        format!("http://{}:{}", self.host(), self.port)
    }
}

fn data_plane(addresses: &DataPlane) -> [DataPlaneService; 4] {
    let service =
        |name, port, address, variable| DataPlaneService { name, port, address, variable };
    [
        service("token-proxy", 8080, addresses.token_proxy, "OPENCLAW_TOKEN_PROXY_URL"),
        service("channels", 8092, addresses.channels, "OPENCLAW_CHANNELS_URL"),
        service("browser-proxy", 8090, addresses.browser_proxy, "OPENCLAW_BROWSER_PROXY_URL"),
        service("egress-proxy", 8091, addresses.egress_proxy, "OPENCLAW_EGRESS_PROXY_URL"),
    ]
}
