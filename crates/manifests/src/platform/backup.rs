//! The nightly dump of Postgres to S3.

use k8s_openapi::{
    api::{
        batch::v1::{CronJob, CronJobSpec, JobSpec, JobTemplateSpec},
        core::v1::{Container, PodSpec, PodTemplateSpec, ServiceAccount, VolumeMount},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use oc_domain::Inventory;

use super::postgres;
use crate::{
    Object,
    labels::{NAME as NAME_LABEL, component, labels},
    network::{Peer, Port, dns, policy},
    pod::{self, Resources},
    service::{metadata, prefer_platform_nodes},
};

const NAME: &str = "postgres-backup";
const UPLOADER: &str = "docker.io/rclone/rclone:1.72.0";
const SECRET: &str = "backup";
const DUMP: &str = "/backup/openclaw.dump";

pub(super) fn objects(inventory: &Inventory) -> Vec<Object> {
    let s3 = inventory.cluster.s3.networks.iter().map(|network| network.0.to_string()).collect();
    let egress = [
        dns(),
        (Peer::Platform(postgres::NAME), vec![Port::Tcp(postgres::PORT)]),
        (Peer::Networks(s3), vec![Port::Tcp(443)]),
    ];
    let service_account = ServiceAccount {
        metadata: metadata(NAME),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    vec![
        service_account.into(),
        policy(metadata(NAME), labels([(NAME_LABEL, NAME)]), &[], &egress).into(),
        cron_job(inventory).into(),
    ]
}

fn cron_job(inventory: &Inventory) -> CronJob {
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(component(NAME)), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            restart_policy: Some("OnFailure".to_owned()),
            service_account_name: Some(NAME.to_owned()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            priority_class_name: Some("openclaw-platform".to_owned()),
            affinity: Some(prefer_platform_nodes()),
            security_context: Some(pod::pod_security(postgres::USER)),
            // One after the other: an upload never starts before its dump is whole.
            init_containers: Some(vec![dump()]),
            containers: vec![upload(inventory)],
            volumes: Some(vec![
                pod::empty_dir("backup", 8 * 1024),
                pod::empty_dir("tmp", 64),
                pod::secret("postgres-secret", postgres::SECRET),
                pod::secret("backup-secret", SECRET),
            ]),
            ..PodSpec::default()
        }),
    };
    let job = JobSpec {
        backoff_limit: Some(3),
        active_deadline_seconds: Some(3600),
        template,
        ..JobSpec::default()
    };
    CronJob {
        metadata: metadata(NAME),
        spec: Some(CronJobSpec {
            schedule: "17 3 * * *".to_owned(),
            time_zone: Some("Etc/UTC".to_owned()),
            concurrency_policy: Some("Forbid".to_owned()),
            starting_deadline_seconds: Some(3600),
            successful_jobs_history_limit: Some(1),
            failed_jobs_history_limit: Some(3),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(component(NAME)),
                    ..ObjectMeta::default()
                }),
                spec: Some(job),
            },
            ..CronJobSpec::default()
        }),
        status: None,
    }
}

fn dump() -> Container {
    let host = format!("{}.{}.svc.cluster.local", postgres::NAME, crate::PLATFORM);
    // Read from the file here, since libpq refuses a password file that a group can read.
    let script = format!(
        "PGPASSWORD=\"$(cat /etc/postgres/secret/password)\" \
         exec pg_dump --format=custom --file={DUMP}"
    );
    Container {
        name: "dump".to_owned(),
        image: Some(postgres::IMAGE.to_owned()),
        env: Some(vec![
            pod::env("PGHOST", host),
            pod::env("PGDATABASE", postgres::DATABASE),
            pod::env("PGUSER", "postgres"),
        ]),
        ..container(script, pod::read_only("postgres-secret", "/etc/postgres/secret"))
    }
}

/// Named by the weekday: seven days of nightly dumps, each replaced a week later. Longer keeping is
/// the bucket's own policy of versions.
fn upload(inventory: &Inventory) -> Container {
    let s3 = &inventory.cluster.s3;
    let script = format!("exec rclone copyto {DUMP} \"s3:$BUCKET/postgres/$(date -u +%a).dump\"");
    Container {
        name: "upload".to_owned(),
        image: Some(UPLOADER.to_owned()),
        env: Some(vec![
            pod::env("BUCKET", &s3.bucket),
            // The keys stand in the file, the rest here.
            pod::env("RCLONE_CONFIG", "/etc/backup/secret/rclone.conf"),
            pod::env("RCLONE_CONFIG_S3_TYPE", "s3"),
            pod::env("RCLONE_CONFIG_S3_PROVIDER", "Other"),
            pod::env("RCLONE_CONFIG_S3_ENDPOINT", &s3.endpoint),
            pod::env("RCLONE_CONFIG_S3_REGION", &s3.region),
        ]),
        ..container(script, pod::read_only("backup-secret", "/etc/backup/secret"))
    }
}

fn container(script: String, secret: VolumeMount) -> Container {
    let resources =
        Resources { cpu_millis: (100, 1000), memory_mib: (128, 512), disk_mib: (1024, 9 * 1024) };
    Container {
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(vec!["sh".to_owned(), "-euc".to_owned(), script]),
        resources: Some(resources.requirements()),
        security_context: Some(pod::container_security()),
        volume_mounts: Some(vec![
            pod::mount("backup", "/backup"),
            pod::mount("tmp", "/tmp"),
            secret,
        ]),
        ..Container::default()
    }
}
