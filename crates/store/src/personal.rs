//! What the law gives people: all that we hold of an account, and its erasure.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use oc_domain::{AccountId, RequestId, TenantId};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, query, query_scalar};
use uuid::Uuid;

use crate::{Error, Store, accounts::unknown, audit};

/// All that we hold of an account, as an object of its tables, but for the ledger, which [`requests`]
/// gives, the content of secrets, which we hold for its services and not for people, the content of
/// messages that are on their way, and the objects that are made from a tenant's file.
pub async fn export(store: &Store, account: &AccountId) -> Result<Value, Error> {
    let found = store.run(async |db| {
        Ok(query_scalar!(
            r#"with own as (select id from tenants where account_id = $1)
            select jsonb_build_object(
                'accounts', array(select to_jsonb(accounts) from accounts where id = $1),
                'members', array(
                    select to_jsonb(members) from members where account_id = $1 order by created_at
                ),
                'tenants', array(
                    select to_jsonb(tenants) from tenants where account_id = $1 order by created_at
                ),
                'subscriptions', array(
                    select to_jsonb(subscriptions) from subscriptions
                    where account_id = $1 order by updated_at
                ),
                'periods', array(
                    select to_jsonb(periods) from periods where account_id = $1 order by starts_at
                ),
                'message_counts', array(
                    select to_jsonb(message_counts) from message_counts
                    join periods on periods.id = period_id
                    where account_id = $1 order by starts_at
                ),
                'stripe_events', array(
                    select to_jsonb(stripe_events) from stripe_events
                    where account_id = $1 order by received_at
                ),
                'spec_changes', array(
                    select to_jsonb(spec_changes) from spec_changes
                    where tenant_id in (select id from own) order by id
                ),
                'outbox', array(
                    select to_jsonb(outbox) from outbox where account_id = $1 order by id
                ),
                'audit_log', array(
                    select to_jsonb(audit_log) from audit_log
                    where account_id = $1 order by id
                ),
                'data_keys', array(
                    select to_jsonb(data_keys) - 'wrapped' from data_keys
                    where tenant_id in (select id from own) order by tenant_id, id
                ),
                'secrets', array(
                    select to_jsonb(secrets) - array['nonce', 'ciphertext'] from secrets
                    where tenant_id in (select id from own) order by tenant_id, name
                ),
                'mailboxes', array(
                    select to_jsonb(mailboxes) from mailboxes
                    where tenant_id in (select id from own) order by tenant_id
                ),
                'bots', array(
                    select to_jsonb(bots) - array['webhook_path', 'webhook_hash'] from bots
                    where tenant_id in (select id from own) order by tenant_id
                ),
                'chats', array(
                    select to_jsonb(chats) from chats
                    where tenant_id in (select id from own) order by tenant_id, chat_id
                ),
                'link_codes', array(
                    select to_jsonb(link_codes) - 'hash' from link_codes
                    where tenant_id in (select id from own) order by tenant_id, expires_at
                ),
                'updates', array(
                    select to_jsonb(updates) - array['nonce', 'ciphertext'] from updates
                    where tenant_id in (select id from own) order by tenant_id, seq
                ),
                'renderings', array(
                    select to_jsonb(renderings) - 'objects' from renderings
                    where tenant_id in (select id from own) order by tenant_id
                )
            ) as "found!"
            where exists (select from accounts where id = $1)"#,
            account.as_str()
        )
        .fetch_optional(db)
        .await?)
    });
    found.await?.ok_or_else(|| unknown(account))
}

/// Rows of the ledger of a tenant in the order of time, those after the request `after`, `limit` at
/// most: fewer mean that there are no more.
pub async fn requests(
    store: &Store,
    tenant: &TenantId,
    after: Option<RequestId>,
    limit: u32,
) -> Result<Vec<Value>, Error> {
    store
        .run(async |db| {
            Ok(query_scalar!(
                r#"select to_jsonb(usage_events) as "row!"
                from usage_events
                where tenant_id = $1
                    and request_id > $2
                order by request_id
                limit $3"#,
                tenant.as_str(),
                after.map_or(Uuid::nil(), RequestId::uuid),
                i64::from(limit),
            )
            .fetch_all(db)
            .await?)
        })
        .await
}

/// Forgets the people of an account: its members, its tenants' bots, chats and messages, their secrets
/// with their keys, whose customer of Stripe's it is, and what notices said. What stays has ids alone:
/// the ledger, periods, subscriptions, events, the log.
///
/// [`Error::InUse`], and nothing is done, while a subscription has not ended or a tenant is not to
/// be deleted. Repeating it changes nothing.
pub async fn erase(
    store: &Store,
    account: &AccountId,
    actor: &str,
    now: Timestamp,
) -> Result<(), Error> {
    store
        .run(async |db| {
            let mut transaction = db.begin().await?;
            let db = &mut *transaction;
            lock(db, account).await?;
            if in_use(db, account).await? {
                return Err(Error::InUse(account.clone()));
            }
            forget_people(db, account, now).await?;
            forget_secrets(db, account).await?;
            let entry = audit::Entry {
                actor: actor.to_owned(),
                action: "account.erased".to_owned(),
                account: Some(account.clone()),
                tenant: None,
                trace: None,
                details: json!({}),
            };
            audit::write(db, now, &[entry]).await?;
            Ok(transaction.commit().await?)
        })
        .await
}

/// No review is committed from here on that was loaded before.
async fn lock(db: &mut PgConnection, account: &AccountId) -> Result<(), Error> {
    let locked = query!(
        "update accounts
        set version = version + 1, stripe_customer_id = null, review_error = null
        where id = $1",
        account.as_str()
    );
    let locked = locked.execute(db).await?.rows_affected();
    if locked == 0 { Err(unknown(account)) } else { Ok(()) }
}

async fn in_use(db: &mut PgConnection, account: &AccountId) -> Result<bool, Error> {
    Ok(query_scalar!(
        r#"select exists (
                select from subscriptions where account_id = $1 and ended_at is null
            ) or exists (
                select from tenants where account_id = $1 and deleted_at is null
            ) as "in_use!""#,
        account.as_str()
    )
    .fetch_one(db)
    .await?)
}

async fn forget_people(
    db: &mut PgConnection,
    account: &AccountId,
    now: Timestamp,
) -> Result<(), Error> {
    query!(
        "with gone as (delete from members where account_id = $1),
        events as (update stripe_events set customer = null where account_id = $1)
        update outbox
        set payload = '{}',
            withdrawn_at = case
                when delivered_at is null then coalesce(withdrawn_at, $2) else withdrawn_at
            end
        where account_id = $1",
        account.as_str(),
        now.to_sqlx() as _,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn forget_secrets(db: &mut PgConnection, account: &AccountId) -> Result<(), Error> {
    // Locked as those do who write secrets, or one could slip in between.
    query!(
        "select from tenants where account_id = $1 order by id for no key update",
        account.as_str()
    )
    .execute(&mut *db)
    .await?;
    query!(
        "with codes as (
            delete from link_codes
            where tenant_id in (select id from tenants where account_id = $1)
        ),
        bots as (
            delete from bots where tenant_id in (select id from tenants where account_id = $1)
        ),
        messages as (
            delete from updates where tenant_id in (select id from tenants where account_id = $1)
        )
        delete from chats where tenant_id in (select id from tenants where account_id = $1)",
        account.as_str()
    )
    .execute(&mut *db)
    .await?;
    query!(
        "delete from secrets
        where tenant_id in (select id from tenants where account_id = $1)",
        account.as_str()
    )
    .execute(&mut *db)
    .await?;
    query!(
        "delete from data_keys
        where tenant_id in (select id from tenants where account_id = $1)",
        account.as_str()
    )
    .execute(db)
    .await?;
    Ok(())
}
