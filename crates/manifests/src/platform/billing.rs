//! Billing: what Stripe says becomes commits of the fleet repository.

use oc_domain::Inventory;

use super::{FLEET_MIB, databases, fleet_repository, internet, monitoring};
use crate::{
    Access, Object,
    network::{Peer, Port},
    service::{Service, secret_file},
};

const NAME: &str = "billing";
const PORT: u16 = 8093;
const ALERTS: &str = include_str!("../../monitoring/billing.alerts.yaml");
const DASHBOARD: &str = include_str!("../../monitoring/billing.dashboard.json");

pub(super) fn objects(inventory: &Inventory) -> Vec<Object> {
    let mut egress = databases();
    // Stripe, and the host of the fleet repository.
    egress.push((internet(inventory), vec![Port::Tcp(443), Port::Tcp(22)]));
    let service = Service {
        name: NAME,
        arguments: &["serve"],
        // All of them answer and review; one commits, and when it ends another takes over.
        replicas: 2,
        port: Some(PORT),
        address: None,
        cpu_millis: (100, 1000),
        memory_mib: (128, 512),
        environment: [
            ("OPENCLAW_BILLING_LISTEN", format!("0.0.0.0:{PORT}")),
            ("OPENCLAW_BILLING_PUBLIC_URL", format!("https://{}", inventory.cluster.domain)),
            ("OPENCLAW_BILLING_WEBHOOK_SECRETS", secret_file("webhook-secrets")),
            ("OPENCLAW_BILLING_INTERNAL_KEY_FILE", secret_file("internal-key")),
            ("OPENCLAW_BILLING_ADMIN_KEY_FILE", secret_file("admin-key")),
            ("OPENCLAW_LINK_KEY_FILE", secret_file("link-key")),
            ("STRIPE_KEY_FILE", secret_file("stripe-key")),
            ("DATABASE_URL_FILE", secret_file("database-url")),
            ("REDIS_URL_FILE", secret_file("redis-url")),
        ]
        .into_iter()
        .chain(fleet_repository(inventory))
        .collect(),
        secret: Some(NAME),
        scratch_mib: Some(FLEET_MIB),
        // The webhook and the links from outside; the rest is for the web pages, with a key.
        ingress: vec![Peer::Ingress, Peer::Platform("api")],
        egress,
        access: Access::None,
        grace_seconds: 30,
    };
    let mut objects = service.objects(inventory);
    objects.push(monitoring::alerts(NAME, ALERTS).into());
    objects.push(monitoring::dashboard(NAME, DASHBOARD).into());
    objects
}
