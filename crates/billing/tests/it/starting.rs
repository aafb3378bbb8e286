//! The beginning and the end of a process.

use std::time::Duration;

use oc_domain::TierId;
use oc_sandbox::billing::{Setup, Stack};
use oc_store::migrations::{self, State};
use tokio::time::sleep;

use crate::support::{customer, quiet, setup, sql, start, until};

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_make_an_empty_database_theirs() {
    let stack = Stack::start(Setup { replicas: 2, ..setup() }).await.unwrap();
    let all = migrations::list(&stack.store).await.unwrap();
    assert!(all.iter().all(|one| one.state == State::Applied), "{all:?}");
    for number in 0..2 {
        let log = stack.log(number).unwrap();
        assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    }
    let (_, tenant) = customer(&stack, "Ana", TierId::Starter).await;
    quiet(&stack).await;
    assert_eq!(stack.remote.changes().unwrap().values().max(), Some(&1), "one of them commits");
    until(&stack, &tenant, "tier", "starter").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_well_and_what_was_left_is_done_by_the_next_one() {
    let mut stack = start().await;
    // Whatever it is at: most of these are under way.
    let mut pages = Vec::new();
    for number in 0..8 {
        pages.push(stack.buy(&format!("c{number}"), TierId::Starter).await.unwrap());
    }
    sleep(Duration::from_millis(50)).await;
    assert!(stack.services[0].drain().await.unwrap(), "{}", stack.log(0).unwrap());
    let log = stack.log(0).unwrap();
    assert!(!log.contains("ERROR"), "{log}");
    stack.restart(0).await.unwrap();
    quiet(&stack).await;
    let tenants = "select count(distinct account_id), count(*) from tenants";
    assert_eq!(sql(&stack, tenants).await, "8|8");
    let changes = stack.remote.changes().unwrap();
    assert!(changes.len() == 8 && changes.values().all(|count| *count == 1), "{changes:?}");
}
