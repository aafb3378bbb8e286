//! Waiting for what another process does.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// Calls `probe` until it has something, and fails with `what` was waited for once `limit` has
/// passed.
///
/// An error of the probe ends the waiting at once: what may come right by itself is `Ok(None)`.
pub async fn wait_for<T>(
    limit: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe().await? {
            return Ok(found);
        }
        // What is waited for is found late by 2 % of the wait; long waits do not load the server.
        let waited = begun.elapsed();
        let pause = (waited / 50).clamp(Duration::from_millis(10), Duration::from_millis(200));
        if waited + pause > limit {
            bail!("waited {} s in vain for {what}", limit.as_secs_f32());
        }
        sleep(pause).await;
    }
}
