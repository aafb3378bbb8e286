//! `catalog`: what we sell and what agents know, for people and for the web.

use std::{collections::BTreeMap, process::ExitCode};

use clap::{Args, ValueEnum};
use oc_domain::{
    Locale, NicheId, ProviderId, TierId,
    catalog::{Limit, Server, Tier},
};
use serde::Serialize;
use strum::VariantArray;

use crate::{
    check::print_json,
    failure::Failure,
    plan::dollars,
    tenant::{print, table},
};

/// Shows what we sell and what agents know: tiers with their limits, niches, providers
#[derive(Args)]
pub(crate) struct Catalog {
    /// Which part [default: all]
    #[arg(value_enum)]
    part: Option<Part>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What can be bought
    Tiers,
    /// What agents know
    Niches,
    /// What agents can be connected with
    Providers,
}

/// Parts of the catalog, by id.
#[derive(Serialize)]
struct Document {
    #[serde(skip_serializing_if = "Option::is_none")]
    tiers: Option<BTreeMap<TierId, &'static Tier>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    niches: Option<BTreeMap<NicheId, &'static oc_domain::catalog::Niche>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    providers: Option<BTreeMap<ProviderId, &'static oc_domain::catalog::Provider>>,
}

impl Catalog {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let wants = |part| self.part.is_none_or(|wanted| wanted == part);
        if self.json {
            let all = Document {
                tiers: wants(Part::Tiers).then(|| by_id(|id: TierId| id.get())),
                niches: wants(Part::Niches).then(|| by_id(|id: NicheId| id.get())),
                providers: wants(Part::Providers).then(|| by_id(|id: ProviderId| id.get())),
            };
            print_json(&all)?;
            return Ok(ExitCode::SUCCESS);
        }
        let parts: [(Part, fn()); 3] =
            [(Part::Tiers, tiers), (Part::Niches, niches), (Part::Providers, providers)];
        for (index, (_, show)) in parts.into_iter().filter(|(part, _)| wants(*part)).enumerate() {
            if index > 0 {
                anstream::println!();
            }
            show();
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn by_id<Id: VariantArray + Copy + Ord, T>(
    get: impl Fn(Id) -> &'static T,
) -> BTreeMap<Id, &'static T> {
    Id::VARIANTS.iter().map(|id| (*id, get(*id))).collect()
}

/// One column a tier, since their limits are compared.
fn tiers() {
    let mut header = vec!["TIER".to_owned()];
    header.extend(TierId::VARIANTS.iter().map(ToString::to_string));
    let mut all = table([""; 0]);
    all.set_header(header);
    let mut row = |name: &str, value: &dyn Fn(&Tier) -> String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(TierId::VARIANTS.iter().map(|tier| value(tier.get())));
        all.add_row(cells);
    };
    row("family", &|tier| tier.family.to_string());
    row("price a month", &|tier| dollars(tier.price_cents.cast_signed()));
    row("tokens a month", &|tier| limit(tier.tokens_per_month));
    row("messages a month", &|tier| limit(tier.messages_per_month));
    row("agents", &|tier| limit(tier.agents));
    row("Telegram users", &|tier| limit(tier.telegram_users));
    row("automations", &|tier| limit(tier.automations));
    row("integrations", &|tier| limit(tier.integrations));
    row("thinking", &|tier| tier.thinking.to_string());
    row("CPU, request-limit", &|tier| {
        format!("{}m-{}m", tier.cpu_millis.request, tier.cpu_millis.limit)
    });
    row("memory, request-limit", &|tier| {
        format!("{}-{} MiB", tier.memory_mib.request, tier.memory_mib.limit)
    });
    row("storage", &|tier| format!("{} GiB", tier.storage_gib));
    row("isolation", &|tier| word(&tier.isolation));
    print(&mut all);
}

fn niches() {
    let mut all = table(["NICHE", "TITLE", "TÍTULO", "TOOLS", "CONNECTIONS"]);
    for id in NicheId::VARIANTS {
        let niche = id.get();
        all.add_row([
            id.to_string(),
            niche.title.get(Locale::En).to_owned(),
            niche.title.get(Locale::PtBr).to_owned(),
            words(&niche.tools),
            words(&niche.connections),
        ]);
    }
    print(&mut all);
}

fn providers() {
    let mut all = table(["PROVIDER", "TITLE", "AUTH", "BY", "HOSTS", "CHECKED"]);
    for id in ProviderId::VARIANTS {
        let provider = id.get();
        let by = match &provider.server {
            Server::Mcp { .. } => "MCP".to_owned(),
            Server::McpPackage { package, .. } => format!("MCP, {package}"),
            Server::Native { tool } => tool.clone(),
        };
        let hosts: Vec<&str> =
            provider.hosts.iter().chain(&provider.tenant_hosts).map(String::as_str).collect();
        all.add_row([
            id.to_string(),
            provider.title.clone(),
            word(&provider.auth),
            by,
            hosts.join(" "),
            provider.checked.clone(),
        ]);
    }
    print(&mut all);
}

fn limit(limit: Limit) -> String {
    match limit {
        Limit::AtMost(most) => crate::plan::number(most),
        Limit::NotCounted => "-".to_owned(),
        Limit::Unlimited => "unlimited".to_owned(),
        Limit::ByContract => "by contract".to_owned(),
    }
}

/// A value as the catalog's files have it.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn words(values: &[impl ToString]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
