//! Messages beyond those of the period: held until there is room again, and their writer is asked what
//! is to become of them.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use oc_domain::{Locale, TenantId};
use sqlx::{Connection, PgConnection, query};

use crate::{Error, Store};

/// Whether the messages that are held of a chat are to be answered now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose bot asks.
    pub tenant: TenantId,
    /// Where.
    pub chat_id: i64,
    /// The language of who is asked.
    pub locale: Locale,
    /// What its answer names: no other question has this number.
    pub number: i64,
    /// How many messages are held.
    pub count: u64,
    /// When the first of them came.
    pub oldest: Timestamp,
}

/// What became of the messages of a chat that were to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// How many wait for the pod now.
    pub replayed: u64,
    /// How many there was no room for: they are asked about again when there is.
    pub left: u64,
}

/// Takes questions that are to be asked now, `limit` at most: of chats for whose held messages there is
/// room, whose tenant is served, and that are not asked already.
///
/// One caller gets a question, and another one after `again` if nobody has said [`asked`] by then.
pub async fn take_questions(
    store: &Store,
    now: Timestamp,
    again: SignedDuration,
    limit: u32,
) -> Result<Vec<Question>, Error> {
    let rows = store.run(async |db| {
        Ok(query!(
            r#"with waiting as (
                select tenant_id, held_for, count(*) as count, min(received_at) as oldest
                from updates
                where held_for is not null
                group by tenant_id, held_for
            ),
            due as (
                select chats.tenant_id, chat_id, count, oldest
                from waiting
                join chats on chats.tenant_id = waiting.tenant_id and chat_id = held_for
                join tenants on tenants.id = waiting.tenant_id
                left join periods
                    on periods.account_id = tenants.account_id
                    and starts_at <= $1
                    and ends_at > $1
                left join message_counts on period_id = periods.id
                where state = 'active'
                    and (message_limit is null or coalesce(used, 0) < message_limit)
                    and (question is null or ask_at <= $1)
                order by oldest
                limit $3
            )
            update chats
            set question = coalesce(question, nextval('questions')), ask_at = $2
            from due
            where chats.tenant_id = due.tenant_id
                and chats.chat_id = due.chat_id
                and (question is null or ask_at <= $1)
            returning chats.tenant_id, chats.chat_id, locale, question as "number!",
                count as "count!", oldest as "oldest!: SqlTimestamp""#,
            now.to_sqlx() as _,
            (now + again).to_sqlx() as _,
            i64::from(limit),
        )
        .fetch_all(db)
        .await?)
    });
    let mut questions = Vec::new();
    for row in rows.await? {
        let word = |column, word| Error::UnknownWord { column, row: row.tenant_id.clone(), word };
        questions.push(Question {
            tenant: row
                .tenant_id
                .parse()
                .map_err(|_| word("chats.tenant_id", row.tenant_id.clone()))?,
            locale: row.locale.parse().map_err(|_| word("chats.locale", row.locale))?,
            chat_id: row.chat_id,
            number: row.number,
            count: row.count.cast_unsigned(),
            oldest: row.oldest.to_jiff(),
        });
    }
    Ok(questions)
}

/// Notes that a question was asked: it is not taken again.
pub async fn asked(store: &Store, question: &Question) -> Result<(), Error> {
    store
        .run(async |db| {
            query!(
                "update chats
                set ask_at = null
                where tenant_id = $1
                    and chat_id = $2
                    and question = $3",
                question.tenant.as_str(),
                question.chat_id,
                question.number,
            )
            .execute(db)
            .await?;
            Ok(())
        })
        .await
}

/// Has the pod answer what is held of a chat, as much as there is room for: the oldest first, counted,
/// with new numbers after all others, and as if it had come now. That answers the question; nothing
/// where it is not open.
pub async fn replay(
    store: &Store,
    tenant: &TenantId,
    chat_id: i64,
    question: i64,
    now: Timestamp,
) -> Result<Option<Replayed>, Error> {
    store
        .run(async |db| {
            let mut transaction = db.begin().await?;
            let db = &mut *transaction;
            // Before the counts, as who receives.
            query!("select from mailboxes where tenant_id = $1 for no key update", tenant.as_str())
                .execute(&mut *db)
                .await?;
            if !close(db, tenant, chat_id, question).await? {
                return Ok(None);
            }
            let count = query!(
                r#"select period_id as "period!", message_limit - used as "room!"
                from lock_message_counts(array(select account_id from tenants where id = $1), $2)"#,
                tenant.as_str(),
                now.to_sqlx() as _,
            );
            let count = count.fetch_optional(&mut *db).await?;
            let room = count.as_ref().map(|count| count.room.max(0));
            let period = count.map(|count| count.period);
            let replayed = renumber(db, tenant, chat_id, room, period, now).await?;
            transaction.commit().await?;
            Ok(Some(replayed))
        })
        .await
}

/// Moves so many of the chat's to the end of the tenant's line, whose mailbox is locked.
async fn renumber(
    db: &mut PgConnection,
    tenant: &TenantId,
    chat_id: i64,
    room: Option<i64>,
    period: Option<i64>,
    now: Timestamp,
) -> Result<Replayed, Error> {
    let moved = query!(
        r#"with held as (
            select seq, row_number() over (order by seq) as nth
            from updates
            where tenant_id = $1
                and held_for = $2
        ),
        moved as (
            select * from held where nth <= $3 or $3::bigint is null
        ),
        charged as (
            update message_counts
            set used = used + (select count(*) from moved)
            where period_id = $4
        ),
        advanced as (
            update mailboxes
            set last_seq = last_seq + (select count(*) from moved)
            where tenant_id = $1
        ),
        replayed as (
            update updates
            set seq = last_seq + nth, held_for = null, received_at = $5
            from moved
            cross join mailboxes
            where updates.tenant_id = $1
                and updates.seq = moved.seq
                and mailboxes.tenant_id = $1
        )
        select (select count(*) from moved) as "replayed!", (select count(*) from held) as "held!""#,
        tenant.as_str(),
        chat_id,
        room,
        period,
        now.to_sqlx() as _,
    )
    .fetch_one(db)
    .await?;
    let left = moved.held - moved.replayed;
    Ok(Replayed { replayed: moved.replayed.cast_unsigned(), left: left.cast_unsigned() })
}

/// Forgets what is held of a chat, and says how much that was. That answers the question; nothing where
/// it is not open.
pub async fn forget(
    store: &Store,
    tenant: &TenantId,
    chat_id: i64,
    question: i64,
    now: Timestamp,
) -> Result<Option<u64>, Error> {
    store
        .run(async |db| {
            let mut transaction = db.begin().await?;
            if !close(&mut transaction, tenant, chat_id, question).await? {
                return Ok(None);
            }
            let gone = query!(
                "update updates
                set confirmed_at = $3, data_key = null, nonce = null, ciphertext = null,
                    held_for = null
                where tenant_id = $1
                    and held_for = $2",
                tenant.as_str(),
                chat_id,
                now.to_sqlx() as _,
            );
            let gone = gone.execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            Ok(Some(gone))
        })
        .await
}

/// Whether the question was open: it is not any more.
async fn close(
    db: &mut PgConnection,
    tenant: &TenantId,
    chat_id: i64,
    question: i64,
) -> Result<bool, Error> {
    let closed = query!(
        "update chats
        set question = null, ask_at = null
        where tenant_id = $1
            and chat_id = $2
            and question = $3",
        tenant.as_str(),
        chat_id,
        question,
    );
    Ok(closed.execute(db).await?.rows_affected() > 0)
}

/// Gives up what is held since before `since`, and the questions about nothing else; says how much.
pub(super) async fn prune(
    db: &mut PgConnection,
    since: Timestamp,
    now: Timestamp,
) -> Result<u64, Error> {
    query!(
        "update chats
        set question = null, ask_at = null
        where question is not null
            and not exists (
                select from updates
                where updates.tenant_id = chats.tenant_id
                    and held_for = chat_id
                    and received_at >= $1
            )",
        since.to_sqlx() as _,
    )
    .execute(&mut *db)
    .await?;
    let gone = query!(
        "update updates
        set confirmed_at = $2, data_key = null, nonce = null, ciphertext = null, held_for = null
        where held_for is not null
            and received_at < $1",
        since.to_sqlx() as _,
        now.to_sqlx() as _,
    );
    Ok(gone.execute(db).await?.rows_affected())
}
