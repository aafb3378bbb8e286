//! A client that leaves before it is known whether it is admitted.

use std::{process::Command, time::Duration};

use oc_sandbox::stack::{Stack, ask};
use oc_testkit::{Postgres, wait_for};
use tokio::time::{sleep, timeout};

use crate::setup;

fn signal(pid: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_while_it_is_admitted_is_charged_nothing() {
    let postgres = Postgres::start().await.unwrap();
    let stack = Stack::start_on(&postgres, setup()).await.unwrap();
    let token = stack.tenant("c-leaves", 1_000_000).await.unwrap();
    stack.chat(&token, &ask("warm")).await.unwrap().bytes().await.unwrap();
    stack.rows("c-leaves", 1).await.unwrap();
    let before = stack.totals("c-leaves").await.unwrap();

    signal(stack.redis.pid(), "-STOP");
    let question = ask("a question that nobody waits for");
    let answer = timeout(Duration::from_millis(300), stack.chat(&token, &question)).await;
    assert!(answer.is_err());
    sleep(Duration::from_millis(100)).await;
    signal(stack.redis.pid(), "-CONT");

    let after = stack.rows("c-leaves", 2).await.unwrap();
    assert_eq!((after.charged, after.tokens), (before.charged, before.tokens));
    let unreserved =
        async || Ok((stack.usage(&token).await?["quota"]["reserved_tokens"] == 0).then_some(()));
    wait_for(Duration::from_secs(10), "nothing to be reserved", unreserved).await.unwrap();
    assert_eq!(stack.kimi.stats().requests, 1);
}
