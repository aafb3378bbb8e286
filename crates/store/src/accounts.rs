//! Who pays, and who may act for them.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use oc_domain::{AccountId, Locale, TierId};
use sqlx::{query, query_scalar};
use strum::Display;
use uuid::Uuid;

use crate::{Error, Store};

/// A person who acts for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The key.
    pub id: Uuid,
    /// Where to write; one person has one account. Kept in lower case.
    pub email: String,
    /// What the person may do.
    pub role: Role,
    /// The person's language.
    pub locale: Locale,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// Everything with the account.
    Owner,
    /// Use what it has.
    Member,
    /// Everything with every account: the platform's own people.
    Admin,
}

/// Adds an account that may have any number of tenants; an error if it is there.
pub async fn insert(store: &Store, id: &AccountId) -> Result<(), Error> {
    store
        .run(async |db| {
            query!("insert into accounts (id) values ($1)", id.as_str()).execute(db).await?;
            Ok(())
        })
        .await
}

/// Adds an account with its first member; an error if either is there. It may have no tenant until
/// a review says otherwise.
pub async fn create(
    store: &Store,
    id: &AccountId,
    locale: Locale,
    member: &Member,
) -> Result<(), Error> {
    store
        .run(async |db| {
            query!(
                "with account as (
                    insert into accounts (id, locale, agents) values ($1, $2, 0)
                )
                insert into members (id, account_id, email, role, locale)
                values ($3, $1, $4, $5, $6)",
                id.as_str(),
                locale.to_string(),
                member.id,
                member.email.to_lowercase(),
                member.role.to_string(),
                member.locale.to_string(),
            )
            .execute(db)
            .await?;
            Ok(())
        })
        .await
}

/// The account of Stripe's customer; nothing if no account is known to be that customer.
pub async fn find_by_customer(store: &Store, customer: &str) -> Result<Option<AccountId>, Error> {
    let found = store.run(async |db| {
        let found =
            query_scalar!("select id from accounts where stripe_customer_id = $1", customer);
        Ok(found.fetch_optional(db).await?)
    });
    found.await?.map(|id| parse("accounts.id", &id)).transpose()
}

/// Makes the account that customer of Stripe's, unless it is one already; gives the customer that
/// it is now. An error if another account is.
pub async fn set_customer(store: &Store, id: &AccountId, customer: &str) -> Result<String, Error> {
    let set = store.run(async |db| {
        let set = query_scalar!(
            r#"update accounts
            set stripe_customer_id = coalesce(stripe_customer_id, $2)
            where id = $1
            returning stripe_customer_id as "customer!""#,
            id.as_str(),
            customer,
        );
        Ok(set.fetch_optional(db).await?)
    });
    set.await?.ok_or_else(|| unknown(id))
}

/// Gives the account a tier that nobody pays for, or takes it back; it is due for review then.
pub async fn set_complimentary(
    store: &Store,
    id: &AccountId,
    tier: Option<TierId>,
    now: Timestamp,
) -> Result<(), Error> {
    let set = store.run(async |db| {
        let set = query!(
            "update accounts
            set complimentary_tier = $2, version = version + 1, review_at = least(review_at, $3)
            where id = $1",
            id.as_str(),
            tier.map(|tier| tier.to_string()),
            now.to_sqlx() as _,
        );
        Ok(set.execute(db).await?.rows_affected())
    });
    if set.await? == 0 { Err(unknown(id)) } else { Ok(()) }
}

/// Notes that people have set aside what suspends the account until `now`: refunds, disputes. It is
/// due for review then.
pub async fn clear(store: &Store, id: &AccountId, now: Timestamp) -> Result<(), Error> {
    let cleared = store.run(async |db| {
        let cleared = query!(
            "update accounts
            set cleared_at = $2, version = version + 1, review_at = least(review_at, $2)
            where id = $1",
            id.as_str(),
            now.to_sqlx() as _,
        );
        Ok(cleared.execute(db).await?.rows_affected())
    });
    if cleared.await? == 0 { Err(unknown(id)) } else { Ok(()) }
}

pub(crate) fn unknown(id: &AccountId) -> Error {
    Error::Unknown { what: "account", id: id.to_string() }
}

/// An account id as `column` holds it.
pub(crate) fn parse(column: &'static str, id: &str) -> Result<AccountId, Error> {
    id.parse().map_err(|_| Error::UnknownWord { column, row: id.to_owned(), word: id.to_owned() })
}
