//! Channels: the way of every tenant to Telegram, and back.

use oc_domain::Inventory;

use super::{databases, internet, monitoring};
use crate::{
    Access, Object,
    network::{Peer, Port},
    service::{Service, secret_file},
};

const NAME: &str = "channels";
const PORT: u16 = 8092;
const ALERTS: &str = include_str!("../../monitoring/channels.alerts.yaml");
const DASHBOARD: &str = include_str!("../../monitoring/channels.dashboard.json");

pub(super) fn objects(inventory: &Inventory) -> Vec<Object> {
    let mut egress = databases();
    // Telegram.
    egress.push((internet(inventory), vec![Port::Tcp(443)]));
    let domain = &inventory.cluster.domain;
    let service = Service {
        name: NAME,
        arguments: &["serve"],
        // All of them serve pods and take deliveries; one tells people what there is to tell.
        replicas: 2,
        port: Some(PORT),
        address: Some(inventory.cluster.data_plane.channels),
        cpu_millis: (100, 2000),
        // Ten thousand pods that wait take less than 300.
        memory_mib: (192, 512),
        environment: vec![
            ("OPENCLAW_CHANNELS_LISTEN", format!("0.0.0.0:{PORT}")),
            ("OPENCLAW_CHANNELS_PUBLIC_URL", format!("https://{domain}")),
            ("OPENCLAW_CHANNELS_PUBLIC_KEYS", secret_file("platform-token.pub")),
            ("OPENCLAW_CHANNELS_INTERNAL_KEY_FILE", secret_file("internal-key")),
            ("OPENCLAW_CHANNELS_UPGRADE_URL", format!("https://{domain}/u/")),
            ("OPENCLAW_ENVELOPE_KEY_FILE", secret_file("envelope-keys")),
            ("OPENCLAW_LINK_KEY_FILE", secret_file("link-key")),
            ("DATABASE_URL_FILE", secret_file("database-url")),
            ("REDIS_URL_FILE", secret_file("redis-url")),
        ],
        secret: Some(NAME),
        scratch_mib: None,
        // Pods, Telegram from outside, and the web pages with a key.
        ingress: vec![Peer::Tenants, Peer::Ingress, Peer::Platform("api")],
        egress,
        access: Access::None,
        grace_seconds: 30,
    };
    let mut objects = service.objects(inventory);
    objects.push(monitoring::alerts(NAME, ALERTS).into());
    objects.push(monitoring::dashboard(NAME, DASHBOARD).into());
    objects
}
