//! All tenants and the inventory together: the rules that no file can be held against alone.

use serde::Serialize;
use strum::VariantArray;

use crate::{
    catalog::{Isolation, Limit, Tier, TierId},
    diagnostic::{Diagnostic, child},
    document,
    inventory::{self, Inventory, Pool},
    tenant::{self, State, TenantFile, TenantId, TenantSpec},
};

/// A tenant and the file that it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// The file, relative to the fleet's root.
    pub path: String,
    /// What it should be.
    pub spec: TenantSpec,
}

/// A valid fleet.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The cluster.
    pub inventory: Inventory,
    /// Its tenants by id, deleted ones too.
    pub tenants: Vec<Tenant>,
}

/// What became of a fleet's files: the fleet where nothing was wrong, and all findings in order.
#[derive(Debug)]
pub struct Checked {
    /// The fleet, unless there was an error.
    pub fleet: Option<Fleet>,
    /// Errors and warnings, by file.
    pub diagnostics: Vec<Diagnostic>,
}

/// One tenant file after it was read.
pub type Parsed = Result<Tenant, Vec<Diagnostic>>;

/// Reads the bytes of one tenant file and checks what can be checked by it alone.
pub fn parse_tenant(path: &str, bytes: &[u8]) -> Parsed {
    let (file, mut errors) = document::read::<TenantFile>(path, bytes, tenant::MAX_FILE_BYTES);
    let Some(TenantFile { metadata, spec, .. }) = file else { return Err(errors) };
    let tenant = Tenant { id: metadata.name, path: path.to_owned(), spec };
    check_name(&tenant, &mut errors);
    check_connections(&tenant, &mut errors);
    check_thinking(&tenant, &mut errors);
    check_hold(&tenant, &mut errors);
    if errors.is_empty() { Ok(tenant) } else { Err(errors) }
}

impl Fleet {
    /// Puts the files of a fleet together.
    pub fn assemble(
        inventory: Result<Inventory, Vec<Diagnostic>>,
        tenants: impl IntoIterator<Item = Parsed>,
    ) -> Checked {
        let mut diagnostics = Vec::new();
        let mut good = Vec::new();
        for tenant in tenants {
            match tenant {
                Ok(tenant) => good.push(tenant),
                Err(errors) => diagnostics.extend(errors),
            }
        }
        good.sort_by(|a, b| (&a.id, &a.path).cmp(&(&b.id, &b.path)));
        check_duplicates(&good, &mut diagnostics);
        let inventory = inventory.map_err(|errors| diagnostics.extend(errors)).ok();
        let refused = !diagnostics.is_empty();
        if let Some(inventory) = &inventory {
            warn(inventory, &good, &mut diagnostics);
        }
        diagnostics.sort();
        let fleet =
            inventory.filter(|_| !refused).map(|inventory| Self { inventory, tenants: good });
        Checked { fleet, diagnostics }
    }

    /// The tenants that have objects: all but the deleted.
    pub fn rendered(&self) -> impl Iterator<Item = &Tenant> {
        self.tenants.iter().filter(|tenant| tenant.spec.state != State::Deleted)
    }
}

fn check_name(tenant: &Tenant, errors: &mut Vec<Diagnostic>) {
    let file = tenant.path.rsplit('/').next().unwrap_or_default();
    let stem = file.strip_suffix(".json").unwrap_or(file);
    if stem != tenant.id.as_str() {
        let message = format!("found {:?}, expected the file's name {stem:?}", tenant.id.as_str());
        let help = format!("rename the file to {}.json or correct the name", tenant.id);
        errors.push(Diagnostic::error(&tenant.path, "/metadata/name", message).help(help));
    }
}

/// The pointer is that of the first connection too many.
fn check_connections(tenant: &Tenant, errors: &mut Vec<Diagnostic>) {
    let tier = tenant.spec.tier;
    let count = tenant.spec.connections.len() as u64;
    let Some(most) = tier.get().integrations.most().filter(|most| count > *most) else { return };
    let connections = if most == 1 { "connection" } else { "connections" };
    let message = format!("tier \"{tier}\" allows {most} {connections}, this has {count}");
    let pointer = child("/spec/connections", &most.to_string());
    let error = Diagnostic::error(&tenant.path, pointer, message);
    errors.push(allowed_by(error, tier, |tier| match tier.integrations {
        Limit::AtMost(most) if most < count => None,
        Limit::AtMost(most) => Some(most.to_string()),
        Limit::NotCounted | Limit::Unlimited | Limit::ByContract => Some("any number".to_owned()),
    }));
}

fn check_thinking(tenant: &Tenant, errors: &mut Vec<Diagnostic>) {
    let tier = tenant.spec.tier;
    let most = tier.get().thinking;
    let Some(thinking) = tenant.spec.thinking.filter(|thinking| *thinking > most) else { return };
    let message = format!("tier \"{tier}\" allows thinking \"{most}\", this has \"{thinking}\"");
    let error = Diagnostic::error(&tenant.path, "/spec/thinking", message);
    errors.push(allowed_by(error, tier, |tier| {
        (tier.thinking >= thinking).then(|| format!("\"{}\"", tier.thinking))
    }));
}

/// Adds the cheapest tier that allows it, of the same family where there is one, and how much.
fn allowed_by(
    error: Diagnostic,
    tier: TierId,
    allows: impl Fn(&Tier) -> Option<String>,
) -> Diagnostic {
    let family = tier.get().family;
    let mut tiers = TierId::VARIANTS.to_vec();
    tiers.sort_by_key(|id| (id.get().family != family, id.get().price_cents));
    let mut allowing = tiers.into_iter().filter_map(|id| Some((id, allows(id.get())?)));
    match allowing.next() {
        Some((id, what)) => error.help(format!("\"{id}\" allows {what}")),
        None => error,
    }
}

/// The reason of a hold is the one free text of a tenant file, so the one place where somebody
/// could put a person's name, address or number into git.
fn check_hold(tenant: &Tenant, errors: &mut Vec<Diagnostic>) {
    let Some(hold) = &tenant.spec.hold else { return };
    let pointer = "/spec/hold/reason";
    if !hold.reason.is_empty() && hold.reason.trim().is_empty() {
        let message = "found nothing but blanks, expected a reason in a few words";
        errors.push(Diagnostic::error(&tenant.path, pointer, message));
    }
    if hold.reason.contains('@') || has_long_number(&hold.reason) {
        let message = "found what looks like an e-mail address, a phone number or a CPF";
        let help = "git keeps it for ever: name a ticket instead";
        errors.push(Diagnostic::error(&tenant.path, pointer, message).help(help));
    }
}

/// Whether there are nine or more digits with nothing between them but what people write into phone
/// and tax numbers. Dates are none.
fn has_long_number(text: &str) -> bool {
    let is_date = |word: &&str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_digit());
        word.len() == 10 && word.split('-').map(str::len).eq([4, 2, 2])
    };
    let words: Vec<&str> =
        text.split_whitespace().map(|word| if is_date(&word) { "," } else { word }).collect();
    words
        .join(" ")
        .split(|c: char| !(c.is_ascii_digit() || " +-./()".contains(c)))
        .any(|run| run.chars().filter(char::is_ascii_digit).count() > 8)
}

/// Of `tenants` in the order of their ids.
fn check_duplicates(tenants: &[Tenant], diagnostics: &mut Vec<Diagnostic>) {
    for same in tenants.chunk_by(|a, b| a.id == b.id) {
        let Some((first, others)) = same.split_first() else { continue };
        for tenant in others {
            let message = format!("found {:?}, which {} is too", tenant.id.as_str(), first.path);
            let error = Diagnostic::error(&tenant.path, "/metadata/name", message);
            diagnostics.push(error.help("an id has one file: remove one of the two"));
        }
    }
}

fn warn(inventory: &Inventory, tenants: &[Tenant], diagnostics: &mut Vec<Diagnostic>) {
    let mut dedicated = Vec::new();
    let mut shared = 0_usize;
    for tenant in tenants.iter().filter(|tenant| tenant.spec.state != State::Deleted) {
        if tenant.spec.runs() {
            match tenant.spec.tier.get().isolation {
                Isolation::Dedicated => dedicated.push(tenant),
                Isolation::Shared => shared += 1,
            }
        }
    }
    let nodes = inventory.pool(Pool::Dedicated).count();
    for tenant in dedicated.iter().skip(nodes) {
        let message = format!(
            "tier \"{}\" needs a node of its own, and pool \"dedicated\" has {nodes} for {}: the pod stays Pending",
            tenant.spec.tier,
            dedicated.len()
        );
        diagnostics.push(Diagnostic::warning(&tenant.path, "/spec/tier", message));
    }
    if shared > 0 && inventory.pool(Pool::Shared).next().is_none() {
        let message =
            format!("no node of pool \"shared\" for {shared} tenants: their pods stay Pending");
        diagnostics.push(Diagnostic::warning(inventory::PATH, "/nodes", message));
    }
}

#[cfg(test)]
mod tests;
