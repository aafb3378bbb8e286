//! What Prometheus asks for.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::SignedDuration;
use oc_domain::{TenantId, tenant::Phase};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use strum::VariantArray as _;

use crate::{failure::Failure, health::Problem, kind::Key};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProblemLabel {
    problem: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StateLabel {
    pub(crate) state: String,
}

/// The operator's own metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    reconcile_seconds: Histogram,
    reconciles: Family<Outcome, Counter>,
    errors: Family<Reason, Counter>,
    pub(crate) queue_depth: Gauge,
    drift_repairs: Family<KindLabel, Counter>,
    tenants: Family<PhaseLabel, Gauge>,
    commit_to_ready_seconds: Histogram,
    commit_to_applied_seconds: Histogram,
    applied_objects: Counter,
    pruned_objects: Counter,
    pub(crate) leader: Gauge,
    pub(crate) fleet_failing: Gauge,
    pub(crate) fleet_bad_files: Gauge,
    pub(crate) fleet_missing_files: Gauge,
    pub(crate) fleet_inventory_invalid: Gauge,
    unhealthy: Family<ProblemLabel, Gauge>,
    pub(crate) replaced_pods: Counter,
    pub(crate) rollout_wave: Gauge,
    pub(crate) rollout_state: Family<StateLabel, Gauge>,
    /// What each tenant that is not well is counted as.
    problems: Mutex<HashMap<TenantId, &'static str>>,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let seconds = |first| Histogram::new(exponential_buckets(first, 2.0, 16));
        let metrics = Self {
            reconcile_seconds: seconds(0.000_25),
            reconciles: Family::default(),
            errors: Family::default(),
            queue_depth: Gauge::default(),
            drift_repairs: Family::default(),
            tenants: Family::default(),
            commit_to_ready_seconds: seconds(0.1),
            commit_to_applied_seconds: seconds(0.1),
            applied_objects: Counter::default(),
            pruned_objects: Counter::default(),
            leader: Gauge::default(),
            fleet_failing: Gauge::default(),
            fleet_bad_files: Gauge::default(),
            fleet_missing_files: Gauge::default(),
            fleet_inventory_invalid: Gauge::default(),
            unhealthy: Family::default(),
            replaced_pods: Counter::default(),
            rollout_wave: Gauge::default(),
            rollout_state: Family::default(),
            problems: Mutex::default(),
        };
        metrics.register(registry.sub_registry_with_prefix("operator"));
        metrics
    }

    fn register(&self, to: &mut Registry) {
        let Self { reconcile_seconds, commit_to_ready_seconds, commit_to_applied_seconds, .. } =
            self;
        to.register("reconcile_seconds", "Time of one look at a tenant", reconcile_seconds.clone());
        to.register("reconciles", "Looks at tenants", self.reconciles.clone());
        to.register("errors", "Looks that came to nothing", self.errors.clone());
        to.register("queue_depth", "Tenants that wait for a look", self.queue_depth.clone());
        let help = "Objects that somebody had changed or deleted";
        to.register("drift_repairs", help, self.drift_repairs.clone());
        to.register("tenants", "Tenants by phase", self.tenants.clone());
        let help = "From a commit to a pod that is ready";
        to.register("commit_to_ready_seconds", help, commit_to_ready_seconds.clone());
        let help = "From a commit to all objects applied";
        to.register("commit_to_applied_seconds", help, commit_to_applied_seconds.clone());
        to.register("applied_objects", "Objects that were applied", self.applied_objects.clone());
        let help = "Objects that did not belong any more";
        to.register("pruned_objects", help, self.pruned_objects.clone());
        to.register("leader", "Whether this replica leads", self.leader.clone());
        let help = "Whether the fleet repository cannot be read";
        to.register("fleet_failing", help, self.fleet_failing.clone());
        let help = "Tenant files that are invalid";
        to.register("fleet_bad_files", help, self.fleet_bad_files.clone());
        let help = "Tenants whose file vanished";
        to.register("fleet_missing_files", help, self.fleet_missing_files.clone());
        let help = "Whether the inventory is invalid, so that an older one is used";
        to.register("fleet_inventory_invalid", help, self.fleet_inventory_invalid.clone());
        to.register("unhealthy", "Tenants that do not answer, by reason", self.unhealthy.clone());
        to.register("replaced_pods", "Pods that were replaced", self.replaced_pods.clone());
        to.register("rollout_wave", "The wave of the rollout", self.rollout_wave.clone());
        to.register("rollout_state", "The rollout's state", self.rollout_state.clone());
    }

    pub(crate) fn reconciled(&self, took: Duration, failure: Option<&Failure>) {
        self.reconcile_seconds.observe(took.as_secs_f64());
        let outcome = match failure {
            None => "ok",
            Some(Failure::Conflict) => "conflict",
            Some(_) => "error",
        };
        self.reconciles.get_or_create(&Outcome { outcome }).inc();
        if let Some(failure) = failure {
            self.errors.get_or_create(&Reason { reason: failure.reason() }).inc();
        }
    }

    pub(crate) fn converged(&self, applied: usize, pruned: usize, repaired: &[Key]) {
        self.applied_objects.inc_by(applied as u64);
        self.pruned_objects.inc_by(pruned as u64);
        for (kind, _) in repaired {
            self.drift_repairs.get_or_create(&KindLabel { kind: kind.to_string() }).inc();
        }
    }

    pub(crate) fn commit_to_applied(&self, took: SignedDuration) {
        self.commit_to_applied_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn commit_to_ready(&self, took: SignedDuration) {
        self.commit_to_ready_seconds.observe(took.as_secs_f64());
    }

    /// Counts a tenant as what is wrong with it.
    pub(crate) fn healthy(&self, id: &TenantId, problem: Option<&Problem>) {
        let mut problems = self.problems.lock();
        let now = problem.map(Problem::reason);
        let before = match now {
            Some(now) => problems.insert(id.clone(), now),
            None => problems.remove(id),
        };
        if before != now {
            let gauge = |problem| self.unhealthy.get_or_create_owned(&ProblemLabel { problem });
            before.map(|problem| gauge(problem).dec());
            now.map(|problem| gauge(problem).inc());
        }
    }

    /// Sets how many tenants are in each phase.
    pub(crate) fn phases(&self, count: impl Fn(Phase) -> i64) {
        for phase in Phase::VARIANTS {
            let label = PhaseLabel { phase: phase.to_string() };
            self.tenants.get_or_create(&label).set(count(*phase));
        }
    }
}

/// What was counted while this replica led is not true of it any more.
pub(crate) fn forget(metrics: &Arc<Metrics>) {
    metrics.problems.lock().clear();
    metrics.unhealthy.clear();
    metrics.tenants.clear();
    metrics.queue_depth.set(0);
}
