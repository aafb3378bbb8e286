use oc_domain::usage::UsageEvent;
use oc_store::usage;
use tokio::time::Instant;

use crate::support::{database, event, period, used};

/// Far below what a machine does that has nothing else to do, so that a busy one passes too.
const LEAST_PER_SECOND: f64 = 2000.0;

#[tokio::test]
async fn a_recorder_keeps_up_with_the_platform() {
    let (store, _) = database().await;
    let one = period(&store, "one", 1 << 40).await;
    let events: Vec<UsageEvent> = (0..40_000).map(|number| event(one, number)).collect();
    let begun = Instant::now();
    for batch in events.chunks(1000) {
        usage::record(&store, batch).await.unwrap();
    }
    let seconds = begun.elapsed().as_secs_f64();
    let rate = 40_000.0 / seconds;
    println!("{rate:.0} rows a second, {:.1} ms a batch of 1000", seconds * 1000.0 / 40.0);
    assert!(rate > LEAST_PER_SECOND, "{rate}");
    assert_eq!(used(&store, "one").await, 400_000);
}
