//! The token proxy: the way of every tenant to the model providers.

use oc_domain::Inventory;

use super::{monitoring, postgres, redis};
use crate::{
    Access, Object,
    network::{Peer, Port},
    service::Service,
};

const NAME: &str = "token-proxy";
const PORT: u16 = 8080;
const ALERTS: &str = include_str!("../../monitoring/token-proxy.alerts.yaml");
const DASHBOARD: &str = include_str!("../../monitoring/token-proxy.dashboard.json");

pub(super) fn objects(inventory: &Inventory) -> Vec<Object> {
    let cluster = &inventory.cluster;
    let inside = [cluster.private_network, cluster.cluster_cidr, cluster.service_cidr];
    let secret = |file: &str| format!("/etc/openclaw/secret/{file}");
    let service = Service {
        name: NAME,
        replicas: 2,
        port: Some(PORT),
        address: Some(cluster.data_plane.token_proxy),
        cpu_millis: (250, 2000),
        memory_mib: (128, 384),
        environment: vec![
            ("OPENCLAW_TOKEN_PROXY_LISTEN", format!("0.0.0.0:{PORT}")),
            ("OPENCLAW_TOKEN_PROXY_UPSTREAMS", secret("upstreams.json")),
            ("OPENCLAW_TOKEN_PROXY_PUBLIC_KEYS", secret("platform-token.pub")),
            ("DATABASE_URL_FILE", secret("database-url")),
            ("REDIS_URL_FILE", secret("redis-url")),
        ],
        secret: Some(NAME),
        ingress: vec![Peer::Tenants],
        egress: vec![
            (Peer::Platform(postgres::NAME), vec![Port::Tcp(postgres::PORT)]),
            (Peer::Platform(redis::NAME), vec![Port::Tcp(redis::PORT)]),
            // Unlike the backup's S3, model providers publish no networks: they answer from CDNs
            // whose addresses change by the day, so a list in the inventory would be an outage.
            (
                Peer::Internet { except: inside.map(|network| network.0.to_string()).into() },
                vec![Port::Tcp(443)],
            ),
        ],
        access: Access::None,
        // An answer that streams is worth waiting for: what is cut off is paid for all the same.
        grace_seconds: 60,
    };
    let mut objects = service.objects(inventory);
    objects.push(monitoring::alerts(NAME, ALERTS).into());
    objects.push(monitoring::dashboard(NAME, DASHBOARD).into());
    objects
}
