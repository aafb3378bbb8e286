//! `tenant`: makes, shows and changes tenant files in the working copy.
//!
//! For a tenant that billing knows, tier and state are billing's: an edit here is set back by its
//! next decision.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use comfy_table::Table;
use oc_domain::{
    Fleet, TenantId, TenantSpec,
    catalog::{Locale, ModelId, NicheId, ProviderId, Thinking, TierId},
    document,
    fleet::{Tenant as Entry, parse_tenant},
    tenant::{self, Channels, Hold, State, Telegram, TenantFile},
};
use serde::de::DeserializeOwned;
use strum::VariantArray;

use crate::{
    check::print_json,
    failure::{Failure, plural, print_diagnostics},
    fleet, git,
};

/// Makes, shows and changes tenant files
#[derive(Args)]
pub(crate) struct Tenant {
    #[command(flatten)]
    root: fleet::Root,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Makes a tenant with a new id, and lets git know of its file
    New(New),
    /// Shows a tenant: its file and what its tier gives it
    Show(Show),
    /// Changes fields of a tenant
    Set(Set),
    /// Suspends a tenant whatever its state, until it is released
    Hold(HoldVerb),
    /// Takes a hold back
    Release(One),
    /// Says that a tenant is deleted: final, and its data goes
    Remove(One),
    /// Lists the tenants
    List(List),
}

#[derive(Args)]
struct New {
    /// The id, where it is not to be drawn
    #[arg(long)]
    id: Option<TenantId>,
    #[arg(long, value_parser = names::<TierId>(), help = "What was bought")]
    tier: String,
    #[arg(long, value_parser = names::<NicheId>(), help = "What the agent knows")]
    niche: String,
    #[arg(long, value_parser = names::<Locale>(), help = "The language", default_value = "pt-BR")]
    locale: String,
    #[command(flatten)]
    choices: Choices,
}

#[derive(Args)]
struct Choices {
    #[arg(long, value_parser = names::<ModelId>(), help = "The model")]
    model: Option<String>,
    #[arg(long, value_parser = names::<Thinking>(), help = "How long the model thinks")]
    thinking: Option<String>,
    #[arg(
        long,
        num_args = 0..,
        value_delimiter = ',',
        value_parser = names::<ProviderId>(),
        help = "Outside services that the agent may use, separated by commas; with no value, none"
    )]
    connections: Option<Vec<String>>,
    /// Whether the agent is on Telegram
    #[arg(long, value_name = "BOOL")]
    telegram: Option<bool>,
}

#[derive(Args)]
struct Set {
    /// The tenant
    id: TenantId,
    #[arg(long, value_parser = names::<TierId>(), help = "What was bought")]
    tier: Option<String>,
    #[arg(long, value_parser = names::<NicheId>(), help = "What the agent knows")]
    niche: Option<String>,
    #[arg(long, value_parser = names::<Locale>(), help = "The language")]
    locale: Option<String>,
    #[arg(
        long,
        value_parser = PossibleValuesParser::new(["active", "suspended"]),
        help = "Whether the agent runs; see `remove` for the third state"
    )]
    state: Option<String>,
    #[command(flatten)]
    choices: Choices,
}

#[derive(Args)]
struct HoldVerb {
    /// The tenant
    id: TenantId,
    /// Why, without personal data: git keeps it for ever
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
struct One {
    /// The tenant
    id: TenantId,
}

#[derive(Args)]
struct Show {
    /// The tenant
    id: TenantId,
    /// Tells what runs instead: status, objects, pods, volumes and recent events
    #[cfg(feature = "cluster")]
    #[arg(long, conflicts_with = "root")]
    cluster: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct List {
    #[arg(long, value_parser = names::<TierId>(), help = "Only this tier")]
    tier: Option<String>,
    #[arg(long, value_parser = names::<NicheId>(), help = "Only this niche")]
    niche: Option<String>,
    #[arg(long, value_parser = names::<State>(), help = "Only this state")]
    state: Option<String>,
    /// Lists the tenants that the cluster has instead
    #[cfg(feature = "cluster")]
    #[arg(long, conflicts_with = "root")]
    cluster: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Tenant {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        #[cfg(feature = "cluster")]
        if let Some(read) = self.verb.read_of_cluster() {
            return read.map(|()| ExitCode::SUCCESS);
        }
        let root = self.root.find()?;
        match self.verb {
            Verb::New(new) => new.run(&root)?,
            Verb::Show(show) => show.run(&root)?,
            Verb::List(list) => list.run(&root)?,
            Verb::Set(set) => {
                if set.is_empty() {
                    let message = "nothing to set: name a field, see tenant set --help";
                    return Err(Failure::Usage(message.to_owned()));
                }
                let id = set.id.clone();
                edit(&root, &id, |spec| set.apply(spec))?;
            }
            Verb::Hold(HoldVerb { id, reason }) => {
                edit(&root, &id, |spec| spec.hold = Some(Hold { reason }))?;
            }
            Verb::Release(One { id }) => edit(&root, &id, |spec| spec.hold = None)?,
            Verb::Remove(One { id }) => edit(&root, &id, |spec| spec.state = State::Deleted)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(feature = "cluster")]
impl Verb {
    /// What came of the verb where it asks for the cluster, which takes no fleet's folder.
    fn read_of_cluster(&self) -> Option<Result<(), Failure>> {
        match self {
            Self::Show(Show { id, cluster: true, json }) => Some(crate::cluster::show(id, *json)),
            Self::List(list) if list.cluster => Some(crate::cluster::list(
                |spec| {
                    let is = |wanted: &Option<String>, field| {
                        wanted.as_deref().is_none_or(|wanted| spec[field] == wanted)
                    };
                    is(&list.tier, "tier") && is(&list.niche, "niche") && is(&list.state, "state")
                },
                list.json,
            )),
            _ => None,
        }
    }
}

impl New {
    fn run(self, root: &Path) -> Result<(), Failure> {
        let fleet = fleet::load(root)?;
        let taken: BTreeSet<&TenantId> = fleet.tenants.iter().map(|tenant| &tenant.id).collect();
        let id = match self.id {
            Some(id) if taken.contains(&id) => {
                return Err(Failure::Usage(format!("there is a tenant {id} already")));
            }
            Some(id) => id,
            None => draw(&taken)?,
        };
        let mut spec = TenantSpec {
            tier: value(&self.tier),
            niche: value(&self.niche),
            locale: value(&self.locale),
            model: None,
            thinking: None,
            channels: Channels { telegram: Telegram { enabled: true } },
            connections: Vec::new(),
            state: State::Active,
            hold: None,
        };
        self.choices.apply(&mut spec);
        let path = id.path();
        write(root, &path, &TenantFile::new(id, spec))?;
        git::intend_to_add(root, &path)?;
        anstream::println!("{path}");
        Ok(())
    }
}

impl Choices {
    fn is_empty(&self) -> bool {
        let Self { model, thinking, connections, telegram } = self;
        model.is_none() && thinking.is_none() && connections.is_none() && telegram.is_none()
    }

    fn apply(&self, spec: &mut TenantSpec) {
        if let Some(model) = &self.model {
            spec.model = Some(value(model));
        }
        if let Some(thinking) = &self.thinking {
            spec.thinking = Some(value(thinking));
        }
        if let Some(connections) = &self.connections {
            spec.connections = connections.iter().map(|name| value(name)).collect();
        }
        if let Some(enabled) = self.telegram {
            spec.channels.telegram.enabled = enabled;
        }
    }
}

impl Set {
    fn is_empty(&self) -> bool {
        let Self { id: _, tier, niche, locale, state, choices } = self;
        let names = [tier, niche, locale, state];
        names.into_iter().all(Option::is_none) && choices.is_empty()
    }

    fn apply(&self, spec: &mut TenantSpec) {
        if let Some(tier) = &self.tier {
            spec.tier = value(tier);
        }
        if let Some(niche) = &self.niche {
            spec.niche = value(niche);
        }
        if let Some(locale) = &self.locale {
            spec.locale = value(locale);
        }
        if let Some(state) = &self.state {
            spec.state = value(state);
        }
        self.choices.apply(spec);
    }
}

impl Show {
    fn run(&self, root: &Path) -> Result<(), Failure> {
        let fleet = fleet::load(root)?;
        let entry = find(&fleet, &self.id)?;
        if self.json {
            return print_json(&entry);
        }
        let (spec, tier) = (&entry.spec, entry.spec.tier.get());
        let text = serde_json::to_value(tier).unwrap_or_default();
        let mut table = table(["", ""]);
        let mut row = |name: &str, value: String| {
            table.add_row([name.to_owned(), value]);
        };
        row("id", entry.id.to_string());
        row("file", entry.path.clone());
        row("namespace", entry.id.namespace());
        row("state", state(spec));
        row("tier", spec.tier.to_string());
        row("niche", spec.niche.to_string());
        row("locale", spec.locale.to_string());
        row("model", spec.model().to_string());
        row("thinking", spec.thinking().to_string());
        row("connections", join(&spec.connections));
        for limit in ["tokensPerMonth", "messagesPerMonth", "telegramUsers", "integrations"] {
            let value = text.get(limit).map(ToString::to_string).unwrap_or_default();
            row(limit, value.replace('"', ""));
        }
        print(&mut table);
        Ok(())
    }
}

impl List {
    fn run(&self, root: &Path) -> Result<(), Failure> {
        let fleet = fleet::load(root)?;
        let is =
            |wanted: &Option<String>, found: String| wanted.as_ref().is_none_or(|w| *w == found);
        let tenants: Vec<&Entry> = fleet
            .tenants
            .iter()
            .filter(|tenant| {
                is(&self.tier, tenant.spec.tier.to_string())
                    && is(&self.niche, tenant.spec.niche.to_string())
                    && is(&self.state, tenant.spec.state.to_string())
            })
            .collect();
        if self.json {
            return print_json(&tenants);
        }
        let mut table = table(["ID", "TIER", "NICHE", "LOCALE", "STATE", "CONNECTIONS"]);
        for Entry { id, spec, .. } in &tenants {
            table.add_row([
                id.to_string(),
                spec.tier.to_string(),
                spec.niche.to_string(),
                spec.locale.to_string(),
                state(spec),
                join(&spec.connections),
            ]);
        }
        print(&mut table);
        anstream::eprintln!("{}", plural(tenants.len(), "tenant"));
        Ok(())
    }
}

/// Changes one tenant file and writes it when the result is valid.
///
/// The file alone is read, not the fleet: a mistake elsewhere must not keep somebody from
/// suspending a tenant.
fn edit(root: &Path, id: &TenantId, change: impl FnOnce(&mut TenantSpec)) -> Result<(), Failure> {
    let path = match fleet::find_files(root, id).as_slice() {
        [path] => path.clone(),
        [] => return Err(unknown(id)),
        several => {
            let message =
                format!("{id} has several files, remove all but one: {}", several.join(", "));
            return Err(Failure::Usage(message));
        }
    };
    let bytes = fleet::read_file(root, &path, tenant::MAX_FILE_BYTES).map_err(invalid)?;
    let mut file = TenantFile::parse(&path, &bytes).map_err(invalid)?;
    if file.spec.state == State::Deleted {
        let message = format!("{id} is deleted, which is final: make a new tenant");
        return Err(Failure::Usage(message));
    }
    change(&mut file.spec);
    write(root, &path, &file)?;
    anstream::println!("{path}");
    Ok(())
}

fn find<'a>(fleet: &'a Fleet, id: &TenantId) -> Result<&'a Entry, Failure> {
    fleet.tenants.iter().find(|tenant| tenant.id == *id).ok_or_else(|| unknown(id))
}

fn unknown(id: &TenantId) -> Failure {
    Failure::Usage(format!("no tenant {id} in this fleet"))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn invalid(diagnostics: Vec<oc_domain::Diagnostic>) -> Failure {
    print_diagnostics(&diagnostics);
    Failure::Invalid
}

/// Writes a tenant file whole or not at all, once it is known to be valid.
fn write(root: &Path, path: &str, file: &TenantFile) -> Result<(), Failure> {
    let text = document::text(file).map_err(|error| Failure::Outside(format!("JSON: {error}")))?;
    parse_tenant(path, text.as_bytes()).map_err(invalid)?;
    let full = root.join(path);
    let folder = full.parent().unwrap_or(root);
    let temporary: PathBuf = folder.join(format!(".{}.tmp", file.metadata.name));
    fs::create_dir_all(folder)
        .and_then(|()| File::create(&temporary))
        .and_then(|mut out| out.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&temporary, &full))
        .map_err(|error| Failure::io("write", &full, &error))
}

/// An id that nobody has: 40 bits of the system's randomness.
fn draw(taken: &BTreeSet<&TenantId>) -> Result<TenantId, Failure> {
    let source = Path::new("/dev/urandom");
    let failed = |error| Failure::io("read", source, &error);
    let mut random = File::open(source).map_err(failed)?;
    loop {
        let mut bits = [0; 5];
        random.read_exact(&mut bits).map_err(failed)?;
        let id = TenantId::draw(bits);
        if !taken.contains(&id) {
            return Ok(id);
        }
    }
}

/// The names of a catalog's ids as clap shows and checks them.
fn names<T: VariantArray + ToString>() -> PossibleValuesParser {
    PossibleValuesParser::new(T::VARIANTS.iter().map(|id| &*id.to_string().leak()))
}

/// The id of a name that [`names`] let through.
fn value<T: DeserializeOwned>(name: &str) -> T {
    #[expect(clippy::expect_used, reason = "clap accepts the names of T alone")]
    serde_json::from_value(name.into()).expect("a name of the catalog")
}

fn state(spec: &TenantSpec) -> String {
    match &spec.hold {
        Some(hold) => format!("{}, held: {}", spec.state, hold.reason),
        None => spec.state.to_string(),
    }
}

fn join(connections: &[ProviderId]) -> String {
    connections.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Prints a table without space around it.
pub(crate) fn print(table: &mut Table) {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    anstream::println!("{}", table.trim_fmt());
}

/// A table without lines, and without a header where all its names are empty.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    if header.iter().any(|name| !name.is_empty()) {
        table.set_header(header);
    }
    table
}
