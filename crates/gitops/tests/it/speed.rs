//! How long a batch takes with ten thousand tenants in the repository.

use std::time::{Duration, Instant};

use oc_gitops::Change;

use crate::support::{Remote, apply, committed, hold, nth};

const TENANTS: usize = 10_000;

/// Bounds ten times what is promised, since tests share the machine with builds.
#[tokio::test]
async fn a_batch_does_not_depend_on_the_size_of_the_fleet() {
    let remote = Remote::new(TENANTS);
    let started = Instant::now();
    let mut fleet = remote.open().await;
    println!("clone of {TENANTS} tenants: {:?}", started.elapsed());
    let mut numbers = 0..;
    for (size, rounds, bound) in
        [(1, 15, Duration::from_secs(3)), (200, 7, Duration::from_secs(10))]
    {
        let mut times = Vec::new();
        for _ in 0..rounds {
            let changes: Vec<Change> = (0..size)
                .map(|_| numbers.next().unwrap())
                .map(|number| hold(number, &nth(number * 37, TENANTS)))
                .collect();
            let started = Instant::now();
            let outcomes = apply(&mut fleet, &changes).await.unwrap();
            times.push(started.elapsed());
            assert!(outcomes.iter().all(|outcome| !committed(outcome).is_null()));
        }
        times.sort();
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        println!("batch of {size}: median {median:?}, most {most:?}");
        assert!(median < bound, "{median:?}");
    }
    let started = Instant::now();
    drop(fleet);
    remote.open().await;
    println!("taking a clone over: {:?}", started.elapsed());
    remote.assert_once(0..numbers.start);
}
