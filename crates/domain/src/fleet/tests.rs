use serde_json::json;

use super::*;
use crate::catalog::{ProviderId, Thinking};

/// What is told of a tenant of `tier` that has everything.
fn told(tier: TierId) -> Vec<String> {
    let path = "tenants/7f/c-7f3k2m9q.json";
    let tenant = json!({
        "apiVersion": tenant::API_VERSION,
        "kind": "Tenant",
        "metadata": { "name": "c-7f3k2m9q" },
        "spec": {
            "tier": tier, "niche": "pharmacy", "locale": "pt-BR", "state": "active",
            "thinking": Thinking::High, "connections": ProviderId::VARIANTS,
        },
    });
    let errors = parse_tenant(path, tenant.to_string().as_bytes()).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn what_a_tier_does_not_allow_names_the_tier_that_does() {
    let told: Vec<String> = TierId::VARIANTS.iter().copied().flat_map(told).collect();
    insta::assert_snapshot!(told.join("\n"));
}
