//! The rate limit against an obvious model of it.

use std::time::Duration;

use oc_streams::{Limits, Verdict};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::time::{Instant, sleep};

use crate::support::{Bench, WIDE};

#[tokio::test]
async fn a_burst_is_admitted_and_then_the_rate() {
    let interval = Duration::from_millis(500);
    let bench = Bench::start(Limits { interval, burst: 4, ..WIDE }).await;
    let id = bench.customer("burst", 1, 1_000_000).await;
    let began = Instant::now();
    for _ in 0..4 {
        bench.admit(&id, 1, 1).await;
    }
    let Verdict::RateLimited { wait_ms } = bench.ask(&id, 1, 1).await else {
        panic!("a fifth at once")
    };
    let passed = u64::try_from(began.elapsed().as_millis()).unwrap();
    assert!(wait_ms <= 500 && wait_ms + passed >= 500, "{wait_ms} after {passed}");
    sleep(Duration::from_millis(wait_ms)).await;
    bench.admit(&id, 1, 1).await;
    assert!(matches!(bench.ask(&id, 1, 1).await, Verdict::RateLimited { .. }));
}

#[tokio::test]
async fn a_refusal_counts_against_the_rate() {
    let interval = Duration::from_mins(1);
    let bench = Bench::start(Limits { interval, burst: 3, ..WIDE }).await;
    let spent = bench.customer("spent", 1, 0).await;
    let other = bench.customer("other", 2, 100).await;
    let mut redis = bench;
    let _: u32 = redis.redis("HSET oc:t:c-other models +").await;
    for id in [spent, other] {
        for _ in 0..3 {
            let verdict = redis.ask(&id, 1, 1).await;
            assert!(!matches!(verdict, Verdict::RateLimited { .. }), "{verdict:?}");
        }
        let verdict = redis.ask(&id, 1, 1).await;
        assert!(matches!(verdict, Verdict::RateLimited { .. }), "{id}: {verdict:?}");
    }
}

/// In every window of `n` intervals at most `burst + n` are admitted, and whoever waits for as long
/// as is said is admitted.
#[test]
fn no_window_has_more_than_is_allowed_at_any_timing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let limits = (4..12u64, 1..6u32, prop::collection::vec(0..25u64, 60));
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 6, failure_persistence: None, ..<_>::default() });
    let run = runner.run(&limits, |(interval, burst, pauses)| {
        runtime.block_on(window(Duration::from_millis(interval), burst, &pauses));
        Ok(())
    });
    run.unwrap();
}

async fn window(interval: Duration, burst: u32, pauses: &[u64]) {
    let bench = Bench::start(Limits { interval, burst, ..WIDE }).await;
    let id = bench.customer("window", 1, 1_000_000).await;
    // Before and after each that was admitted.
    let mut times: Vec<(Instant, Instant)> = Vec::new();
    for pause in pauses {
        // Half of them at once.
        sleep(Duration::from_millis(pause.saturating_sub(12))).await;
        let before = Instant::now();
        match bench.ask(&id, 1, 1).await {
            Verdict::Admitted(_) => times.push((before, Instant::now())),
            Verdict::RateLimited { wait_ms } if wait_ms < 20 => {
                sleep(Duration::from_millis(wait_ms)).await;
                assert!(matches!(bench.ask(&id, 1, 1).await, Verdict::Admitted(_)));
                times.push((before, Instant::now()));
            }
            Verdict::RateLimited { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    for (first, (from, _)) in times.iter().enumerate() {
        for (last, (_, to)) in times.iter().enumerate().skip(first) {
            let admitted = u32::try_from(last - first + 1).unwrap();
            let earned = (*to - *from).div_duration_f64(interval);
            assert!(f64::from(admitted) <= f64::from(burst) + earned + 1e-6, "{first}..={last}");
        }
    }
}
