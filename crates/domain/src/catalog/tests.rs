use std::collections::BTreeSet;

use strum::VariantArray;

use super::*;

#[test]
fn every_entry_of_the_catalog_can_be_read() {
    for tier in TierId::VARIANTS {
        let tier = tier.get();
        assert!(tier.cpu_millis.request <= tier.cpu_millis.limit);
        assert!(tier.memory_mib.request <= tier.memory_mib.limit);
    }
    for niche in NicheId::VARIANTS {
        niche.get();
    }
    for provider in ProviderId::VARIANTS {
        provider.get();
    }
    for model in ModelId::VARIANTS {
        model.get();
    }
}

#[test]
fn tiers_are_those_of_the_price_list() {
    let row = |id: &TierId| {
        let tier = id.get();
        format!("{id} {} {:?} {:?}", tier.price_cents, tier.tokens_per_month, tier.isolation)
    };
    let rows: Vec<String> = TierId::VARIANTS.iter().map(row).collect();
    // What was sold stays what it was; a new tier need not stand here.
    for sold in [
        "starter 1900 AtMost(1000000) Shared",
        "pro 4900 AtMost(5000000) Shared",
        "team 12900 AtMost(20000000) Shared",
        "individual 4900 AtMost(5000000) Shared",
        "business 19900 AtMost(20000000) Shared",
        "enterprise 99900 ByContract Dedicated",
    ] {
        assert!(rows.iter().any(|row| row == sold), "{sold}: {rows:#?}");
    }
}

#[test]
fn provider_hosts_are_exact_names() {
    for id in ProviderId::VARIANTS {
        let provider = id.get();
        let mut seen = BTreeSet::new();
        for host in &provider.hosts {
            let valid = host.split('.').count() >= 2
                && host
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b));
            assert!(valid, "{id}: {host:?} is no exact host name");
            assert!(seen.insert(host), "{id}: {host:?} twice");
        }
        assert!(!provider.hosts.is_empty() || !provider.tenant_hosts.is_empty(), "{id}");
        if let Server::Mcp { servers } = &provider.server {
            for server in servers {
                let host =
                    server.url.strip_prefix("https://").and_then(|rest| rest.split('/').next());
                let host = host.unwrap_or_else(|| panic!("{id}: {} is not https", server.url));
                assert!(
                    provider.hosts.iter().any(|known| known == host),
                    "{id}: {host} is no host of it"
                );
            }
        }
    }
}
