//! Whether a process may be sent work.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};

/// One thing that must be true before the process is sent work; false at first.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Check>);

#[derive(Debug)]
struct Check {
    name: &'static str,
    ready: AtomicBool,
}

/// All of them, also as the metric `ready`.
#[derive(Debug, Default)]
pub(crate) struct Checks(Mutex<Vec<Readiness>>);

impl Readiness {
    /// Says whether it is true now; a change is logged.
    pub fn set(&self, ready: bool) {
        if self.0.ready.swap(ready, Ordering::Relaxed) != ready {
            tracing::info!(check = self.0.name, ready, "readiness");
        }
    }

    fn get(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed)
    }
}

impl Checks {
    pub(crate) fn add(&self, name: &'static str) -> Readiness {
        let readiness = Readiness(Arc::new(Check { name, ready: AtomicBool::new(false) }));
        self.0.lock().push(readiness.clone());
        readiness
    }

    /// The names of what is not true; a process that has said nothing yet is starting.
    pub(crate) fn failing(&self) -> Vec<&'static str> {
        let checks = self.0.lock();
        if checks.is_empty() {
            return vec!["starting"];
        }
        checks.iter().filter(|check| !check.get()).map(|check| check.0.name).collect()
    }
}

impl Collector for Checks {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Whether what the process needs is there";
        let mut family = encoder.encode_descriptor("ready", help, None, MetricType::Gauge)?;
        for check in &*self.0.lock() {
            let value = ConstGauge::new(i64::from(check.get()));
            value.encode(family.encode_family(&[("check", check.0.name)])?)?;
        }
        Ok(())
    }
}
