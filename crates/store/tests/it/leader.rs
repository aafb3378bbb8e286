use std::time::Duration;

use oc_store::lock::try_leader;
use oc_testkit::wait_for;

use crate::support::{database, sql};

#[tokio::test]
async fn one_leads_at_a_time_until_it_is_dropped_or_its_connection_breaks() {
    let (store, url) = database().await;
    let mut first = try_leader(&store, "job").await.unwrap().unwrap();
    assert!(try_leader(&store, "job").await.unwrap().is_none());
    assert!(try_leader(&store, "other").await.unwrap().is_some());
    assert!(first.still().await);
    drop(first);

    let again = async || Ok(try_leader(&store, "job").await?);
    let mut second = wait_for(Duration::from_secs(2), "the lead to be free", again).await.unwrap();
    let breaking = "select count(pg_terminate_backend(pid)) from pg_locks
        where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())";
    assert_eq!(sql(&url, breaking).await, "1");
    assert!(!second.still().await);
    assert!(!second.still().await, "lost stays lost");
    assert!(try_leader(&store, "job").await.unwrap().is_some());
}
