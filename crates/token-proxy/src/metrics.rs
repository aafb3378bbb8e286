//! What can be seen of the proxy from outside. No label holds an id of a tenant.

use std::{sync::atomic::AtomicU64, time::Duration};

use oc_domain::usage::Outcome;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::route::Dialect;

/// The proxy's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<Requests, Counter>,
    limited: Family<Reason, Counter>,
    added: Family<ByOutcome, Histogram>,
    first_byte: Histogram,
    upstream: Histogram,
    upstream_responses: Family<Response, Counter>,
    breaker_open: Family<Key, Gauge>,
    /// Settled input to estimated input.
    reservation_error: Histogram,
    pub(crate) reservations_open: Gauge,
    settled_above: Counter,
    excess_cost: Counter,
    pub(crate) stream_lag: Gauge<f64, AtomicU64>,
    pub(crate) retained: Gauge,
    pub(crate) redis_unready: Gauge,
    quota_warnings: Family<Percent, Counter>,
    pub(crate) quarantined: Counter,
    drains: Family<Drain, Counter>,
    drift: Family<ByUpstream, Gauge<f64, AtomicU64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Requests {
    outcome: Label<Outcome>,
    dialect: Label<Dialect>,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: Label<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Response {
    upstream: String,
    key: String,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Key {
    upstream: String,
    key: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Percent {
    percent: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Drain {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByUpstream {
    upstream: String,
}

/// A word of ours as the value of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Label<T>(T);

impl EncodeLabelValue for Label<Outcome> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.0.to_string(), encoder)
    }
}

impl EncodeLabelValue for Label<Dialect> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name = match self.0 {
            Dialect::OpenAi => "openai",
            Dialect::Anthropic => "anthropic",
        };
        EncodeLabelValue::encode(&name, encoder)
    }
}

/// Seconds from 10 microseconds to 20, fine enough for a 99th percentile.
fn added() -> Histogram {
    Histogram::new(exponential_buckets(0.000_02, 2.0, 20))
}

/// What nobody has compared yet is not known to agree.
fn unknown() -> Gauge<f64, AtomicU64> {
    let gauge = Gauge::default();
    gauge.set(f64::NAN);
    gauge
}

impl Metrics {
    /// Metrics that the registry knows, all under `token_proxy`.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            limited: Family::default(),
            added: Family::new_with_constructor(added),
            first_byte: Histogram::new(exponential_buckets(0.005, 2.0, 16)),
            upstream: Histogram::new(exponential_buckets(0.005, 2.0, 18)),
            upstream_responses: Family::default(),
            breaker_open: Family::default(),
            reservation_error: Histogram::new([0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 2.0]),
            reservations_open: Gauge::default(),
            settled_above: Counter::default(),
            excess_cost: Counter::default(),
            stream_lag: Gauge::default(),
            retained: Gauge::default(),
            redis_unready: Gauge::default(),
            quota_warnings: Family::default(),
            quarantined: Counter::default(),
            drains: Family::default(),
            drift: Family::new_with_constructor(unknown),
        };
        let m = &metrics;
        let r = registry.sub_registry_with_prefix("token_proxy");
        r.register("requests", "Admitted requests that have ended", m.requests.clone());
        r.register("limited", "Requests that were not admitted, by reason", m.limited.clone());
        r.register("added_seconds", "Total time minus the provider's", m.added.clone());
        r.register("first_byte_seconds", "Until the provider's first byte", m.first_byte.clone());
        r.register("upstream_seconds", "From the provider's asking to its end", m.upstream.clone());
        r.register("upstream_responses", "Providers' answers", m.upstream_responses.clone());
        r.register("breaker_open", "Keys that are left alone", m.breaker_open.clone());
        r.register(
            "reservation_error_ratio",
            "Measured input to estimated input",
            m.reservation_error.clone(),
        );
        r.register("reservations_open", "Unsettled reservations", m.reservations_open.clone());
        r.register(
            "settled_above_reservation_tokens",
            "Quota tokens beyond the reservation: the platform's loss",
            m.settled_above.clone(),
        );
        r.register(
            "excess_cost_nano_usd",
            "Cost of the requests that went beyond their reservation, by the part beyond",
            m.excess_cost.clone(),
        );
        r.register(
            "usage_stream_lag_seconds",
            "How long the oldest usage event waits that is not in the ledger",
            m.stream_lag.clone(),
        );
        r.register("usage_retained_events", "Settlements kept in memory", m.retained.clone());
        r.register("redis_unready", "1 while nothing is admitted", m.redis_unready.clone());
        r.register("quota_warnings", "Accounts that crossed a mark", m.quota_warnings.clone());
        r.register("quarantined_events", "Usage events that are not valid", m.quarantined.clone());
        r.register("drains", "Answers read on after their client left", m.drains.clone());
        r.register(
            "reconcile_drift_ratio",
            "What the provider took to what the ledger says, minus 1; NaN while it is not known",
            m.drift.clone(),
        );
        metrics.begin();
        metrics
    }

    /// A series that is not there yet looks like one that is broken.
    fn begin(&self) {
        for reason in Self::REASONS {
            drop(self.limited.get_or_create(&Reason { reason }));
        }
        for outcome in ["whole", "too_large", "too_long", "none"] {
            drop(self.drains.get_or_create(&Drain { outcome }));
        }
        for percent in [80, 90, 100] {
            drop(self.quota_warnings.get_or_create(&Percent { percent }));
        }
    }

    const REASONS: [&str; 6] =
        ["rate", "concurrency", "suspended", "unpaid", "quota", "unavailable"];

    /// An admitted request has ended.
    pub(crate) fn ended(&self, outcome: Outcome, dialect: Dialect, stream: bool) {
        let kind = if stream { "stream" } else { "whole" };
        let labels = Requests { outcome: Label(outcome), dialect: Label(dialect), kind };
        self.requests.get_or_create(&labels).inc();
    }

    /// A request was not admitted.
    pub(crate) fn limited(&self, reason: &'static str) {
        self.limited.get_or_create(&Reason { reason }).inc();
    }

    /// The times of a request that got an answer.
    pub(crate) fn times(&self, outcome: Outcome, added: Duration, first: Duration, all: Duration) {
        self.added
            .get_or_create(&ByOutcome { outcome: Label(outcome) })
            .observe(added.as_secs_f64());
        self.first_byte.observe(first.as_secs_f64());
        self.upstream.observe(all.as_secs_f64());
    }

    /// A provider has answered, or has not.
    pub(crate) fn upstream_response(&self, upstream: &str, key: &str, class: &'static str) {
        let (upstream, key) = (upstream.to_owned(), key.to_owned());
        self.upstream_responses.get_or_create(&Response { upstream, key, class }).inc();
    }

    /// Whether a key is left alone.
    pub(crate) fn breaker(&self, upstream: &str, key: &str, open: bool) {
        let (upstream, key) = (upstream.to_owned(), key.to_owned());
        self.breaker_open.get_or_create(&Key { upstream, key }).set(i64::from(open));
    }

    /// The provider's count of an input that was estimated.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub(crate) fn measured_input(&self, estimated: u64, measured: u64) {
        if estimated > 0 {
            self.reservation_error.observe(measured as f64 / estimated as f64);
        }
    }

    /// A settlement was larger than its reservation.
    pub(crate) fn excess(&self, tokens: u64, cost_nano_usd: u64) {
        self.settled_above.inc_by(tokens);
        self.excess_cost.inc_by(cost_nano_usd);
    }

    /// An account has crossed a mark of its quota.
    pub(crate) fn quota_warning(&self, percent: u32) {
        self.quota_warnings.get_or_create(&Percent { percent }).inc();
    }

    /// How reading on after a client ended.
    pub(crate) fn drained(&self, outcome: &'static str) {
        self.drains.get_or_create(&Drain { outcome }).inc();
    }

    /// A provider whose bill is compared with the ledger.
    pub(crate) fn compared(&self, upstream: &str) {
        drop(self.drift.get_or_create(&ByUpstream { upstream: upstream.to_owned() }));
    }

    /// How far a provider's bill and the ledger are apart.
    pub(crate) fn drift(&self, upstream: &str, ratio: f64) {
        self.drift.get_or_create(&ByUpstream { upstream: upstream.to_owned() }).set(ratio);
    }
}
