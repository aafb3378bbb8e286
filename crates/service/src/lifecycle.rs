//! The life of a process: its tasks, its readiness, its metrics, its end.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use futures::FutureExt as _;
use parking_lot::Mutex;
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::{
    metrics,
    readiness::{Checks, Readiness},
    telemetry,
};

/// The handle that a service has on its own process.
///
/// The drain begins at SIGTERM or SIGINT, when `run` returns, or when a task fails; what has not
/// ended within the grace is cut off.
#[derive(Clone, Debug)]
pub struct Lifecycle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    grace: Duration,
    draining: CancellationToken,
    failed: AtomicBool,
    tasks: TaskTracker,
    running: Mutex<BTreeMap<&'static str, usize>>,
    checks: Arc<Checks>,
    registry: Mutex<Registry>,
}

/// Work that the log names if it is cut off.
#[derive(Debug)]
pub(crate) struct Running {
    lifecycle: Lifecycle,
    name: &'static str,
}

impl Lifecycle {
    /// A life that begins now. `main` makes a process's own; others are for tests.
    pub fn new(grace: Duration) -> Self {
        let checks = Arc::<Checks>::default();
        let mut registry = Registry::default();
        metrics::register(&mut registry);
        let ours = registry.sub_registry_with_prefix(PREFIX);
        ours.register_collector(Box::new(Arc::clone(&checks)));
        Self(Arc::new(Inner {
            grace,
            draining: CancellationToken::new(),
            failed: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            running: Mutex::default(),
            checks,
            registry: Mutex::new(registry),
        }))
    }

    /// Starts a task that the drain waits for, so it ends on [`Self::draining`].
    ///
    /// An error or a panic of it is logged under `name`, begins the drain, and makes the exit code 1.
    pub fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        // From now on, not from when the runtime finds the time.
        let running = self.begin(name);
        let task = async move { running.attend(task).await };
        // At level error, so that it is there at every log level.
        let span = tracing::error_span!(target: telemetry::TASK, parent: None, "task", task = name);
        self.0.tasks.spawn(task.instrument(span));
    }

    /// Cancelled when the drain begins: take no new work, end what is in hand. Cancelling it does
    /// nothing to the process.
    pub fn draining(&self) -> CancellationToken {
        self.0.draining.child_token()
    }

    /// How long the drain may take.
    pub fn grace(&self) -> Duration {
        self.0.grace
    }

    /// Begins the drain, as SIGTERM does.
    pub fn drain(&self) {
        self.0.draining.cancel();
    }

    /// Waits until every task has ended.
    pub async fn ended(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Something that must be true before the process is sent work; it is false at first.
    ///
    /// `/readyz` answers 503 until there is one and all are true, so make them all before the first
    /// is set.
    pub fn readiness(&self, name: &'static str) -> Readiness {
        self.0.checks.add(name)
    }

    /// What keeps the process from being ready; nothing if it is.
    pub fn failing(&self) -> Vec<&'static str> {
        let mut failing = self.0.checks.failing();
        if self.0.draining.is_cancelled() {
            failing.push("draining");
        }
        failing
    }

    /// Registers metrics, whose names get the prefix `openclaw_`.
    pub fn registry<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(self.0.registry.lock().sub_registry_with_prefix(PREFIX))
    }

    /// All metrics, as `OpenMetrics` text.
    pub fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.registry.lock())?;
        Ok(text)
    }

    pub(crate) fn begin(&self, name: &'static str) -> Running {
        *self.0.running.lock().entry(name).or_default() += 1;
        Running { lifecycle: self.clone(), name }
    }

    /// The names of what has not ended.
    pub(crate) fn running(&self) -> Vec<&'static str> {
        self.0.running.lock().keys().copied().collect()
    }

    pub(crate) fn failed(&self) -> bool {
        self.0.failed.load(Ordering::Relaxed)
    }
}

const PREFIX: &str = "openclaw";

impl Running {
    /// Does the work; an error or a panic of it is logged and begins the drain.
    pub(crate) async fn attend(self, work: impl Future<Output = Result<()>>) {
        let problem = match AssertUnwindSafe(work).catch_unwind().await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "it panicked".to_owned(),
        };
        tracing::error!(task = self.name, error = problem, "a task failed");
        self.lifecycle.0.failed.store(true, Ordering::Relaxed);
        self.lifecycle.drain();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.lifecycle.0.running.lock();
        if let Some(count) = running.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                running.remove(self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    fn lifecycle() -> Lifecycle {
        Lifecycle::new(Duration::from_secs(1))
    }

    #[test]
    fn a_process_is_ready_when_all_checks_are_true_and_it_does_not_drain() {
        let lifecycle = lifecycle();
        assert_eq!(lifecycle.failing(), ["starting"]);
        let (redis, store) = (lifecycle.readiness("redis"), lifecycle.readiness("store"));
        redis.set(true);
        assert_eq!(lifecycle.failing(), ["store"]);
        store.set(true);
        assert!(lifecycle.failing().is_empty());
        redis.set(false);
        lifecycle.drain();
        assert_eq!(lifecycle.failing(), ["redis", "draining"]);
    }

    #[tokio::test]
    async fn the_end_waits_for_every_task() {
        let lifecycle = lifecycle();
        let draining = lifecycle.draining();
        lifecycle.spawn("worker", async move {
            draining.cancelled().await;
            Ok(())
        });
        assert_eq!(lifecycle.running(), ["worker"]);
        lifecycle.drain();
        lifecycle.ended().await;
        assert!(lifecycle.running().is_empty() && !lifecycle.failed());
    }

    #[tokio::test]
    async fn a_task_that_fails_or_panics_begins_the_drain() {
        for panics in [false, true] {
            let lifecycle = lifecycle();
            lifecycle.spawn("worker", async move {
                assert!(!panics, "as the test wants");
                anyhow::bail!("as the test wants")
            });
            lifecycle.draining().cancelled().await;
            lifecycle.ended().await;
            assert!(lifecycle.failed());
        }
    }

    #[test]
    fn a_holder_of_the_draining_token_cannot_begin_the_drain() {
        let lifecycle = lifecycle();
        lifecycle.draining().cancel();
        assert!(!lifecycle.draining().is_cancelled());
    }

    #[test]
    fn metrics_are_prefixed_and_the_processs_own_have_their_usual_names() {
        let lifecycle = lifecycle();
        let seen = Counter::<u64>::default();
        lifecycle.registry(|registry| registry.register("seen", "What was seen", seen.clone()));
        lifecycle.readiness("redis");
        seen.inc_by(3);
        let text = lifecycle.metrics().unwrap();
        assert!(text.contains("\nopenclaw_seen_total 3\n"), "{text}");
        assert!(text.contains("\nopenclaw_ready{check=\"redis\"} 0\n"), "{text}");
        for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "start_time_seconds"]
        {
            let line = text.lines().find(|line| line.starts_with(&format!("process_{name} ")));
            let value: f64 = line.unwrap().split(' ').nth(1).unwrap().parse().unwrap();
            assert!(value > 0.0, "{name}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
