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
    let rows: Vec<String> = TierId::VARIANTS
        .iter()
        .map(|id| {
            let tier = id.get();
            format!("{id} {} {:?} {:?}", tier.price_cents, tier.tokens_per_month, tier.isolation)
        })
        .collect();
    assert_eq!(
        rows,
        [
            "starter 1900 AtMost(1000000) Shared",
            "pro 4900 AtMost(5000000) Shared",
            "team 12900 AtMost(20000000) Shared",
            "individual 4900 AtMost(5000000) Shared",
            "business 19900 AtMost(20000000) Shared",
            "enterprise 99900 ByContract Dedicated",
        ]
    );
}

#[test]
fn a_niche_is_complete_in_every_language() {
    for id in NicheId::VARIANTS {
        let niche = id.get();
        assert_eq!(niche.examples.len(), 6, "{id}: six example requests");
        assert!(niche.guard_rules.len() >= 5, "{id}: a regulated trade has rules");
        for locale in Locale::VARIANTS {
            let texts = [&niche.title, &niche.pitch, &niche.description];
            for text in texts.into_iter().chain(&niche.examples).chain(&niche.guard_rules) {
                assert!(!text.get(*locale).trim().is_empty(), "{id} {locale}");
            }
            assert!(!niche.pitch.get(*locale).contains('\n'), "{id} {locale}: one line");
        }
        // A text left in the other language is the usual way for a translation to be missing.
        for text in niche.examples.iter().chain(&niche.guard_rules).chain([&niche.description]) {
            assert_ne!(text.get(Locale::PtBr), text.get(Locale::En), "{id}");
        }
    }
}

/// Headings, list items and template blocks of a text, in their order.
fn shape(text: &str) -> Vec<&str> {
    let marks = text.lines().filter_map(|line| line.split(' ').next());
    marks.filter(|mark| mark.starts_with(['#', '-', '{'])).collect()
}

#[test]
fn a_translation_has_the_shape_of_its_original() {
    for id in NicheId::VARIANTS {
        let [original, translation] = [Locale::PtBr, Locale::En].map(|it| id.templates(it).files());
        for ((name, original), (_, translation)) in original.into_iter().zip(translation) {
            assert_eq!(shape(original), shape(translation), "{id} {name}");
            assert_ne!(original, translation, "{id} {name}");
        }
    }
}

/// A conversation that a niche is tried with.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Conversation {
    id: String,
    locale: Locale,
    request: String,
    must: Vec<String>,
    never: Vec<String>,
}

#[test]
fn the_conversations_of_a_niche_say_what_a_good_answer_is() {
    for (niche, text) in [
        ("legal", include_str!("../../catalog/niches/legal/conversations.json")),
        ("real-estate", include_str!("../../catalog/niches/real-estate/conversations.json")),
        ("accounting", include_str!("../../catalog/niches/accounting/conversations.json")),
        ("kintone", include_str!("../../catalog/niches/kintone/conversations.json")),
    ] {
        let all: Vec<Conversation> = serde_json::from_str(text).unwrap();
        let ids: BTreeSet<&str> = all.iter().map(|one| one.id.as_str()).collect();
        assert!(all.len() >= 20 && ids.len() == all.len(), "{niche}: {}", all.len());
        for locale in Locale::VARIANTS {
            let count = all.iter().filter(|one| one.locale == *locale).count();
            assert!(count >= 5, "{niche} {locale}: {count}");
        }
        for one in &all {
            let texts = one.must.iter().chain(&one.never).chain([&one.request]);
            assert!(texts.into_iter().all(|text| !text.trim().is_empty()), "{niche} {}", one.id);
            assert!(!one.must.is_empty() && !one.never.is_empty(), "{niche} {}", one.id);
        }
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
