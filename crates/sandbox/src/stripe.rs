//! A stand-in for Stripe: an account that renews, declines, refunds and disputes, its API, its
//! pages, and its webhooks, well or badly delivered.
//!
//! [`Engine`] is the account alone: a state machine whose clock moves when it is told, for tests
//! of thousands of histories. [`start`] serves one over HTTP: the API below `/v1/` (what it cannot
//! do it refuses rather than ignores), pages of checkout, portal and invoices, and the stand-in's
//! own routes. `GET /_events` is a JSON line for each event and what became of it.
//! `POST /_control` obeys words, separated by blanks, in order; ODDS are a count (`3`: the next
//! three times) or a probability (`0.3`).
//!
//! | word | meaning |
//! |---|---|
//! | `duplicate=ODDS` | events are sent twice |
//! | `reorder=ODDS` | events are held back up to 0.5 s, so that later ones come first |
//! | `lose=ODDS` | events are not sent until somebody asks |
//! | `redeliver` `redeliver=evt_1` | sends all lost events, or one again |
//! | `delay=10ms..2s` | before a delivery |
//! | `retry=1s` | before the first retry of a delivery, which doubles up to a minute |
//! | `pause` `resume` | no deliveries; deliveries |
//! | `secrets=whsec_a,whsec_b` | what deliveries are signed with |
//! | `shape=old\|new\|unknown` | events as before 2025-03-31, as now, or of an unheard-of version |
//! | `fail=500:ODDS` | requests are refused with a status, 429 as well, and nothing is done |
//! | `hang=ODDS` `lost=ODDS` | requests are never answered; are done, without an answer |
//! | `latency=50ms` | before an answer |
//! | `clock=+31d` `clock=1800000000` `freeze` | moves the account's time; stops it |
//! | `exhausted=canceled\|unpaid\|past_due` | what becomes of a subscription after the last retry |
//! | `checkout=cs_1:works\|works_once\|declines\|none` | somebody pays |
//! | `card=cus_1:works\|declines\|none` | somebody has another card |
//! | `refund=ch_1:500` `dispute=ch_1` `close=dp_1:won\|lost` | money goes back |
//!
//! Known differences from Stripe: one item a subscription, cards only, no taxes, discounts or SCA;
//! no events for payment methods, setup intents and invoice items; one clock for the account.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};

mod calendar;
mod catalog;
mod checkout;
mod clock;
mod control;
mod customer;
mod deliver;
mod engine;
mod error;
mod event;
mod expand;
mod form;
mod http;
mod id;
mod invoice;
mod journal;
mod json;
mod list;
mod page;
mod payment;
mod portal;
mod refund;
mod route;
mod schedule;
mod shape;
mod sign;
mod state;
mod subscription;
mod table;

pub use calendar::{Cadence, Interval, Period};
pub use catalog::{NewPrice, Price, PriceDetails, Product, ProductDetails};
pub use checkout::{CheckoutCard, Order, Session, SessionState};
pub use customer::{Card, Customer, Profile};
pub use deliver::{Delivery, Endpoint};
pub use engine::{Engine, Exhausted, Settings};
pub use error::{Error, Kind};
pub use event::{Event, Snapshot};
pub use id::{Id, Metadata};
pub use invoice::{Invoice, InvoiceState, Line, Purpose, Reason};
pub use payment::{Charge, IntentState, InvoicePayment, PaymentIntent, PaymentState};
pub use portal::{Configuration, Offer, PortalSession};
pub use refund::{Dispute, DisputeState, NewRefund, Refund};
pub use schedule::{AtEnd, NewPhase, Phase, PhaseEnd, Schedule, ScheduleState};
pub use shape::Shape;
pub use sign::sign;
use state::State;
pub use subscription::{
    Behavior, Cancellation, Item, PendingUpdate, Proration, Status, Subscription, Update,
    WithoutCard,
};

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where events go.
    pub endpoint: Option<Endpoint>,
    /// What ids and probabilities are drawn from.
    pub seed: u64,
    /// The time of the account at the start, in seconds after 1970; the time of day if absent.
    pub now: Option<i64>,
    /// A file of what was asked, for a stand-in that goes on after its end; made if there is none.
    pub journal: Option<PathBuf>,
    /// What the owner of the account chose; its pages are the server's own.
    pub settings: Settings,
}

/// A running server; it ends, with all its connections, when it is dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// What connections and deliveries share.
struct Shared {
    state: Mutex<State>,
    /// Told when there may be something to deliver.
    wake: Notify,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            endpoint: None,
            seed: 0,
            now: None,
            journal: None,
            settings: Settings::default(),
        }
    }
}

/// Listens, and serves on the runtime of the caller.
pub async fn start(options: Options) -> io::Result<Server> {
    let Options { listen, endpoint, seed, now, journal, mut settings } = options;
    let client = reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?;
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    settings.pages = format!("http://{address}");
    let began = journal.as_deref().map(journal::began).transpose()?.flatten();
    let engine = Engine::new(seed, began.or(now).unwrap_or_else(state::wall), settings);
    let state = State::new(engine, seed);
    let shared = Arc::new(Shared { state: Mutex::new(state), wake: Notify::new() });
    if let Some(path) = &journal {
        journal::replay(&shared, path)?;
    }
    shared.state.lock().outbox.endpoint = endpoint;
    let mut tasks = JoinSet::new();
    tasks.spawn(http::serve(listener, Arc::clone(&shared)));
    tasks.spawn(deliver::deliver(Arc::clone(&shared), client));
    Ok(Server { address, shared, _tasks: tasks })
}

impl Server {
    /// The address of the API: what stands before `/v1/`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Works on the account as it is now; what came of it is delivered.
    pub fn with<T>(&self, work: impl FnOnce(&mut Engine) -> T) -> T {
        let done = self.shared.state.lock().with(work);
        self.shared.wake.notify_one();
        done
    }

    /// Obeys words as `POST /_control` does; gives a line for each id made.
    pub fn control(&self, words: &str) -> Result<String, String> {
        let told = control::control(&mut self.shared.state.lock(), words);
        self.shared.wake.notify_one();
        told
    }

    /// Sends events there from now on.
    pub fn set_endpoint(&self, endpoint: Option<Endpoint>) {
        self.shared.state.lock().outbox.endpoint = endpoint;
    }

    /// What became of each event so far, in the order of [`Engine::events`].
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.state.lock().outbox.deliveries.clone()
    }

    /// Deliveries that are waiting or being made; those of lost events are not, nor are those of
    /// events that happened while there was no endpoint.
    pub fn under_way(&self) -> usize {
        self.shared.state.lock().outbox.under_way()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}
