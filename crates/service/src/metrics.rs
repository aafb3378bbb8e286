//! What the kernel knows about this process, under the names that every dashboard expects.

use std::{fs, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use rustix::time::{ClockId, clock_gettime};

use crate::Clock;

/// The `process_*` metrics, read from the kernel at each scrape.
#[derive(Debug)]
struct Collected {
    start_seconds: i64,
}

/// Registers them; the process begins now.
pub(crate) fn register(registry: &mut Registry) {
    let start_seconds = Clock::system().now().as_second();
    registry.register_collector(Box::new(Collected { start_seconds }));
}

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut add = |name: &str, help: &str, metric: &dyn EncodeMetric| {
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        let (cpu, start) = (ConstCounter::new(cpu_seconds()), ConstGauge::new(self.start_seconds));
        add("process_cpu_seconds", "Processor time, of user and system", &cpu)?;
        add("process_start_time_seconds", "When it began, in seconds after 1970", &start)?;
        // Absent rather than zero where the kernel does not tell.
        if let Some(bytes) = resident_bytes() {
            add("process_resident_memory_bytes", "Resident memory", &ConstGauge::new(bytes))?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory itself.
            let open = i64::try_from(open.count()).unwrap_or(i64::MAX) - 1;
            add("process_open_fds", "Open file descriptors", &ConstGauge::new(open))?;
        }
        Ok(())
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default().as_secs_f64()
}

fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
