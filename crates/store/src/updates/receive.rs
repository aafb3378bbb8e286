//! The way in: numbered, sealed, and counted where the tier counts.

use futures::future::try_join_all;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use oc_domain::TenantId;
use sqlx::{PgConnection, query};

use super::name;
use crate::{
    Error, Store,
    secrets::{Piece, Vault},
};

/// Messages beyond the limit that are held for a tenant.
const MOST_HELD: i64 = 20;

/// An update as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Whose it is.
    pub tenant: TenantId,
    /// The bot's number.
    pub number: i64,
    /// Telegram's number of it.
    pub update_id: i64,
    /// The chat of a message, which is counted where the tier counts them; nothing for what never is.
    pub metered: Option<i64>,
    /// Its JSON.
    pub body: Vec<u8>,
}

/// What became of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It waits.
    New {
        /// Our number of it.
        seq: i64,
        /// Whether it was counted: once, whatever comes again.
        counted: bool,
    },
    /// It is beyond the messages of the period, and held until its writer says what becomes of it.
    Held,
    /// It is beyond them, as many as may are held, and it is nowhere.
    Refused,
    /// It has come before, or its tenant has no bot.
    Known,
}

/// Adds updates, all or none, and says of each in turn what became of it. Those of a tenant get
/// ascending numbers, which become visible in their order; those of one call in Telegram's order.
///
/// Messages are counted in the period at `now` of the tenant's account, where it has a limit: never
/// more than that, whoever else receives at this moment. What is counted is stored in the same
/// transaction.
pub async fn receive(
    store: &Store,
    vault: &Vault,
    incoming: &[Incoming],
    now: Timestamp,
) -> Result<Vec<Receipt>, Error> {
    match seal_and_insert(store, vault, incoming, now).await {
        // A key was replaced in this moment.
        Err(error) if error.violates("updates_data_key") => {
            for one in incoming {
                vault.forget(&one.tenant);
            }
            seal_and_insert(store, vault, incoming, now).await
        }
        done => done,
    }
}

async fn seal_and_insert(
    store: &Store,
    vault: &Vault,
    incoming: &[Incoming],
    now: Timestamp,
) -> Result<Vec<Receipt>, Error> {
    // Together: some keys may have to be read.
    let pieces = try_join_all(incoming.iter().map(async |one| {
        let name = name(one.number, one.update_id);
        vault.seal(store, &one.tenant, &name, &one.body).await
    }));
    let pieces = pieces.await?;
    store.run(async |db| insert(db, incoming, pieces, now).await).await
}

async fn insert(
    db: &mut PgConnection,
    incoming: &[Incoming],
    pieces: Vec<Piece>,
    now: Timestamp,
) -> Result<Vec<Receipt>, Error> {
    let (mut keys, mut nonces, mut ciphertexts) = (Vec::new(), Vec::new(), Vec::new());
    for Piece { data_key, nonce, ciphertext } in pieces {
        keys.push(data_key);
        nonces.push(nonce);
        ciphertexts.push(ciphertext);
    }
    let tenants: Vec<String> = incoming.iter().map(|one| one.tenant.to_string()).collect();
    let numbers: Vec<i64> = incoming.iter().map(|one| one.number).collect();
    let ids: Vec<i64> = incoming.iter().map(|one| one.update_id).collect();
    let metered: Vec<Option<i64>> = incoming.iter().map(|one| one.metered).collect();
    let inserted = query!(
        r#"select tenant_id as "tenant_id!", number as "number!", update_id as "update_id!",
            seq, counted as "counted!", held as "held!"
        from receive_updates($1, $2, $3, $4, $5, $6, $7, $8, $9)"#,
        &tenants,
        &numbers,
        &ids,
        &metered as _,
        &keys,
        &nonces,
        &ciphertexts,
        now.to_sqlx() as _,
        MOST_HELD,
    )
    .fetch_all(db)
    .await?;
    let receipt = |one: &Incoming| {
        let own = inserted.iter().find(|row| {
            row.update_id == one.update_id
                && row.number == one.number
                && row.tenant_id == one.tenant.as_str()
        });
        own.map_or(Receipt::Known, |row| match row.seq {
            Some(_) if row.held => Receipt::Held,
            Some(seq) => Receipt::New { seq, counted: row.counted },
            None => Receipt::Refused,
        })
    };
    Ok(incoming.iter().map(receipt).collect())
}
