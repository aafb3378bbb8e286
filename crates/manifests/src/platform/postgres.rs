//! Postgres: one pod on a volume, until CloudNativePG takes over.

use k8s_openapi::api::core::v1::Container;
use oc_domain::Inventory;

use super::stateful::Database;
use crate::{
    Object,
    pod::{self, Resources},
};

/// Client and server are of one image, so that a dump is never older than its server.
pub(super) const IMAGE: &str = "docker.io/library/postgres:18.1-alpine";
pub(super) const NAME: &str = "postgres";
pub(super) const PORT: u16 = 5432;
/// `postgres` in the Alpine image.
pub(super) const USER: i64 = 70;
pub(super) const DATABASE: &str = "openclaw";
pub(super) const SECRET: &str = "postgres";

const CLIENTS: &[&str] =
    &["api", "billing", "channels", "operator", "postgres-backup", "token-proxy"];

pub(super) fn objects(inventory: &Inventory) -> Vec<Object> {
    let resources =
        Resources { cpu_millis: (250, 2000), memory_mib: (512, 1024), disk_mib: (64, 512) };
    let probe = ["pg_isready", "--host=127.0.0.1", "--username=postgres"];
    let container = Container {
        image: Some(IMAGE.to_owned()),
        args: Some(
            ["-c", "shared_buffers=256MB", "-c", "password_encryption=scram-sha-256"]
                .map(str::to_owned)
                .into(),
        ),
        env: Some(vec![
            pod::env("POSTGRES_DB", DATABASE),
            pod::env("POSTGRES_PASSWORD_FILE", "/etc/postgres/secret/password"),
            // Below the mount point, which holds the volume's own `lost+found`.
            pod::env("PGDATA", "/var/lib/postgresql/18/docker"),
        ]),
        startup_probe: Some(pod::exec_probe(&probe, 5, 60)),
        readiness_probe: Some(pod::exec_probe(&probe, 5, 2)),
        liveness_probe: Some(pod::exec_probe(&probe, 10, 6)),
        resources: Some(resources.requirements()),
        volume_mounts: Some(vec![
            pod::mount("run", "/var/run/postgresql"),
            pod::read_only("secret", "/etc/postgres/secret"),
        ]),
        ..Container::default()
    };
    let database = Database {
        name: NAME,
        port: PORT,
        user: USER,
        storage_gib: 20,
        // A fast shutdown writes a checkpoint first.
        grace_seconds: 120,
        container,
        data_path: "/var/lib/postgresql",
        volumes: vec![pod::empty_dir("run", 8), pod::secret("secret", SECRET)],
        clients: CLIENTS,
    };
    database.objects(inventory)
}
