use futures::future::join_all;
use jiff::{Timestamp, ToSpan};
use oc_store::{
    Error,
    migrations::{self, State},
    usage,
};
use oc_testkit::Postgres;

use crate::support::{connect, database, event, now, period, sql};

#[tokio::test]
async fn several_that_migrate_at_once_do_it_once() {
    let url = Postgres::shared().await.unwrap().create_database().await.unwrap();
    let stores: Vec<_> = (0..6).map(|_| connect(&url)).collect();
    for done in join_all(stores.iter().map(migrations::run)).await {
        done.unwrap();
    }
    let list = migrations::list(&stores[0]).await.unwrap();
    assert!(list.len() > 20 && list.iter().all(|one| one.state == State::Applied), "{list:?}");
}

#[tokio::test]
async fn a_database_of_a_later_release_is_refused() {
    let (store, url) = database().await;
    sql(&url, "insert into _sqlx_migrations values (29990101000000, 'x', now(), true, '', 0)")
        .await;
    let refused = migrations::run(&store).await.unwrap_err();
    assert!(matches!(refused, Error::Newer(29_990_101_000_000)) && !refused.is_transient());
}

#[tokio::test]
async fn months_are_made_ahead_and_dropped_once_they_are_over() {
    let (store, url) = database().await;
    let later = now() + 720.hours();
    for made in join_all((0..4).map(|_| usage::ensure_partitions(&store, later))).await {
        made.unwrap();
    }
    let partitions =
        "select relname from pg_class where relkind = 'r' and relispartition order by 1";
    let all =
        "usage_events_2026_11\nusage_events_2026_12\nusage_events_2027_01\nusage_events_2027_02";
    assert_eq!(sql(&url, partitions).await, all);

    let old = period(&store, "one", 1000).await;
    usage::record(&store, &[event(old, 1)]).await.unwrap();
    let retained: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
    let none = usage::drop_partitions_before(&store, retained - 1.nanosecond()).await.unwrap();
    assert_eq!(none, [""; 0]);
    let dropped = usage::drop_partitions_before(&store, retained).await.unwrap();
    assert_eq!(dropped, ["usage_events_2026_11"]);
    let refused = usage::record(&store, &[event(old, 1)]).await.unwrap_err();
    assert!(!refused.is_transient(), "never charged again: {refused:?}");
}

#[tokio::test]
async fn months_begin_and_end_where_utc_does() {
    let (store, url) = database().await;
    let one = period(&store, "one", 1000).await;
    for (at, month) in
        [("2026-11-30T23:59:59.999Z", "2026_11"), ("2026-12-01T00:00:00Z", "2026_12")]
    {
        let at: Timestamp = at.parse().unwrap();
        let milliseconds = at.as_millisecond().cast_unsigned();
        let mut event = event(one, 1);
        event.request = oc_domain::RequestId::new(milliseconds, [0; 10]);
        usage::record(&store, &[event.clone()]).await.unwrap();
        let admitted = format!(
            "select admitted_at = to_timestamp({milliseconds} / 1000.0) from usage_events_{month}
            where request_id = '{}'",
            event.request
        );
        assert_eq!(sql(&url, &admitted).await, "t");
    }
}
