//! Work that one replica does for all.

use sqlx::{Connection, PgConnection, query_scalar};

use crate::{Error, Store, connection::bounded};

/// The right to do the work of that name, held on a connection of its own: it ends when this is
/// dropped, and when the connection breaks.
#[derive(Debug)]
pub struct Leader {
    connection: PgConnection,
    lost: bool,
}

/// Takes the lead in the work of `name`, or gives nothing if another session has it.
pub async fn try_leader(store: &Store, name: &str) -> Result<Option<Leader>, Error> {
    let mut connection = store.separate(&[]).await?;
    let taken = bounded(async {
        let taken = query_scalar!(
            r#"select pg_try_advisory_lock(hashtextextended($1, 0)) as "taken!""#,
            name
        );
        Ok(taken.fetch_one(&mut connection).await?)
    });
    Ok(taken.await?.then_some(Leader { connection, lost: false }))
}

impl Leader {
    /// Whether the lead is still held. Once lost it stays lost: ask for a new one.
    ///
    /// Another replica may lead as soon as this would say no, so what is done in between has to
    /// bear being done twice.
    pub async fn still(&mut self) -> bool {
        self.lost =
            self.lost || bounded(async { Ok(self.connection.ping().await?) }).await.is_err();
        !self.lost
    }
}
