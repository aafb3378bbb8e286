//! What the planner takes for granted: dated prices and assumptions, each with its source.

use std::{collections::BTreeMap, fs, path::Path};

use oc_domain::{
    Diagnostic, TierId,
    catalog::Limit,
    inventory::{Location, Role, ServerType},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::amount::{Amount, UNLIMITED};
use crate::failure::{Failure, print_diagnostics};

/// The largest file of prices or usage that is read, in bytes: a million accounts.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// What servers cost, and what a euro is worth.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Prices {
    /// The day on which the prices were true.
    pub checked: String,
    /// Who says so.
    pub source: String,
    /// Where these prices hold.
    pub locations: Vec<Location>,
    /// A public IPv4 address, which every node of the inventory has, euro cents a month.
    pub public_address_eur_cents: u64,
    /// The rate.
    pub exchange: Exchange,
    /// By the name of the server type.
    pub types: BTreeMap<String, Price>,
}

/// A rate of exchange.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Exchange {
    /// Its day.
    pub checked: String,
    /// Who says so.
    pub source: String,
    /// US cents for 100 euros.
    pub us_cents_per_100_eur: u64,
}

/// The price of a server type.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Price {
    /// Euro cents a month without VAT and address.
    pub eur_cents: u64,
    /// Whether Hetzner took orders for it on that day.
    #[serde(default = "yes")]
    pub orderable: bool,
}

fn yes() -> bool {
    true
}

/// What somebody knows better: the same fields, all but the first two optional.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Override {
    checked: String,
    source: String,
    locations: Option<Vec<Location>>,
    public_address_eur_cents: Option<u64>,
    exchange: Option<Exchange>,
    #[serde(default)]
    types: BTreeMap<String, Price>,
}

/// Everything else that is assumed.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Assumptions {
    tokens: Tokens,
    hosting: Hosting,
    gateway: Gateway,
    reserve: Reserve,
    packaged: Packaged,
    pods_per_node: u64,
    storage_classes: StorageClasses,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    us_cents_per_million: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Hosting {
    cents: BTreeMap<TierId, u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Gateway {
    working_set_mib: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reserve {
    server_cpu_millis: u64,
    agent_cpu_millis: u64,
    server_memory_mib: u64,
    agent_memory_mib: u64,
    system_memory_mib: u64,
    eviction_memory_mib: u64,
    kernel_memory_percent: u64,
    system_disk_mib: u64,
    eviction_disk_percent: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Packaged {
    pods: Vec<PackagedPod>,
}

/// A pod that somebody else's manifest brings.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PackagedPod {
    pub name: String,
    pub count: u64,
    pub cpu_millis: u64,
    pub memory_mib: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct StorageClasses {
    classes: BTreeMap<String, StorageClass>,
}

/// What a volume of a class takes from its node.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StorageClass {
    /// Whether it lies on the node's own disk.
    pub on_node: bool,
    /// How many a node takes, where the driver says so.
    pub volumes_per_node: Option<u64>,
}

impl Prices {
    /// The prices compiled in, with those of `path` before them.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, Failure> {
        let mut prices: Self = embedded("prices.json", include_str!("prices.json"));
        let Some(path) = path else { return Ok(prices) };
        let text = read_text(path)?;
        let found: Override =
            serde_json::from_str(&text).map_err(|error| invalid(path, "", error.to_string()))?;
        if found.exchange.as_ref().is_some_and(|exchange| exchange.us_cents_per_100_eur == 0) {
            let message = "found 0, expected a rate of at least 1".to_owned();
            return Err(invalid(path, "/exchange/usCentsPer100Eur", message));
        }
        prices.checked = found.checked;
        prices.source = found.source;
        prices.locations = found.locations.unwrap_or(prices.locations);
        prices.public_address_eur_cents =
            found.public_address_eur_cents.unwrap_or(prices.public_address_eur_cents);
        prices.exchange = found.exchange.unwrap_or(prices.exchange);
        prices.types.extend(found.types);
        Ok(prices)
    }

    /// What a server with its address costs where it stands, euro cents a month.
    pub(crate) fn eur_cents(&self, server_type: &str, location: Location) -> Option<u64> {
        let price = self.types.get(server_type).filter(|_| self.locations.contains(&location))?;
        price.eur_cents.checked_add(self.public_address_eur_cents)
    }

    /// Euro cents in US cents, to the nearest.
    pub(crate) fn us_cents(&self, eur_cents: u64) -> u64 {
        let exact = u128::from(eur_cents) * u128::from(self.exchange.us_cents_per_100_eur);
        u64::try_from((exact + 5_000) / 10_000).unwrap_or(u64::MAX)
    }
}

impl Assumptions {
    /// Those compiled in.
    pub(crate) fn embedded() -> Self {
        embedded("assumptions.json", include_str!("assumptions.json"))
    }

    /// What pods can have of a node: all that it has, less what the system keeps.
    pub(crate) fn allocatable(
        &self,
        server: ServerType,
        role: Role,
        class: StorageClass,
    ) -> Amount {
        let reserve = &self.reserve;
        let (cpu, memory) = match role {
            Role::Server => (reserve.server_cpu_millis, reserve.server_memory_mib),
            Role::Agent => (reserve.agent_cpu_millis, reserve.agent_memory_mib),
        };
        let memory_mib = u64::from(server.memory_gib) * 1024;
        let disk_mib = u64::from(server.disk_gib) * 1024;
        let kept_memory = (memory_mib * reserve.kernel_memory_percent).div_ceil(100)
            + memory
            + reserve.system_memory_mib
            + reserve.eviction_memory_mib;
        let kept_disk =
            (disk_mib * reserve.eviction_disk_percent).div_ceil(100) + reserve.system_disk_mib;
        Amount([
            (u64::from(server.vcpus) * 1000).saturating_sub(cpu),
            memory_mib.saturating_sub(kept_memory),
            disk_mib.saturating_sub(kept_disk),
            self.pods_per_node,
            class.volumes_per_node.unwrap_or(UNLIMITED),
        ])
    }

    /// What a volume of the class takes, where we know the class.
    pub(crate) fn storage_class(&self, name: &str) -> Option<StorageClass> {
        self.storage_classes.classes.get(name).copied()
    }

    /// Mebibytes that a gateway was measured to use.
    pub(crate) fn working_set_mib(&self) -> u64 {
        self.gateway.working_set_mib
    }

    /// US cents for a million tokens.
    pub(crate) fn cents_per_million_tokens(&self) -> u64 {
        self.tokens.us_cents_per_million
    }

    /// US cents for the tokens of a whole quota, where the tier has a number.
    pub(crate) fn quota_nano_usd(&self, tier: TierId) -> Option<u128> {
        match tier.get().tokens_per_month {
            Limit::AtMost(tokens) => Some(self.nano_usd(tokens)),
            Limit::NotCounted | Limit::Unlimited | Limit::ByContract => None,
        }
    }

    /// What tokens cost, billionths of a US dollar.
    pub(crate) fn nano_usd(&self, tokens: u64) -> u128 {
        // Cents a million are ten-thousands of billionths each.
        u128::from(tokens) * u128::from(self.tokens.us_cents_per_million) * 10
    }

    /// What the seeds thought that hosting a tenant costs, US cents a month.
    pub(crate) fn seeds_hosting_cents(&self, tier: TierId) -> Option<u64> {
        self.hosting.cents.get(&tier).copied()
    }

    /// Pods of the cluster that are not in our manifests.
    pub(crate) fn packaged(&self) -> &[PackagedPod] {
        &self.packaged.pods
    }
}

/// The text of a file that somebody names on the command line.
pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::io("read", path, &error);
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE_BYTES {
        let message = format!("found {size} bytes: is it the right file?");
        return Err(invalid(path, "", message));
    }
    fs::read_to_string(path).map_err(failed)
}

/// Says what is wrong with a file that somebody named.
fn invalid(path: &Path, pointer: &str, message: String) -> Failure {
    print_diagnostics(&[Diagnostic::error(&path.display().to_string(), pointer, message)]);
    Failure::Invalid
}

fn embedded<T: DeserializeOwned>(name: &str, text: &str) -> T {
    #[expect(clippy::panic, reason = "every test of the planner reads them")]
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}
