//! The token proxy: the way of every tenant to the model providers.

use oc_domain::Inventory;

use super::{databases, internet, monitoring};
use crate::{
    Access, Object,
    network::{Peer, Port},
    service::{Service, secret_file},
};

const NAME: &str = "token-proxy";
const PORT: u16 = 8080;
const ALERTS: &str = include_str!("../../monitoring/token-proxy.alerts.yaml");
const DASHBOARD: &str = include_str!("../../monitoring/token-proxy.dashboard.json");

pub(super) fn objects(inventory: &Inventory) -> Vec<Object> {
    let mut egress = databases();
    egress.push((internet(inventory), vec![Port::Tcp(443)]));
    let service = Service {
        name: NAME,
        arguments: &[],
        replicas: 2,
        port: Some(PORT),
        address: Some(inventory.cluster.data_plane.token_proxy),
        cpu_millis: (250, 2000),
        memory_mib: (128, 384),
        environment: vec![
            ("OPENCLAW_TOKEN_PROXY_LISTEN", format!("0.0.0.0:{PORT}")),
            ("OPENCLAW_TOKEN_PROXY_UPSTREAMS", secret_file("upstreams.json")),
            ("OPENCLAW_TOKEN_PROXY_PUBLIC_KEYS", secret_file("platform-token.pub")),
            // Billing follows the links that the proxy's notices carry.
            (
                "OPENCLAW_TOKEN_PROXY_UPGRADE_URL",
                format!("https://{}/u/", inventory.cluster.domain),
            ),
            ("OPENCLAW_LINK_KEY_FILE", secret_file("link-key")),
            ("DATABASE_URL_FILE", secret_file("database-url")),
            ("REDIS_URL_FILE", secret_file("redis-url")),
        ],
        secret: Some(NAME),
        scratch_mib: None,
        ingress: vec![Peer::Tenants],
        egress,
        access: Access::None,
        // An answer that streams is worth waiting for: what is cut off is paid for all the same.
        grace_seconds: 60,
    };
    let mut objects = service.objects(inventory);
    objects.push(monitoring::alerts(NAME, ALERTS).into());
    objects.push(monitoring::dashboard(NAME, DASHBOARD).into());
    objects
}
