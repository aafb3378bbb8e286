//! The ConfigMap with what the agent knows: prompt files and gateway configuration.

use std::{
    collections::BTreeMap,
    sync::{LazyLock, OnceLock},
};

use k8s_openapi::api::core::v1::ConfigMap;
use oc_domain::{
    Locale, NicheId, TenantId, TenantSpec,
    catalog::{Limit, Templates},
};
use serde::Serialize;
use strum::VariantArray;
use tera::Tera;

use super::{Context, WORKSPACE};

/// The prompt files of a tenant by name.
pub(crate) fn files(id: &TenantId, spec: &TenantSpec) -> BTreeMap<String, String> {
    let context = context(id, spec);
    let names = Templates::NAMES.iter();
    names.map(|name| ((*name).to_owned(), render(spec, name, &context))).collect()
}

impl Context<'_> {
    pub(super) fn workspace(self) -> ConfigMap {
        let mut data = files(self.id, self.spec);
        data.insert("openclaw.json".to_owned(), self.gateway());
        ConfigMap { metadata: self.metadata(WORKSPACE), data: Some(data), ..ConfigMap::default() }
    }
}

/// What templates may use; `crates/domain/catalog/niches/` holds them.
#[derive(Serialize)]
struct Variables<'a> {
    tenant: Tenant<'a>,
    tier: Tier,
    niche: Niche<'a>,
    tools: Vec<String>,
}

#[derive(Serialize)]
struct Tenant<'a> {
    id: &'a str,
    connections: Vec<&'static str>,
}

#[derive(Serialize)]
struct Tier {
    name: String,
    telegram_users: Limit,
}

#[derive(Serialize)]
struct Niche<'a> {
    title: &'a str,
    guard_rules: Vec<&'a str>,
}

fn context(id: &TenantId, spec: &TenantSpec) -> tera::Context {
    let niche = spec.niche.get();
    let variables = Variables {
        tenant: Tenant {
            id: id.as_str(),
            connections: spec.connections.iter().map(|id| id.get().title.as_str()).collect(),
        },
        tier: Tier { name: spec.tier.to_string(), telegram_users: spec.tier.get().telegram_users },
        niche: Niche {
            title: niche.title.get(spec.locale),
            guard_rules: niche.guard_rules.iter().map(|rule| rule.get(spec.locale)).collect(),
        },
        tools: niche.tools.iter().map(ToString::to_string).collect(),
    };
    #[expect(clippy::expect_used, reason = "a struct of texts and lists is always a context")]
    tera::Context::from_serialize(&variables).expect("template variables")
}

/// The templates of a niche in a language, compiled once somebody renders them: a plan needs one of
/// all.
#[expect(clippy::indexing_slicing, reason = "there is one of each niche in each language")]
fn templates(niche: NicheId, locale: Locale) -> &'static Tera {
    type Each = BTreeMap<(NicheId, Locale), OnceLock<Tera>>;
    static EACH: LazyLock<Each> = LazyLock::new(|| {
        let locales = |niche| Locale::VARIANTS.iter().map(move |locale| (niche, *locale));
        let keys = NicheId::VARIANTS.iter().copied().flat_map(locales);
        keys.map(|key| (key, OnceLock::new())).collect()
    });
    EACH[&(niche, locale)].get_or_init(|| {
        let mut tera = Tera::new();
        #[expect(clippy::expect_used, reason = "a test renders every template of the catalog")]
        tera.add_raw_templates(niche.templates(locale).files()).expect("templates of the catalog");
        tera
    })
}

fn render(spec: &TenantSpec, file: &str, context: &tera::Context) -> String {
    let templates = templates(spec.niche, spec.locale);
    #[expect(clippy::expect_used, reason = "a test renders every template of the catalog")]
    templates.render(file, context).expect("a template of the catalog")
}

#[cfg(test)]
mod tests {
    use oc_domain::{ProviderId, TierId, tenant::State};

    use super::*;

    /// The most characters that the three files may have together: each is sent in every turn.
    const MAX_CHARACTERS: usize = 8_000;

    fn specs() -> impl Iterator<Item = TenantSpec> {
        NicheId::VARIANTS.iter().flat_map(|niche| {
            Locale::VARIANTS.iter().flat_map(|locale| {
                [Vec::new(), ProviderId::VARIANTS.to_vec()].map(|connections| TenantSpec {
                    tier: TierId::Enterprise,
                    niche: *niche,
                    locale: *locale,
                    model: None,
                    thinking: None,
                    channels: oc_domain::tenant::Channels::default(),
                    connections,
                    state: State::Active,
                    hold: None,
                })
            })
        })
    }

    /// Tokens of a turn that carries no niche: OpenClaw's own prompt and tools, measured.
    const LEAN_TURN: usize = 9_000;

    #[test]
    fn every_template_renders_within_its_size() {
        let id: TenantId = "c-7f3k2m9q".parse().unwrap();
        for spec in specs() {
            let files = files(&id, &spec);
            assert_eq!(files.len(), 3);
            let characters: usize = files.values().map(|text| text.chars().count()).sum();
            print_turns(&spec, characters);
            assert!(characters <= MAX_CHARACTERS, "{} {}: {characters}", spec.niche, spec.locale);
            assert!(files["IDENTITY.md"].contains(id.as_str()));
            for text in files.values() {
                assert!(!text.contains("{{") && !text.contains("{%"), "{text}");
            }
        }
    }

    /// What a niche's size means for customers: `cargo test every_template -- --nocapture` shows it.
    ///
    /// Estimated with four characters a token in English and three in Portuguese, uncached.
    fn print_turns(spec: &TenantSpec, characters: usize) {
        let per_token = if spec.locale == Locale::En { 4 } else { 3 };
        let turn = LEAN_TURN + characters / per_token;
        let turns: Vec<String> = TierId::VARIANTS
            .iter()
            .filter_map(|tier| {
                let tokens = tier.get().tokens_per_month.most()?;
                Some(format!("{tier} {}", tokens / turn as u64))
            })
            .collect();
        println!(
            "{} {} with {} connections: {characters} characters, {turn} tokens a turn; turns a month: {}",
            spec.niche,
            spec.locale,
            spec.connections.len(),
            turns.join(", ")
        );
    }

    #[test]
    fn what_is_the_same_for_all_tenants_comes_first() {
        // The upstream's cache works on prefixes: a tenant's own facts stand only in the last file.
        let ids: [TenantId; 2] = ["c-00000000", "c-11111111"].map(|id| id.parse().unwrap());
        for spec in specs() {
            let [a, b] = ids.each_ref().map(|id| files(id, &spec));
            assert_eq!(a["SOUL.md"], b["SOUL.md"]);
            assert_eq!(a["AGENTS.md"], b["AGENTS.md"]);
            assert_ne!(a["IDENTITY.md"], b["IDENTITY.md"]);
        }
    }

    #[test]
    fn agents_say_their_guard_rules_and_their_tools() {
        let id: TenantId = "c-7f3k2m9q".parse().unwrap();
        for spec in specs() {
            let agents = &files(&id, &spec)["AGENTS.md"];
            assert!(agents.contains("\n## Tools\n"), "{} {}", spec.niche, spec.locale);
            for rule in &spec.niche.get().guard_rules {
                assert!(agents.contains(rule.get(spec.locale)), "{} {}", spec.niche, spec.locale);
            }
        }
    }
}
