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
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(10);
    loop {
        if let Some(found) = probe().await? {
            return Ok(found);
        }
        if Instant::now() + pause > deadline {
            bail!("waited {} s in vain for {what}", limit.as_secs_f32());
        }
        sleep(pause).await;
        // Short waits stay exact, long ones do not load the API server.
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}
