//! Telegram bots: one for each tenant, its token sealed among the tenant's secrets.

use jiff::Timestamp;
use oc_domain::{AccountId, Locale, TenantId, TierId};
use secrecy::SecretString;
use serde::Deserialize;
use sqlx::{Connection, PgConnection, query, query_as, query_scalar, types::Json};

use crate::{
    Error, Store,
    chats::Chat,
    secrets::{self, KeyFile},
    tenants::State,
};

/// The name of the secret that holds a bot's token.
const TOKEN: &str = "telegram-bot-token";

/// A tenant's bot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Bot {
    /// What the pod knows it by: it changes when the real bot is another one. At least 1.
    pub number: i64,
    /// Telegram's id of it.
    pub telegram_id: i64,
    /// Its name at Telegram, without `@`.
    pub username: String,
    /// The last part of the address that Telegram delivers to.
    pub webhook_path: String,
    /// Raised by each change of the bot or its token.
    pub version: i64,
}

/// A bot that is to be a tenant's.
#[derive(Debug)]
pub struct NewBot<'a> {
    /// Telegram's id of it.
    pub telegram_id: i64,
    /// Its name at Telegram, without `@`.
    pub username: &'a str,
    /// Its token.
    pub token: &'a SecretString,
    /// The last part of the address that Telegram delivers to, where there was no bot before:
    /// unguessable.
    pub webhook_path: &'a str,
}

/// All that the relay has to know of a tenant.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Who pays.
    pub account: AccountId,
    /// What is paid for.
    pub tier: TierId,
    /// The language of the tenant's people.
    pub locale: Locale,
    /// Whether it is served.
    pub state: State,
    /// Platform tokens of other generations are revoked.
    pub generation: u32,
    /// Its bot and the bot's token; none where it has no bot.
    pub bot: Option<(Bot, SecretString)>,
    /// The SHA-256 of what Telegram's deliveries prove themselves by; empty without a bot.
    pub webhook_hash: Vec<u8>,
    /// Who may talk to the agent.
    pub chats: Vec<Chat>,
}

/// What is to be known of a tenant; nothing where there is none of that id.
pub async fn desk(store: &Store, keys: &KeyFile, tenant: &TenantId) -> Result<Option<Desk>, Error> {
    let found = store.run(async |db| {
        Ok(query!(
            r#"select account_id, tier, locale, state, generation,
                number as "number?", telegram_id as "telegram_id?", username as "username?",
                webhook_path as "webhook_path?", webhook_hash as "webhook_hash?",
                version as "version?", nonce as "nonce?", ciphertext as "ciphertext?",
                kek_id as "kek_id?", wrapped as "wrapped?",
                array(
                    select to_jsonb(chats) from chats where tenant_id = tenants.id order by chat_id
                ) as "chats!: Vec<Json<Chat>>"
            from tenants
            left join bots on bots.tenant_id = tenants.id
            left join secrets on secrets.tenant_id = tenants.id and name = $2
            left join data_keys
                on data_keys.tenant_id = tenants.id and data_keys.id = secrets.data_key
            where tenants.id = $1"#,
            tenant.as_str(),
            TOKEN,
        )
        .fetch_optional(db)
        .await?)
    });
    let Some(row) = found.await? else { return Ok(None) };
    let token = match (&row.kek_id, &row.wrapped, &row.nonce, row.ciphertext) {
        (Some(kek), Some(wrapped), Some(nonce), Some(ciphertext)) => {
            let key = keys.unwrap(tenant, kek, wrapped)?;
            Some(secrets::open_secret(&key, tenant, TOKEN, nonce, ciphertext)?)
        }
        _ => None,
    };
    let bot = match (row.number, row.telegram_id, row.username, row.webhook_path, row.version) {
        (Some(number), Some(telegram_id), Some(username), Some(webhook_path), Some(version)) => {
            token.map(|token| (Bot { number, telegram_id, username, webhook_path, version }, token))
        }
        _ => None,
    };
    let word = |column, word: String| Error::UnknownWord { column, row: tenant.to_string(), word };
    Ok(Some(Desk {
        account: row.account_id.parse().map_err(|_| word("tenants.account_id", row.account_id))?,
        tier: row.tier.parse().map_err(|_| word("tenants.tier", row.tier))?,
        locale: row.locale.parse().map_err(|_| word("tenants.locale", row.locale))?,
        state: row.state.parse().map_err(|_| word("tenants.state", row.state))?,
        generation: row.generation.cast_unsigned(),
        bot,
        webhook_hash: row.webhook_hash.unwrap_or_default(),
        chats: row.chats.into_iter().map(|Json(chat)| chat).collect(),
    }))
}

/// Whose bot's deliveries come to this path.
pub async fn by_path(store: &Store, webhook_path: &str) -> Result<Option<TenantId>, Error> {
    let found = store.run(async |db| {
        let found =
            query_scalar!("select tenant_id from bots where webhook_path = $1", webhook_path);
        Ok(found.fetch_optional(db).await?)
    });
    found.await?.map(|id| parse(&id)).transpose()
}

/// A tenant's bot.
pub async fn find(store: &Store, tenant: &TenantId) -> Result<Option<Bot>, Error> {
    store
        .run(async |db| {
            Ok(query_as!(
                Bot,
                "select number, telegram_id, username, webhook_path, version
                from bots
                where tenant_id = $1",
                tenant.as_str()
            )
            .fetch_optional(db)
            .await?)
        })
        .await
}

/// What the pod of a tenant knows its bot by; 0 where it has none.
pub async fn number(store: &Store, tenant: &TenantId) -> Result<i64, Error> {
    Ok(find(store, tenant).await?.map_or(0, |bot| bot.number))
}

/// The tenants that have a bot.
pub async fn tenants(store: &Store) -> Result<Vec<TenantId>, Error> {
    let found = store.run(async |db| {
        let found = query_scalar!("select tenant_id from bots order by tenant_id");
        Ok(found.fetch_all(db).await?)
    });
    found.await?.iter().map(|id| parse(id)).collect()
}

/// The tenants of an account that have a bot.
pub async fn of_account(store: &Store, account: &AccountId) -> Result<Vec<TenantId>, Error> {
    let found = store.run(async |db| {
        let found = query_scalar!(
            "select tenant_id
            from bots
            join tenants on tenants.id = tenant_id
            where account_id = $1
            order by tenant_id",
            account.as_str()
        );
        Ok(found.fetch_all(db).await?)
    });
    found.await?.iter().map(|id| parse(id)).collect()
}

/// Makes this the tenant's bot. Another real bot gets a new number, and the path that is given here;
/// one that was the tenant's already gets the token alone.
///
/// [`Error::BotTaken`] where it is another tenant's.
pub async fn set(
    store: &Store,
    keys: &KeyFile,
    tenant: &TenantId,
    bot: &NewBot<'_>,
    now: Timestamp,
) -> Result<Bot, Error> {
    let set = store.run(async |db| {
        let mut transaction = db.begin().await?;
        // First: it locks the tenant.
        secrets::put_in(&mut transaction, keys, tenant, TOKEN, bot.token).await?;
        let set = upsert(&mut transaction, tenant, bot, now).await?;
        transaction.commit().await?;
        Ok(set)
    });
    set.await.map_err(|error| {
        if error.violates("bots_telegram_id") {
            return Error::BotTaken(bot.username.to_owned());
        }
        error
    })
}

async fn upsert(
    db: &mut PgConnection,
    tenant: &TenantId,
    bot: &NewBot<'_>,
    now: Timestamp,
) -> Result<Bot, Error> {
    use jiff_sqlx::ToSqlx as _;
    query!("insert into mailboxes (tenant_id) values ($1) on conflict do nothing", tenant.as_str())
        .execute(&mut *db)
        .await?;
    Ok(query_as!(
        Bot,
        "insert into bots (tenant_id, number, telegram_id, username, webhook_path, webhook_hash,
            updated_at)
        values ($1, nextval('bot_numbers'), $2, $3, $4, '', $5)
        on conflict (tenant_id) do update
        set number = case
                when bots.telegram_id = excluded.telegram_id then bots.number
                else excluded.number
            end,
            webhook_path = case
                when bots.telegram_id = excluded.telegram_id then bots.webhook_path
                else excluded.webhook_path
            end,
            telegram_id = excluded.telegram_id, username = excluded.username,
            version = bots.version + 1, updated_at = excluded.updated_at
        returning number, telegram_id, username, webhook_path, version",
        tenant.as_str(),
        bot.telegram_id,
        bot.username,
        bot.webhook_path,
        now.to_sqlx() as _,
    )
    .fetch_one(db)
    .await?)
}

/// From now on Telegram's deliveries prove themselves by what has this SHA-256.
pub async fn set_webhook_hash(
    store: &Store,
    tenant: &TenantId,
    hash: &[u8; 32],
) -> Result<(), Error> {
    let changed = store.run(async |db| {
        let changed = query!(
            "update bots set webhook_hash = $2, version = version + 1 where tenant_id = $1",
            tenant.as_str(),
            hash,
        );
        Ok(changed.execute(db).await?.rows_affected())
    });
    if changed.await? == 0 { Err(unknown(tenant)) } else { Ok(()) }
}

/// Takes the bot and its token from a tenant, and what waits from it; whether there was one. Who may
/// talk to the agent stays.
pub async fn remove(store: &Store, tenant: &TenantId) -> Result<bool, Error> {
    store
        .run(async |db| {
            let mut transaction = db.begin().await?;
            secrets::lock(&mut transaction, tenant).await?;
            let removed = query!("delete from bots where tenant_id = $1", tenant.as_str());
            let removed = removed.execute(&mut *transaction).await?.rows_affected();
            let secret = query!(
                "delete from secrets where tenant_id = $1 and name = $2",
                tenant.as_str(),
                TOKEN
            );
            secret.execute(&mut *transaction).await?;
            forget_updates(&mut transaction, tenant).await?;
            transaction.commit().await?;
            Ok(removed > 0)
        })
        .await
}

/// Forgets all that came for a tenant.
async fn forget_updates(db: &mut PgConnection, tenant: &TenantId) -> Result<(), Error> {
    query!("delete from updates where tenant_id = $1", tenant.as_str()).execute(db).await?;
    Ok(())
}

/// Forgets the bot, the chats and what waits of a tenant that is destroyed, whose lock is held.
pub(crate) async fn forget(db: &mut PgConnection, tenant: &TenantId) -> Result<(), Error> {
    query!(
        "with codes as (delete from link_codes where tenant_id = $1),
        bot as (delete from bots where tenant_id = $1)
        delete from chats where tenant_id = $1",
        tenant.as_str()
    )
    .execute(&mut *db)
    .await?;
    forget_updates(db, tenant).await
}

fn unknown(tenant: &TenantId) -> Error {
    Error::Unknown { what: "bot of", id: tenant.to_string() }
}

fn parse(id: &str) -> Result<TenantId, Error> {
    id.parse().map_err(|_| Error::UnknownWord {
        column: "bots.tenant_id",
        row: id.to_owned(),
        word: id.to_owned(),
    })
}
