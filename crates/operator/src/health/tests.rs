//! Pods as kubelets, schedulers and node controllers write them, and what follows.

mod histories;
mod pods;
mod problems;
mod telling;

use jiff::{SignedDuration, Timestamp};

use super::*;
use pods::{at, pod};

/// A tenant whose pod should have run since the beginning of the hour.
fn input<'a>(pods: &'a [Pod], budget: &'a Budget) -> Input<'a> {
    Input {
        expected_since: Some(at("12:00:00")),
        pods,
        replica_failure: None,
        failed_mount: None,
        heartbeat: None,
        budget,
    }
}

/// What is said of one pod at that time.
fn said(pod: &Pod, time: &str) -> Assessment {
    assess(&input(std::slice::from_ref(pod), &Budget::default()), at(time))
}

fn reason(assessment: &Assessment) -> &'static str {
    assessment.problem.as_ref().map_or("", Problem::reason)
}

fn replaces(assessment: &Assessment) -> bool {
    assessment.action != Action::None
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// The moment of the first replacement, following `recheck_at` alone.
fn first_replacement(input: &Input<'_>, mut now: Timestamp) -> Option<Timestamp> {
    loop {
        let said = assess(input, now);
        if replaces(&said) {
            return Some(now);
        }
        now = said.recheck_at?;
    }
}
