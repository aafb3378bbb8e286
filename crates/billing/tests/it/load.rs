//! Many at once. The size is the small one unless `OPENCLAW_BENCH` is `quick` or `full`, see
//! `scripts/bench-billing`, which reads the line of JSON that each of these prints.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use oc_domain::TierId;
use oc_sandbox::billing::{Setup, Stack};
use serde_json::json;
use tokio::time::{Instant, interval};

use crate::{
    human::Human,
    support::{setup, sql, until_sql_within},
};

mod rate;

/// What is asked for by `OPENCLAW_BENCH`.
fn size<T>(small: T, quick: T, full: T) -> T {
    #[expect(clippy::disallowed_methods, reason = "a test has no options")]
    match std::env::var("OPENCLAW_BENCH").as_deref() {
        Ok("full") => full,
        Ok("quick") => quick,
        _ => small,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checkouts_at_once_from_four_workers_and_a_human_who_pushes() {
    let count = size(200, 200, 1_000);
    let stack = Stack::start(Setup { replicas: 4, ..setup() }).await.unwrap();
    let stack = Arc::new(stack);
    let human = Human::start(stack.folder());
    let pages = stream::iter(0..count)
        .map(|number| {
            let stack = Arc::clone(&stack);
            async move {
                let name = format!("c{number}");
                stack.checkout(number % 4, &name, TierId::Starter).await.unwrap()
            }
        })
        .buffer_unordered(64)
        .collect::<Vec<_>>()
        .await;
    let began = Instant::now();
    let words: Vec<String> =
        pages.iter().map(|page| format!("checkout={}:works", page.session)).collect();
    stack.at_stripe(&words.join(" ")).unwrap();
    let committed = "select count(distinct tenant_id) from spec_changes
        where status = 'committed'";
    let expected = count.to_string();
    let all = until_sql_within(&stack, committed, &expected, Duration::from_mins(5));
    // Stripe knows one address; behind it the workers take turns.
    let mut turn = interval(Duration::from_millis(5));
    let spread = async {
        for number in 0.. {
            turn.tick().await;
            stack.deliver_to(number % 4).unwrap();
        }
    };
    tokio::select! { () = all => {}, () = spread => {} }
    let seconds = began.elapsed().as_secs_f64();
    let commits = human.stop();
    let list = "select string_agg(id, ' ') from tenants";
    let ids = sql(&stack, list).await;
    let ids: Vec<&str> = ids.split(' ').collect();
    assert_eq!(ids.len(), count);
    let files = stack.remote.git(&["ls-tree", "-r", "--name-only", "main", "tenants"]).unwrap();
    assert!(ids.iter().all(|id| files.contains(&format!("{id}.json"))));
    assert_eq!(files.lines().count(), count);
    assert_eq!(stack.remote.git(&["rev-list", "--merges", "main"]).unwrap(), "");
    let changes = stack.remote.changes().unwrap();
    assert!(changes.len() == count && changes.values().all(|times| *times == 1));
    Human::assert_all_there(&stack.remote, commits);
    let report = json!({"checkouts": count, "seconds": seconds, "human_commits": commits});
    println!("bench {report}");
}
