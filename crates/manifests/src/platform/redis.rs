//! Redis: counters, reservations, streams. Nothing in it may be evicted.

use k8s_openapi::api::core::v1::Container;
use oc_domain::Inventory;

use super::stateful::Database;
use crate::{
    Object,
    pod::{self, Resources},
};

const IMAGE: &str = "docker.io/library/redis:8.2.3-alpine";
pub(super) const NAME: &str = "redis";
pub(super) const PORT: u16 = 6379;
const CLIENTS: &[&str] =
    &["api", "billing", "browser-proxy", "channels", "egress-proxy", "operator", "token-proxy"];

/// Options of the server, on the command line: a change is a change of the pod, so it restarts.
///
/// `noeviction`: a full Redis refuses writes, where the seed's threw away queued work.
const OPTIONS: [(&str, &str); 6] = [
    ("appendonly", "yes"),
    ("appendfsync", "everysec"),
    ("maxmemory", "768mb"),
    ("maxmemory-policy", "noeviction"),
    ("dir", "/data"),
    ("aclfile", "/etc/redis/secret/users.acl"),
];

pub(super) fn objects(inventory: &Inventory) -> Vec<Object> {
    let resources = Resources {
        cpu_millis: (100, 1000),
        // Above `maxmemory`: rewriting the log takes a copy of what changes meanwhile.
        memory_mib: (512, 1536),
        disk_mib: (64, 512),
    };
    // Without a password the answer is NOAUTH, which says as well that it serves; while it loads
    // its log the answer is LOADING.
    let probe = ["sh", "-c", "redis-cli ping | grep -Eq 'PONG|NOAUTH'"];
    let options =
        OPTIONS.iter().flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]);
    let arguments = std::iter::once("redis-server".to_owned()).chain(options).collect();
    let container = Container {
        image: Some(IMAGE.to_owned()),
        args: Some(arguments),
        startup_probe: Some(pod::exec_probe(&probe, 5, 60)),
        readiness_probe: Some(pod::exec_probe(&probe, 5, 2)),
        liveness_probe: Some(pod::exec_probe(&probe, 10, 6)),
        resources: Some(resources.requirements()),
        volume_mounts: Some(vec![pod::read_only("secret", "/etc/redis/secret")]),
        ..Container::default()
    };
    let database = Database {
        name: NAME,
        port: PORT,
        // `redis` in the Alpine image.
        user: 999,
        storage_gib: 5,
        grace_seconds: 60,
        container,
        data_path: "/data",
        volumes: vec![pod::secret("secret", NAME)],
        clients: CLIENTS,
    };
    database.objects(inventory)
}
