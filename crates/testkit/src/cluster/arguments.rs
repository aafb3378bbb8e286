//! How each program is called.

use std::{net::SocketAddr, path::Path};

use serde_json::{Value, json};

use super::Options;

/// Requests a second: the defaults of 20 and 50 would become the limit of whatever is measured
/// here.
const QPS: u32 = 1000;
const BURST: u32 = 2000;

/// No port, hence no certificate and no clash with another cluster.
const SERVE_NOTHING: &str = "--secure-port=0";

/// On unix sockets in the directory: no port, no certificate, and nobody else's.
pub(super) fn etcd(directory: &Path, options: &Options) -> Vec<String> {
    let at = directory.display();
    let mut arguments = vec![
        "--name=testkit".to_owned(),
        format!("--data-dir={at}/etcd"),
        format!("--listen-client-urls=unix://{at}/etcd.sock"),
        // Host and port are demanded of what follows, and become the name of a file in the working
        // directory.
        "--advertise-client-urls=unix://client:0".to_owned(),
        "--listen-peer-urls=unix://peer:0".to_owned(),
        "--initial-advertise-peer-urls=unix://peer:0".to_owned(),
        "--initial-cluster=testkit=unix://peer:0".to_owned(),
        "--quota-backend-bytes=4294967296".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    if !options.durable {
        // What a process has written outlives it; only a crash of the machine would lose it.
        arguments.push("--unsafe-no-fsync".to_owned());
    }
    arguments
}

pub(super) fn api_server(directory: &Path, address: SocketAddr, options: &Options) -> Vec<String> {
    let at = directory.display();
    vec![
        format!("--etcd-servers=unix://{at}/etcd.sock"),
        format!("--bind-address={}", address.ip()),
        format!("--secure-port={}", address.port()),
        "--permit-port-sharing".to_owned(),
        // A loopback address is no valid endpoint of the service `kubernetes`.
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--cert-dir={at}"),
        format!("--tls-cert-file={at}/server.crt"),
        format!("--tls-private-key-file={at}/server.key"),
        format!("--client-ca-file={at}/ca.crt"),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-signing-key-file={at}/accounts.key"),
        format!("--service-account-key-file={at}/accounts.pub"),
        format!("--service-cluster-ip-range={}", options.service_range),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--anonymous-auth=false".to_owned(),
        // As in K3s: refusing privileged pods is Pod Security's part, which tests shall see.
        "--allow-privileged".to_owned(),
        format!("--audit-policy-file={at}/audit-policy.yaml"),
        format!("--audit-log-path={at}/audit.log"),
        "--audit-log-maxsize=4096".to_owned(), // MB; what is rotated away would not be counted.
        format!("--max-requests-inflight={BURST}"),
        format!("--max-mutating-requests-inflight={QPS}"),
    ]
}

pub(super) fn controller_manager(directory: &Path, kubeconfig: &Path) -> Vec<String> {
    let at = directory.display();
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        "--controllers=*".to_owned(),
        "--use-service-account-credentials".to_owned(),
        format!("--service-account-private-key-file={at}/accounts.key"),
        format!("--root-ca-file={at}/ca.crt"),
        format!("--kube-api-qps={QPS}"),
        format!("--kube-api-burst={BURST}"),
        "--leader-elect=false".to_owned(),
        SERVE_NOTHING.to_owned(),
    ]
}

pub(super) fn scheduler(configuration: &Path) -> Vec<String> {
    vec![format!("--config={}", configuration.display()), SERVE_NOTHING.to_owned()]
}

/// The scheduler's flags for rates are deprecated, its file is the way.
pub(super) fn scheduler_configuration(kubeconfig: &Path) -> Value {
    json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": { "kubeconfig": kubeconfig, "qps": QPS, "burst": BURST },
        "leaderElection": { "leaderElect": false },
    })
}

/// Without `--server-address` it serves nothing either.
pub(super) fn kwok(kubeconfig: &Path, stages: &Path, options: &Options) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--config={}", stages.display()),
        format!("--cidr={}", options.pod_range),
        "--manage-all-nodes".to_owned(),
    ]
}
