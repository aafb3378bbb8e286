//! Whom to tell of a tenant that is not well.

use jiff::{SignedDuration, Timestamp};
use oc_domain::TenantId;
use oc_store::outbox::Notice;
use serde::{Deserialize, Serialize};
use serde_json::json;
use strum::{Display, VariantArray};

use super::Assessment;

/// What a customer bears without a word.
const CUSTOMER: SignedDuration = SignedDuration::from_mins(5);
/// What may mend itself before ops are told.
const OPS: SignedDuration = SignedDuration::from_mins(10);

/// What notices there are; those for ops begin with `ops_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// To the customer: the agent does not answer, and we know.
    AgentUnhealthy,
    /// To the customer: it answers again.
    AgentRecovered,
    /// To ops: somebody should look at it.
    OpsAgentUnhealthy,
}

/// A time in which a tenant's agent should answer and does not: from the first problem until it is
/// ready, whatever the problems between and however many pods were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// Its beginning; whole seconds of it name it, so it must outlive the process.
    pub since: Timestamp,
    /// The customer has been told of it.
    pub customer_told: bool,
    /// Ops have been told of it.
    pub ops_told: bool,
}

/// What is to be told now and has not been; nothing where there is no episode. The last word of an
/// episode is due when the assessment is ready.
///
/// Notices of one episode have the same key each time, so one that was written and forgotten is
/// not told twice.
pub fn notices(
    tenant: &TenantId,
    assessment: &Assessment,
    episode: Option<Episode>,
    now: Timestamp,
) -> Vec<Notice> {
    let Some(episode) = episode else { return Vec::new() };
    let reason = assessment.problem.as_ref().map(super::Problem::reason);
    let notice = |kind: Kind| Notice {
        kind: kind.to_string(),
        dedup_key: format!("{kind}:{tenant}:{}", episode.since.as_second()),
        payload: json!({"tenant": tenant, "reason": reason, "since": episode.since}),
    };
    let Some(problem) = &assessment.problem else {
        let recovered = assessment.ready && episode.customer_told;
        return recovered.then(|| notice(Kind::AgentRecovered)).into_iter().collect();
    };
    let lasted = now.duration_since(episode.since);
    let customer = !episode.customer_told && lasted >= CUSTOMER;
    let at_once = problem.is_of_the_container() || assessment.budget_spent;
    let ops = !episode.ops_told && (at_once || lasted >= OPS);
    [(customer, Kind::AgentUnhealthy), (ops, Kind::OpsAgentUnhealthy)]
        .into_iter()
        .filter(|(due, _)| *due)
        .map(|(_, kind)| notice(kind))
        .collect()
}

impl Episode {
    /// An episode of which nobody has been told.
    pub fn begin(since: Timestamp) -> Self {
        Self { since, customer_told: false, ops_told: false }
    }

    /// When something may be due though nothing has been heard; after now.
    pub fn recheck_at(&self, now: Timestamp) -> Option<Timestamp> {
        let customer = (!self.customer_told).then_some(self.since + CUSTOMER);
        let ops = (!self.ops_told).then_some(self.since + OPS);
        customer.into_iter().chain(ops).filter(|at| *at > now).min()
    }
}
