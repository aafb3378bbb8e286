//! A database of one pod: what Postgres and Redis have in common.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec},
        core::v1::{
            Container, ContainerPort, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSpec,
            PodTemplateSpec, Service, ServiceAccount, ServicePort, ServiceSpec, Volume,
            VolumeResourceRequirements,
        },
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use oc_domain::Inventory;

use crate::{
    Object,
    labels::{NAME, component, labels, selector},
    network::{Peer, Port, policy},
    pod,
    quantity::gibi,
    service::{metadata, prefer_platform_nodes},
};

/// A database of one pod with one volume.
pub(super) struct Database {
    pub name: &'static str,
    pub port: u16,
    /// The user of the image.
    pub user: i64,
    pub storage_gib: u32,
    pub grace_seconds: i64,
    /// Everything but what all databases share: security, port, mounts of `data` and `tmp`.
    pub container: Container,
    pub data_path: &'static str,
    pub volumes: Vec<Volume>,
    /// The components that may connect.
    pub clients: &'static [&'static str],
}

impl Database {
    pub(super) fn objects(self, inventory: &Inventory) -> Vec<Object> {
        let clients: Vec<_> = self
            .clients
            .iter()
            .map(|client| (Peer::Platform(client), vec![Port::Tcp(self.port)]))
            .collect();
        let network_policy =
            policy(metadata(self.name), labels([(NAME, self.name)]), &clients, &[]);
        let service_account = ServiceAccount {
            metadata: metadata(self.name),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        };
        vec![
            service_account.into(),
            network_policy.into(),
            self.service().into(),
            self.stateful_set(inventory).into(),
        ]
    }

    /// Headless: with one pod there is nothing to balance.
    fn service(&self) -> Service {
        let spec = ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(labels([(NAME, self.name)])),
            ports: Some(vec![ServicePort {
                name: Some(self.name.to_owned()),
                port: self.port.into(),
                target_port: Some(IntOrString::String(self.name.to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        };
        Service { metadata: metadata(self.name), spec: Some(spec), status: None }
    }

    fn stateful_set(self, inventory: &Inventory) -> StatefulSet {
        let metadata = metadata(self.name);
        let keep = || Some("Retain".to_owned());
        let spec = StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(self.name.to_owned()),
            revision_history_limit: Some(3),
            selector: selector([(NAME, self.name)]),
            volume_claim_templates: Some(vec![self.claim(inventory)]),
            persistent_volume_claim_retention_policy: Some(
                StatefulSetPersistentVolumeClaimRetentionPolicy {
                    when_deleted: keep(),
                    when_scaled: keep(),
                },
            ),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(component(self.name)),
                    ..ObjectMeta::default()
                }),
                spec: Some(self.pod()),
            },
            ..StatefulSetSpec::default()
        };
        StatefulSet { metadata, spec: Some(spec), status: None }
    }

    fn claim(&self, inventory: &Inventory) -> PersistentVolumeClaim {
        let requests = BTreeMap::from([("storage".to_owned(), gibi(self.storage_gib))]);
        PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some("data".to_owned()),
                labels: Some(component(self.name)),
                ..ObjectMeta::default()
            },
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
                storage_class_name: Some(inventory.cluster.storage_class.clone()),
                resources: Some(VolumeResourceRequirements {
                    requests: Some(requests),
                    ..VolumeResourceRequirements::default()
                }),
                ..PersistentVolumeClaimSpec::default()
            }),
            status: None,
        }
    }

    fn pod(self) -> PodSpec {
        let mut mounts = vec![pod::mount("data", self.data_path), pod::mount("tmp", "/tmp")];
        mounts.extend(self.container.volume_mounts.unwrap_or_default());
        let container = Container {
            name: self.name.to_owned(),
            image_pull_policy: Some("IfNotPresent".to_owned()),
            ports: Some(vec![ContainerPort {
                name: Some(self.name.to_owned()),
                container_port: self.port.into(),
                protocol: Some("TCP".to_owned()),
                ..ContainerPort::default()
            }]),
            security_context: Some(pod::container_security()),
            volume_mounts: Some(mounts),
            ..self.container
        };
        let mut volumes = vec![pod::empty_dir("tmp", 64)];
        volumes.extend(self.volumes);
        PodSpec {
            service_account_name: Some(self.name.to_owned()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            priority_class_name: Some("openclaw-platform".to_owned()),
            affinity: Some(prefer_platform_nodes()),
            security_context: Some(pod::pod_security(self.user)),
            termination_grace_period_seconds: Some(self.grace_seconds),
            containers: vec![container],
            volumes: Some(volumes),
            ..PodSpec::default()
        }
    }
}
