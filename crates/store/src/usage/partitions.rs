//! The months of the ledger.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use sqlx::{AssertSqlSafe, Connection, PgConnection, query, query_scalar};

use super::first_id;
use crate::{Error, Store};

/// One who makes or drops at a time: two that make the same month would fail.
const LOCK: &str = "usage_events partitions";

/// How many months are made in advance: with one to spare, a service that calls this daily may fail
/// for a month before events are refused.
const AHEAD: i32 = 2;

/// Makes the partitions of the month of `now` and of the next two, where they are missing.
pub async fn ensure_partitions(store: &Store, now: Timestamp) -> Result<(), Error> {
    let month = month_of(now);
    let months = (0..=AHEAD).map_while(|ahead| month.checked_add(ahead.months()).ok());
    let months: Vec<Date> = months.collect();
    store
        .run(async |db| {
            let mut transaction = db.begin().await?;
            lock(&mut transaction).await?;
            let names = names(&mut transaction).await?;
            for month in months.into_iter().filter(|month| !names.contains(&name(*month))) {
                create(&mut transaction, month).await?;
            }
            Ok(transaction.commit().await?)
        })
        .await
}

/// Drops the partitions that end at `retained` or before, and says which. Requests of that time are
/// refused from then on, so they cannot be charged twice.
pub async fn drop_partitions_before(
    store: &Store,
    retained: Timestamp,
) -> Result<Vec<String>, Error> {
    let first = name(month_of(retained));
    store
        .run(async |db| {
            let mut transaction = db.begin().await?;
            lock(&mut transaction).await?;
            let mut names = names(&mut transaction).await?;
            // Names are ordered as their months are.
            names.retain(|name| *name < first);
            for name in &names {
                query(AssertSqlSafe(format!("drop table {name}")))
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
            Ok(names)
        })
        .await
}

async fn lock(db: &mut PgConnection) -> Result<(), Error> {
    query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", LOCK).execute(db).await?;
    Ok(())
}

/// The partitions that are there, in order.
async fn names(db: &mut PgConnection) -> Result<Vec<String>, Error> {
    Ok(query_scalar!(
        r#"select relname::text as "name!"
        from pg_inherits
        join pg_class on pg_class.oid = inhrelid
        where inhparent = 'usage_events'::regclass
        order by 1"#
    )
    .fetch_all(db)
    .await?)
}

async fn create(db: &mut PgConnection, month: Date) -> Result<(), Error> {
    let next = month.checked_add(1.month()).unwrap_or(Date::MAX);
    let (name, from, to) = (name(month), start(month), start(next));
    let statement = format!(
        "create table {name} partition of usage_events for values from ('{from}') to ('{to}')"
    );
    query(AssertSqlSafe(statement)).execute(db).await?;
    Ok(())
}

fn name(month: Date) -> String {
    format!("usage_events_{:04}_{:02}", month.year(), month.month())
}

fn month_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date().first_of_month()
}

fn start(month: Date) -> uuid::Uuid {
    let zoned = month.to_zoned(TimeZone::UTC);
    first_id(zoned.map_or(Timestamp::MAX, |zoned| zoned.timestamp()))
}
