//! What can be seen of the process.

use std::time::Duration;

use jiff::SignedDuration;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// What became of something, in one word.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

/// All metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    updates: Family<Labels, Counter>,
    calls: Family<Labels, Counter>,
    letters: Family<Labels, Counter>,
    heartbeats: Counter,
    /// Sends that a pod has repeated since it does not know what became of them.
    pub(crate) repeated_sends: Counter,
    /// Updates that nobody has fetched in a day.
    pub(crate) expired: Counter,
    /// Pods that wait for updates.
    pub(crate) polls: Gauge,
    /// Whether this replica polls Telegram.
    pub(crate) polling: Gauge,
    delivery_seconds: Histogram,
    call_seconds: Histogram,
}

/// What becomes of updates. Messages that a tier counts are `counted` in the place of `stored`; those
/// beyond it are `held`, and then `replayed`, `dropped` or `lapsed`, or they are `beyond` even that.
const UPDATES: [&str; 15] = [
    "stored",
    "counted",
    "held",
    "beyond",
    "replayed",
    "dropped",
    "lapsed",
    "known",
    "bound",
    "answered",
    "stranger",
    "ignored",
    "refused",
    "unavailable",
    "unreadable",
];
const CALLS: [&str; 5] = ["answered", "refused", "held", "limited", "failed"];
const LETTERS: [&str; 2] = ["sent", "failed"];

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let times = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let metrics = Self {
            updates: Family::default(),
            calls: Family::default(),
            letters: Family::default(),
            heartbeats: Counter::default(),
            repeated_sends: Counter::default(),
            expired: Counter::default(),
            polls: Gauge::default(),
            polling: Gauge::default(),
            delivery_seconds: times(),
            call_seconds: times(),
        };
        metrics.register(registry.sub_registry_with_prefix("channels"));
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("updates", "Updates that came from Telegram", self.updates.clone());
        registry.register("calls", "Calls of the Bot API by pods", self.calls.clone());
        registry.register("letters", "What the platform itself said", self.letters.clone());
        registry.register("heartbeats", "Heartbeats of agents", self.heartbeats.clone());
        let help = "Sends that a pod repeated, not knowing what became of them";
        registry.register("repeated_sends", help, self.repeated_sends.clone());
        let help = "Updates that nobody fetched in a day";
        registry.register("expired_updates", help, self.expired.clone());
        registry.register("polls", "Pods that wait for updates", self.polls.clone());
        let help = "Whether this process polls Telegram";
        registry.register("polling", help, self.polling.clone());
        let help = "From an update's arrival to its delivery, while its pod waits or not";
        let delivery = self.delivery_seconds.clone();
        registry.register_with_unit("delivery", help, Unit::Seconds, delivery);
        let help = "From a call's arrival to the head of Telegram's answer";
        registry.register_with_unit("call", help, Unit::Seconds, self.call_seconds.clone());
        for (family, outcomes) in [
            (&self.updates, &UPDATES[..]),
            (&self.calls, &CALLS[..]),
            (&self.letters, &LETTERS[..]),
        ] {
            for &outcome in outcomes {
                drop(family.get_or_create(&Labels { outcome }));
            }
        }
    }

    /// An update, and what became of it.
    pub(crate) fn arrived(&self, outcome: &'static str) {
        self.updates.get_or_create(&Labels { outcome }).inc();
    }

    /// A call that was to be forwarded, and what became of it.
    pub(crate) fn called(&self, outcome: &'static str) {
        self.calls.get_or_create(&Labels { outcome }).inc();
    }

    /// Something that the platform said, and what became of it.
    pub(crate) fn said(&self, outcome: &'static str) {
        self.letters.get_or_create(&Labels { outcome }).inc();
    }

    /// Updates that were held, and what became of them.
    pub(crate) fn released(&self, outcome: &'static str, count: u64) {
        self.updates.get_or_create(&Labels { outcome }).inc_by(count);
    }

    pub(crate) fn heartbeat(&self) {
        self.heartbeats.inc();
    }

    pub(crate) fn delivery_time(&self, time: SignedDuration) {
        self.delivery_seconds.observe(time.as_secs_f64());
    }

    pub(crate) fn call_time(&self, time: Duration) {
        self.call_seconds.observe(time.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn what_is_measured_is_what_alerts_and_dashboard_know() {
        let mut registry = Registry::with_prefix("openclaw");
        let _metrics = Metrics::new(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let measured: BTreeSet<String> = types
            .map(|metric| {
                let (name, kind) = metric.split_once(' ').unwrap();
                let total = if kind == "counter" { "_total" } else { "" };
                let labels = if text.contains(&format!("\n{name}{total}{{outcome=")) {
                    "{outcome}"
                } else {
                    ""
                };
                format!("{name}{total}{labels} {kind}")
            })
            .collect();
        let list = include_str!("../../manifests/monitoring/channels.metrics");
        let listed = list.lines().filter(|line| !line.starts_with('#')).map(str::to_owned);
        assert_eq!(measured, listed.collect());
    }
}
