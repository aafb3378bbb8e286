//! Who pays.

use oc_domain::AccountId;
use sqlx::query;

use crate::{Error, Store};

/// Adds an account; an error if it is there.
pub async fn insert(store: &Store, id: &AccountId) -> Result<(), Error> {
    store
        .run(async |db| {
            query!("insert into accounts (id) values ($1)", id.as_str()).execute(db).await?;
            Ok(())
        })
        .await
}
