//! What a `Tenant` says of itself.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;
use oc_domain::tenant::{Phase, Tenant, TenantStatus};

use super::{Standing, desired::Desired, object::COMMIT};
use crate::{digest::Digest, failure::Failure, health::Assessment, source::Source};

/// Conditions, by their types.
pub(super) const READY: &str = "Ready";
const APPLIED: &str = "Applied";
const SPECIFIED: &str = "Specified";
const VOLUME: &str = "VolumeAsBought";
const ACCOUNT: &str = "AccountKnown";

/// All that a status is made of.
pub(super) struct Facts<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) source: &'a Source,
    pub(super) desired: &'a Desired,
    /// Why the volume claim is not as it should be.
    pub(super) refused_volume: Option<&'a Failure>,
    /// What is ours of the objects.
    pub(super) fields: Digest,
    pub(super) standing: &'a Standing,
    pub(super) assessment: &'a Assessment,
    pub(super) now: Timestamp,
}

impl Facts<'_> {
    /// The status of a tenant whose objects are what they should be.
    pub(super) fn status(&self) -> TenantStatus {
        let before = self.tenant.status.clone().unwrap_or_default();
        let mut conditions = vec![self.ready()];
        conditions.push(condition(APPLIED, true, "Applied", "every object is as rendered"));
        conditions.extend(specified(self.source));
        conditions.extend(self.volume());
        conditions.extend(self.account());
        TenantStatus {
            phase: Some(self.phase(&before)),
            conditions: carry(&before, conditions, self.now),
            observed_generation: self.tenant.metadata.generation,
            spec_commit: self.tenant.annotations().get(COMMIT).cloned(),
            image: self.desired.image(),
            revised_at: self.revised_at(&before),
            revision: Some(self.desired.revision.clone()),
            rendered: Some(self.desired.rendered.clone()),
            applied: Some(self.fields.to_string()),
        }
    }

    fn phase(&self, before: &TenantStatus) -> Phase {
        if !self.tenant.spec.runs() {
            return Phase::Suspended;
        }
        if self.assessment.ready {
            return Phase::Ready;
        }
        let was_ready = matches!(before.phase, Some(Phase::Ready | Phase::Degraded));
        // A change that is on its way is no damage.
        let unchanged = before.rendered.as_ref() == Some(&self.desired.rendered);
        if was_ready && unchanged { Phase::Degraded } else { Phase::Provisioning }
    }

    fn revised_at(&self, before: &TenantStatus) -> Option<Time> {
        let same = before.revision.as_ref() == Some(&self.desired.revision);
        before.revised_at.clone().filter(|_| same).or_else(|| Some(Time(whole_seconds(self.now))))
    }

    fn ready(&self) -> Condition {
        let spec = &self.tenant.spec;
        if let Some(hold) = &spec.hold {
            return condition(READY, false, "Held", &hold.reason);
        }
        if !spec.runs() {
            return condition(READY, false, "Suspended", "nothing runs, the data is kept");
        }
        match &self.assessment.problem {
            Some(problem) => condition(READY, false, problem.reason(), &problem.to_string()),
            None => condition(READY, true, "Ready", "the agent answers"),
        }
    }

    fn volume(&self) -> Option<Condition> {
        if let Some(why) = self.refused_volume {
            let message = format!("the claim stays as it is, all else of the tier holds: {why}");
            return Some(condition(VOLUME, false, "Refused", &message));
        }
        let (size, bought) = self.desired.too_small?;
        let message = format!(
            "the volume has {size} GiB and the tier gives {bought}: its storage class cannot grow \
             one; all else of the tier holds"
        );
        Some(condition(VOLUME, false, "ClassCannotGrow", &message))
    }

    fn account(&self) -> Option<Condition> {
        let message = "no account pays for it: the proxies refuse its requests";
        let unknown = self.standing.account.is_none();
        unknown.then(|| condition(ACCOUNT, false, "NoAccount", message))
    }
}

/// The status of a tenant whose objects could not be made what they should be: the last one, and why.
pub(super) fn failed(tenant: &Tenant, failure: &Failure, now: Timestamp) -> TenantStatus {
    let before = tenant.status.clone().unwrap_or_default();
    let others = before.conditions.iter().filter(|it| it.type_ != APPLIED).cloned();
    let mut conditions: Vec<Condition> = others.collect();
    let reason = match failure {
        Failure::Refused { .. } => "Refused",
        _ => "Failed",
    };
    conditions.push(condition(APPLIED, false, reason, &failure.to_string()));
    TenantStatus {
        phase: before.phase.or(Some(Phase::Pending)),
        conditions: carry(&before, conditions, now),
        ..before
    }
}

/// The status of a tenant that ends.
pub(super) fn deleting(tenant: &Tenant, now: Timestamp) -> TenantStatus {
    let before = tenant.status.clone().unwrap_or_default();
    let conditions = vec![condition(READY, false, "Deleting", "its namespace is removed")];
    TenantStatus {
        phase: Some(Phase::Deleting),
        conditions: carry(&before, conditions, now),
        observed_generation: tenant.metadata.generation,
        ..before
    }
}

fn specified(source: &Source) -> Option<Condition> {
    Some(match source {
        Source::Unknown => return None,
        Source::Good(_) => condition(SPECIFIED, true, "Valid", "it is what git says"),
        Source::Bad(why) => condition(SPECIFIED, false, "Invalid", why),
        Source::Missing => {
            let message = "git has no file of it: what it said last stays. Give it back, or set \
                           its state to deleted";
            condition(SPECIFIED, false, "FileMissing", message)
        }
    })
}

/// A condition, whose time [`carry`] sets.
fn condition(type_: &str, status: bool, reason: &str, message: &str) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: if status { "True" } else { "False" }.to_owned(),
        reason: reason.to_owned(),
        // The API takes 32 KiB; nobody reads as much.
        message: message.chars().take(1000).collect(),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
        observed_generation: None,
    }
}

/// Dates conditions: those that hold as before keep their date.
fn carry(before: &TenantStatus, mut conditions: Vec<Condition>, now: Timestamp) -> Vec<Condition> {
    for condition in &mut conditions {
        let same = before.conditions.iter().find(|it| it.type_ == condition.type_);
        let same = same.filter(|it| it.status == condition.status && rests(it) == rests(condition));
        let now = Time(whole_seconds(now));
        condition.last_transition_time = same.map_or(now, |same| same.last_transition_time.clone());
    }
    conditions
}

/// A time as the API gives it back.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Whether nothing is to run: what comes after that is a new beginning.
fn rests(condition: &Condition) -> bool {
    ["Held", "Suspended"].contains(&condition.reason.as_str())
}
