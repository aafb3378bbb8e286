//! Connections, and the certainty that none is waited on for ever.

use std::{str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::Error;

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// How long a call may take, waiting for a connection included.
const LIMIT: Duration = Duration::from_millis(2500);

/// How long a call may wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(2);

/// sqlx asks a connection that is given back whether it lives, and need not ask again before it has
/// been idle for this long: shorter than any restart of Postgres.
const TRUSTED: Duration = Duration::from_millis(100);

/// What Postgres does on its side, where it lives and we may not: a statement ends before we stop
/// waiting for it, and the locks of a vanished client are free after about 20 seconds.
const SETTINGS: [(&str, &str); 5] = [
    ("statement_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("tcp_keepalives_idle", "5s"),
    ("tcp_keepalives_interval", "5s"),
    ("tcp_keepalives_count", "3"),
];

/// A pool of connections to one database. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
}

impl Store {
    /// A pool of at most `max_connections`, which are opened when they are needed: a service may
    /// start while Postgres is away. Call it within a Tokio runtime.
    pub fn connect(url: &SecretString, max_connections: u32) -> Result<Self, Error> {
        let options = parse(url.expose_secret()).map_err(|error| Error::Url(Box::new(error)))?;
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TRUSTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options.options(SETTINGS));
        Ok(Self { pool })
    }

    /// Whether Postgres answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.run(async |db| Ok(db.ping().await?)).await
    }

    /// Does `work` on one connection, within the limit.
    pub(crate) async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + LIMIT;
        let acquired = timeout_at(deadline, self.pool.acquire()).await;
        let mut connection = acquired.map_err(|_| Error::Timeout)??;
        let done = timeout_at(deadline, work(&mut connection)).await;
        done.unwrap_or_else(|_| {
            // Back in the pool it would be waited on again.
            connection.close_on_drop();
            Err(Error::Timeout)
        })
    }

    /// A connection beside the pool, with more `settings`.
    pub(crate) async fn separate(&self, settings: &[(&str, &str)]) -> Result<PgConnection, Error> {
        let options = self.pool.connect_options().as_ref().clone();
        let options = options.options(settings.iter().copied());
        bounded(async { Ok(PgConnection::connect_with(&options).await?) }).await
    }
}

fn parse(url: &str) -> sqlx::Result<PgConnectOptions> {
    // sqlx takes any scheme, and connects to where it thinks best.
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(sqlx::Error::Configuration(
            format!("expected {}...", SCHEMES.join("... or ")).into(),
        ));
    }
    PgConnectOptions::from_str(url)
}

/// `work`, within the limit.
pub(crate) async fn bounded<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(LIMIT, work).await.unwrap_or(Err(Error::Timeout))
}
