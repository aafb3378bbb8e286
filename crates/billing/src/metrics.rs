//! What can be seen of the process.

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
    deliveries: Family<Labels, Counter>,
    reviews: Family<Labels, Counter>,
    changes: Family<Labels, Counter>,
    pub(crate) quarantined: Counter,
    review_seconds: Histogram,
    commit_seconds: Histogram,
    /// Changes that wait for the committer.
    pub(crate) waiting: Gauge,
    /// Events that wait for a review, and those set aside.
    pub(crate) pending_events: Gauge,
    pub(crate) quarantined_events: Gauge,
    /// Whether the last try to commit failed.
    pub(crate) commit_failing: Gauge,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let times = || Histogram::new(exponential_buckets(0.005, 2.0, 14));
        let metrics = Self {
            deliveries: Family::default(),
            reviews: Family::default(),
            changes: Family::default(),
            quarantined: Counter::default(),
            review_seconds: times(),
            commit_seconds: times(),
            waiting: Gauge::default(),
            pending_events: Gauge::default(),
            quarantined_events: Gauge::default(),
            commit_failing: Gauge::default(),
        };
        let registry = registry.sub_registry_with_prefix("billing");
        registry.register("deliveries", "Webhook deliveries", metrics.deliveries.clone());
        registry.register("reviews", "Reviews of accounts", metrics.reviews.clone());
        registry.register("changes", "Changes of tenant files", metrics.changes.clone());
        let help = "Events set aside for people since the start";
        registry.register("quarantined_events", help, metrics.quarantined.clone());
        let help = "From the first read of an account to the decision written down";
        registry.register_with_unit("review", help, Unit::Seconds, metrics.review_seconds.clone());
        let help = "From a wanted change to its pushed commit";
        registry.register_with_unit("commit", help, Unit::Seconds, metrics.commit_seconds.clone());
        let help = "Changes in the committer's hand, 200 at most";
        registry.register("changes_waiting", help, metrics.waiting.clone());
        let help = "Events that wait for a review";
        registry.register("events_pending", help, metrics.pending_events.clone());
        let help = "Events that were set aside and wait for people";
        registry.register("events_quarantined", help, metrics.quarantined_events.clone());
        let help = "Whether this process's last try to commit failed";
        registry.register("commit_failing", help, metrics.commit_failing.clone());
        for outcome in ["new", "known", "ignored", "refused", "unavailable"] {
            drop(metrics.deliveries.get_or_create(&Labels { outcome }));
        }
        for outcome in ["done", "again", "failed"] {
            drop(metrics.reviews.get_or_create(&Labels { outcome }));
        }
        for outcome in ["committed", "unchanged", "invalid"] {
            drop(metrics.changes.get_or_create(&Labels { outcome }));
        }
        metrics
    }

    /// A delivery of Stripe, and what became of it.
    pub(crate) fn delivered(&self, outcome: &'static str) {
        self.deliveries.get_or_create(&Labels { outcome }).inc();
    }

    /// A review, and what became of it.
    pub(crate) fn reviewed(&self, outcome: &'static str) {
        self.reviews.get_or_create(&Labels { outcome }).inc();
    }

    /// A change of a tenant file, and what became of it.
    pub(crate) fn changed(&self, outcome: &'static str) {
        self.changes.get_or_create(&Labels { outcome }).inc();
    }

    pub(crate) fn review_time(&self, time: SignedDuration) {
        self.review_seconds.observe(time.as_secs_f64());
    }

    pub(crate) fn commit_time(&self, time: SignedDuration) {
        self.commit_seconds.observe(time.as_secs_f64());
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
        let list = include_str!("../../manifests/monitoring/billing.metrics");
        let listed = list.lines().filter(|line| !line.starts_with('#')).map(str::to_owned);
        assert_eq!(measured, listed.collect());
    }
}
