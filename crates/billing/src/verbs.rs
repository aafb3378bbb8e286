//! What people ask billing on a terminal.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use comfy_table::Table;
use jiff::Timestamp;
use oc_domain::TenantId;
use oc_service::{Clock, DatabaseConfig, chain};
use oc_store::{
    Store, accounts, audit,
    events::{self, Event, Filter, Status},
    spec_changes, tenants,
};
use serde_json::{Value, json};

use crate::config::{FleetConfig, StripeConfig};

/// The verbs beside `serve`.
#[derive(Subcommand)]
#[expect(missing_docs, reason = "groups of options have their own words, and clap shows these")]
#[expect(private_interfaces, reason = "only clap makes a verb")]
pub enum Verb {
    /// Makes Stripe's products and prices as the catalog has them; without a difference it does nothing
    SyncCatalog {
        #[command(flatten)]
        stripe: StripeConfig,
        /// Says what it would do
        #[arg(long)]
        dry_run: bool,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Lists Stripe's events, the newest first
    Events {
        #[command(flatten)]
        database: DatabaseConfig,
        /// Only those that are pending, done, ignored or quarantined
        #[arg(long)]
        status: Option<Status>,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Works on an event again, also one that was set aside
    Retry {
        #[command(flatten)]
        database: DatabaseConfig,
        /// Its id, `evt_...`
        event: String,
    },
    /// Sets aside the refunds and disputes that suspend a tenant's account until now
    Clear {
        #[command(flatten)]
        database: DatabaseConfig,
        /// One of the account's tenants
        tenant: TenantId,
    },
    /// Tells the story of an event or a trace, from Stripe to git
    Trace(TraceArguments),
}

/// What a story is told from.
#[derive(Args)]
pub struct TraceArguments {
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    fleet: FleetConfig,
    /// An event's id, or a trace's
    id: String,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// There is no such thing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Missing(String);

impl Verb {
    /// Does it.
    pub fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let done =
            runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(self.act()));
        let Err(error) = done else { return ExitCode::SUCCESS };
        anstream::eprintln!("error: {}", chain(&*error));
        let missing = error.is::<Missing>()
            || matches!(error.downcast_ref(), Some(oc_store::Error::Unknown { .. }));
        ExitCode::from(if missing { 1 } else { 3 })
    }

    async fn act(self) -> Result<()> {
        match self {
            Self::SyncCatalog { stripe, dry_run, json } => {
                sync_catalog(&stripe, dry_run, json).await
            }
            Self::Events { database, status, limit, json } => {
                let store = Store::connect(&database.url()?, 1)?;
                let filter = Filter { status, ..Filter::default() };
                show_events(&events::list(&store, &filter, limit).await?, json)
            }
            Self::Retry { database, event } => {
                let store = Store::connect(&database.url()?, 1)?;
                Ok(events::retry(&store, &event, Clock::system().now()).await?)
            }
            Self::Clear { database, tenant } => {
                let store = Store::connect(&database.url()?, 1)?;
                let (found, _) = tenants::find(&store, &tenant)
                    .await?
                    .ok_or_else(|| Missing(format!("there is no tenant {tenant}")))?;
                Ok(accounts::clear(&store, &found.account, Clock::system().now()).await?)
            }
            Self::Trace(arguments) => arguments.tell().await,
        }
    }
}

async fn sync_catalog(stripe: &StripeConfig, dry_run: bool, as_json: bool) -> Result<()> {
    let synced = stripe.client()?.sync_catalog(dry_run).await?;
    if as_json {
        let all: Vec<Value> = synced
            .iter()
            .map(|one| {
                json!({"tier": one.tier, "product": one.product.to_string(),
                    "price": one.price.to_string()})
            })
            .collect();
        anstream::println!("{}", Value::from(all));
        return Ok(());
    }
    let mut table = table(&["TIER", "PRODUCT", "PRICE"]);
    for one in synced {
        table.add_row([one.tier.to_string(), one.product.to_string(), one.price.to_string()]);
    }
    anstream::println!("{table}");
    Ok(())
}

fn show_events(events: &[Event], as_json: bool) -> Result<()> {
    if as_json {
        anstream::println!("{}", serde_json::to_string_pretty(events)?);
        return Ok(());
    }
    let mut table = table(&["EVENT", "TYPE", "STATUS", "ACCOUNT", "RECEIVED", "ERROR"]);
    for event in events {
        let account = event.account.as_ref().map(ToString::to_string).unwrap_or_default();
        table.add_row([
            event.id.clone(),
            event.kind.clone(),
            event.status.to_string(),
            account,
            event.received_at.to_string(),
            event.error.clone().unwrap_or_default(),
        ]);
    }
    anstream::println!("{table}");
    Ok(())
}

/// One thing that happened.
struct Moment {
    at: Timestamp,
    what: String,
    details: Value,
}

impl TraceArguments {
    async fn tell(self) -> Result<()> {
        let store = Store::connect(&self.database.url()?, 1)?;
        let by_event = Filter { id: Some(self.id.clone()), ..Filter::default() };
        let mut found = events::list(&store, &by_event, 1).await?;
        let trace = found.first().map_or(self.id.clone(), |event| {
            event.review_trace.clone().unwrap_or_else(|| event.trace.clone())
        });
        let by_trace = Filter { trace: Some(trace.clone()), ..Filter::default() };
        for event in events::list(&store, &by_trace, 100).await? {
            if found.iter().all(|known| known.id != event.id) {
                found.push(event);
            }
        }
        let mut moments: Vec<Moment> = found.iter().flat_map(of_event).collect();
        for logged in audit::by_trace(&store, &trace).await? {
            let details = serde_json::to_value(&logged.entry)?;
            moments.push(Moment { at: logged.at, what: logged.entry.action, details });
        }
        let changes = spec_changes::by_trace(&store, &trace).await?;
        moments.extend(changes.iter().flat_map(of_change));
        // What git itself says: the rows above may be gone, and commits are not.
        // The service has its clone for itself.
        let mut options = self.fleet.options();
        options.directory.push("trace");
        let mut fleet = oc_gitops::Fleet::open(options).await?;
        for commit in fleet.trace(&trace).await? {
            let details = json!({"commit": commit.oid.to_string(), "subject": commit.subject});
            moments.push(Moment { at: commit.at, what: "committed to git".to_owned(), details });
        }
        if moments.is_empty() {
            return Err(Missing(format!("nothing is known of {}", self.id)).into());
        }
        moments.sort_by_key(|moment| moment.at);
        self.print(&trace, &moments)
    }

    fn print(&self, trace: &str, story: &[Moment]) -> Result<()> {
        if self.json {
            let moments: Vec<Value> = story
                .iter()
                .map(|one| json!({"at": one.at, "what": one.what, "details": one.details}))
                .collect();
            anstream::println!("{}", json!({"trace": trace, "story": moments}));
            return Ok(());
        }
        anstream::println!("trace {trace}");
        let mut table = table(&["AT", "WHAT", "DETAILS"]);
        for one in story {
            let details = serde_json::to_string(&one.details)?;
            table.add_row([one.at.to_string(), one.what.clone(), details]);
        }
        anstream::println!("{table}");
        Ok(())
    }
}

fn of_event(event: &Event) -> Vec<Moment> {
    let details = json!({"event": event.id, "type": event.kind, "account": event.account});
    let moment = |at, what: &str, details: &Value| Moment {
        at,
        what: what.to_owned(),
        details: details.clone(),
    };
    let mut moments = vec![
        moment(event.created_at, "happened at Stripe", &details),
        moment(event.received_at, "delivered and noted", &details),
    ];
    if let Some(done) = event.done_at {
        moments.push(moment(done, "taken into account", &details));
    }
    if let Some(error) = &event.error {
        let details = json!({"event": event.id, "error": error});
        moments.push(moment(event.received_at, "set aside or delayed", &details));
    }
    moments
}

fn of_change(change: &spec_changes::Change) -> Vec<Moment> {
    let details = json!({"change": change.id, "tenant": change.wanted.tenant,
        "edits": change.wanted.edits, "author": change.author});
    let mut moments =
        vec![Moment { at: change.created_at, what: "change wanted".to_owned(), details }];
    if let Some(done) = change.done_at {
        let details = json!({"change": change.id, "commit": change.commit, "error": change.error});
        moments.push(Moment { at: done, what: "change done".to_owned(), details });
    }
    moments
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(head.iter().copied());
    table
}
