use std::time::Duration;

use oc_domain::usage::UsageEvent;
use oc_store::{Error, Store, migrations, usage};
use oc_testkit::Postgres;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, timeout};

use crate::support::{connect, event, now, period, used};

#[tokio::test]
async fn without_postgres_calls_fail_in_time_and_work_again_when_it_is_back() {
    let mut server = Postgres::start().await.unwrap();
    let url = server.create_database().await.unwrap();
    let store = connect(&url);
    migrations::run(&store).await.unwrap();
    usage::ensure_partitions(&store, now()).await.unwrap();
    let one = period(&store, "one", 1000).await;
    let batch = [event(one, 1), event(one, 2)];
    usage::record(&store, &batch).await.unwrap();

    server.kill().unwrap();
    fails(&store, &batch).await;
    server.restart().await.unwrap();
    assert_eq!(recorded(&store, &[event(one, 2), event(one, 3)]).await, (1, 1));

    // It neither answers nor refuses: as a machine that is away.
    let pid = Pid::from_raw(server.pid().cast_signed()).unwrap();
    stop_all(pid, Signal::STOP);
    fails(&store, &batch).await;
    stop_all(pid, Signal::CONT);
    assert_eq!(recorded(&store, &[event(one, 3), event(one, 4)]).await, (1, 1));
    assert_eq!(used(&store, "one").await, 40);
}

/// At once and again: also once all connections of the pool are bad.
async fn fails(store: &Store, batch: &[UsageEvent]) {
    for _ in 0..3 {
        let (begun, requests) = (Instant::now(), [batch[0].request]);
        let (recorded, found) =
            tokio::join!(usage::record(store, batch), usage::existing(store, &requests));
        let (recorded, found): (Error, Error) = (recorded.unwrap_err(), found.unwrap_err());
        assert!(recorded.is_transient() && found.is_transient(), "{recorded:?} {found:?}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }
}

async fn recorded(store: &Store, batch: &[UsageEvent]) -> (usize, usize) {
    let recorded = timeout(Duration::from_secs(3), usage::record(store, batch)).await;
    let recorded = recorded.unwrap().unwrap();
    (recorded.inserted, recorded.duplicates)
}

/// The server and its sessions.
fn stop_all(server: Pid, signal: Signal) {
    let raw = server.as_raw_nonzero();
    let sessions = std::fs::read_to_string(format!("/proc/{raw}/task/{raw}/children")).unwrap();
    for session in sessions.split_whitespace() {
        let _ = Pid::from_raw(session.parse().unwrap()).map(|pid| kill_process(pid, signal));
    }
    kill_process(server, signal).unwrap();
}
