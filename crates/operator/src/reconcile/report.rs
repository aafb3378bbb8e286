//! What a look found, for people: status, events, notices.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Event as Told},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
    runtime::events::{Event, EventType},
};
use oc_domain::{
    TenantId,
    tenant::{API_VERSION, Phase, Tenant, TenantStatus},
};
use oc_service::chain;
use oc_store::outbox;
use serde_json::json;
use tokio::time::timeout;

use super::{
    Failure, Operator, Standing,
    converge::Done,
    desired::Desired,
    status::{self, Facts, READY},
};
use crate::{
    health::{Action, Assessment, Episode, Input, Pod, Problem, Waiting, assess, notices},
    source::Source,
    world::{Entry, MANAGER},
};

/// The name of a tenant's Deployment.
const WORKLOAD: &str = "openclaw-gateway";
/// A pod whose container is not created by then may wait for its volume.
const MOUNTED_BY: i64 = 20;
/// How long it may take to learn when a gateway was heard of.
const PRESENCE: Duration = Duration::from_millis(500);
/// A Deployment without a pod by then may be refused one.
const POD_BY: i64 = 5;

impl Operator {
    /// Looks after the tenant's pod and writes down how it is.
    pub(super) async fn report(
        &self,
        id: &TenantId,
        tenant: &Tenant,
        desired: &Desired,
        standing: &Standing,
        converged: Result<Done, Failure>,
    ) -> Result<Option<Duration>, Failure> {
        let now = self.clock.now();
        let done = match converged {
            Ok(done) => done,
            Err(failure) => {
                if !matches!(failure, Failure::Conflict) {
                    self.put_status(id, tenant, status::failed(tenant, &failure, now)).await?;
                }
                return Err(failure);
            }
        };
        let entry = self.world.with(id, |entry| {
            let runs = tenant.spec.runs();
            entry.memory.expect_pod(runs, &done.applied, &entry.pods, now);
            entry.clone()
        });
        self.refresh(id, &entry, desired, &done).await?;
        if let Some(at) = self.world.with(id, |entry| entry.memory.to_apply.take()) {
            self.metrics.commit_to_applied(now.duration_since(at));
        }
        let assessment = self.assess(id, tenant, &entry, now).await?;
        if let Action::ReplacePod { name, uid } = &assessment.action {
            self.replace(id, name, uid, now).await?;
        }
        let source = match entry.source.clone() {
            Source::Unknown if self.world.git_is_read() => Source::Missing,
            source => source,
        };
        let fields = entry.fields(desired.pieces.iter().map(|piece| &piece.key));
        let facts = Facts {
            tenant,
            source: &source,
            desired,
            refused_volume: done.refused_volume.as_ref(),
            fields,
            standing,
            assessment: &assessment,
            now,
        };
        let status = facts.status();
        self.tell_people(id, tenant, &status, standing, &assessment, now).await?;
        self.put_status(id, tenant, status).await?;
        if assessment.ready || !tenant.spec.runs() {
            self.keep(id, tenant, desired).await?;
        }
        let at = assessment.recheck_at.into_iter().chain(self.episode_recheck(id, now)).min();
        let again = at.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        let Some(refused) = done.refused_volume else { return Ok(again) };
        // It may be taken another time: a claim grows only when it is bound.
        if let Some(again) = again {
            self.queue.add_after(id, again);
        }
        Err(refused)
    }

    async fn assess(
        &self,
        id: &TenantId,
        tenant: &Tenant,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<Assessment, Failure> {
        let expected_since = entry.memory.expected_since.filter(|_| tenant.spec.runs());
        let mut input = Input {
            expected_since,
            pods: &entry.pods,
            replica_failure: None,
            failed_mount: None,
            heartbeat: self.heard_of(id, now).await,
            budget: &entry.memory.budget,
        };
        let lasts = |since: Timestamp, seconds| now.duration_since(since).as_secs() >= seconds;
        let refusal = match expected_since {
            Some(since) if entry.pods.is_empty() && lasts(since, POD_BY) => {
                self.replica_failure(id).await?
            }
            _ => None,
        };
        let is_creating = |pod: &&Pod| pod.waiting == Some(Waiting::Creating);
        let creating = entry.pods.iter().find(is_creating).filter(|_| expected_since.is_some());
        let mount = match creating {
            Some(pod) if lasts(pod.created, MOUNTED_BY) => {
                // The reason alone: without it the pod is looked after all the same.
                self.failed_mount(id, &pod.name).await.unwrap_or_else(|failure| {
                    tracing::warn!(tenant = %id, error = %chain(&failure), "no events are read");
                    None
                })
            }
            _ => None,
        };
        input.replica_failure = refusal.as_deref();
        input.failed_mount = mount.as_deref();
        let mut assessment = assess(&input, now);
        let mut ask_again = |milliseconds| {
            let at = now + SignedDuration::from_millis(milliseconds);
            assessment.recheck_at = assessment.recheck_at.into_iter().chain([at]).min();
        };
        if entry.memory.unsettled && expected_since.is_some() {
            if self.is_settled(id).await? {
                self.world.with(id, |entry| entry.memory.unsettled = false);
            } else {
                ask_again(250);
                assessment.ready = false;
                assessment.problem.get_or_insert(Problem::Starting);
            }
        }
        // Nobody tells of events either.
        if let Some(pod) = creating {
            let seconds = if lasts(pod.created, MOUNTED_BY) { 15 } else { MOUNTED_BY };
            ask_again(seconds * 1000);
        }
        // Whether a pod is refused is asked, since nobody tells.
        if let Some(since) = expected_since.filter(|_| entry.pods.is_empty()) {
            let seconds = if lasts(since, POD_BY) { 15 } else { POD_BY };
            ask_again(seconds * 1000);
        }
        Ok(assessment)
    }

    /// When the gateway was heard of last. While no relay listens, or Redis is away, nobody hears
    /// anything, and before one listened nobody did.
    async fn heard_of(&self, id: &TenantId, now: Timestamp) -> Option<Timestamp> {
        let presence = self.bulletin.presence();
        let now_ms = u64::try_from(now.as_millisecond()).ok()?;
        let asked = timeout(PRESENCE, async {
            Ok::<_, oc_streams::Error>((
                presence.read(id).await?,
                presence.listening(now_ms).await?,
            ))
        });
        let (noted, since_ms) = asked.await.ok()?.ok()?;
        let heard_ms = noted?.at_ms.max(since_ms?);
        Timestamp::from_millisecond(i64::try_from(heard_ms).ok()?).ok()
    }

    /// Whether the Deployment's controller has done what was applied: until then the pod of before
    /// may be there, and ready.
    async fn is_settled(&self, id: &TenantId) -> Result<bool, Failure> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &id.namespace());
        let Some(deployment) = deployments.get_opt(WORKLOAD).await? else { return Ok(false) };
        let wanted = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let status = deployment.status.unwrap_or_default();
        Ok(status.observed_generation >= deployment.metadata.generation
            && status.updated_replicas.unwrap_or_default() == wanted
            && status.replicas.unwrap_or_default() == wanted)
    }

    /// Why the tenant's Deployment gets no pod.
    async fn replica_failure(&self, id: &TenantId) -> Result<Option<String>, Failure> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &id.namespace());
        let Some(deployment) = deployments.get_opt(WORKLOAD).await? else {
            return Ok(None);
        };
        let conditions = deployment.status.and_then(|status| status.conditions).unwrap_or_default();
        let failure =
            conditions.into_iter().find(|it| it.type_ == "ReplicaFailure" && it.status == "True");
        Ok(failure.and_then(|failure| failure.message))
    }

    /// What the kubelet says last of a volume that does not come.
    async fn failed_mount(&self, id: &TenantId, pod: &str) -> Result<Option<String>, Failure> {
        let events: Api<Told> = Api::namespaced(self.client.clone(), &id.namespace());
        let selector = format!("involvedObject.name={pod},reason=FailedMount");
        let events = events.list(&ListParams::default().fields(&selector)).await?;
        let newest = events.items.into_iter().max_by_key(|event| {
            event
                .last_timestamp
                .as_ref()
                .map(|at| at.0)
                .or(event.event_time.as_ref().map(|at| at.0))
        });
        Ok(newest.and_then(|event| event.message))
    }

    /// Writes the status, if it says something else.
    pub(super) async fn put_status(
        &self,
        id: &TenantId,
        tenant: &Tenant,
        status: TenantStatus,
    ) -> Result<(), Failure> {
        if tenant.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let object = json!({
            "apiVersion": API_VERSION, "kind": "Tenant", "metadata": { "name": id }, "status": status,
        });
        let tenants: Api<Tenant> = Api::all(self.client.clone());
        let params = PatchParams::apply(MANAGER).force();
        let tenant = tenants.patch_status(id.as_str(), &params, &Patch::Apply(object)).await?;
        self.seen(id, tenant);
        Ok(())
    }

    /// Events and notices of what is other than it was.
    async fn tell_people(
        &self,
        id: &TenantId,
        tenant: &Tenant,
        status: &TenantStatus,
        standing: &Standing,
        assessment: &Assessment,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let before = tenant.status.as_ref();
        if before.and_then(|before| before.phase) != status.phase {
            let reason = status.phase.map(|phase| phase.to_string()).unwrap_or_default();
            let note = ready(status).map_or("", |ready| &ready.message);
            self.publish(tenant, &reason, note, status.phase == Some(Phase::Degraded)).await;
            tracing::info!(tenant = %id, phase = reason, "is now");
            if status.phase == Some(Phase::Ready)
                && let Some(at) = self.world.with(id, |entry| entry.memory.to_ready.take())
            {
                self.metrics.commit_to_ready(now.duration_since(at));
            }
        }
        self.metrics.healthy(id, assessment.problem.as_ref());
        let began = ready(status).filter(|ready| ready.status == "False" && tenant.spec.runs());
        let began = began.map(|ready| ready.last_transition_time.0);
        let episode = self.world.with(id, |entry| {
            let known = entry.memory.episode.take();
            let known = known.filter(|known| Some(known.since) == began || assessment.ready);
            entry.memory.episode =
                began.map(|began| known.unwrap_or_else(|| Episode::begin(began)));
            known.or(entry.memory.episode)
        });
        let notices = notices(id, assessment, episode, now);
        let (Some(account), false) = (&standing.account, notices.is_empty()) else { return Ok(()) };
        outbox::tell(&self.store, account, &notices, now).await?;
        self.world.with(id, |entry| {
            if let Some(episode) = &mut entry.memory.episode {
                episode.customer_told |= notices.iter().any(|it| it.kind == "agent_unhealthy");
                episode.ops_told |= notices.iter().any(|it| it.kind == "ops_agent_unhealthy");
            }
        });
        Ok(())
    }

    fn episode_recheck(&self, id: &TenantId, now: Timestamp) -> Option<Timestamp> {
        self.world.with(id, |entry| entry.memory.episode?.recheck_at(now))
    }

    /// Tells whoever describes the `Tenant`. An event that is lost is no harm.
    pub(super) async fn publish(&self, tenant: &Tenant, reason: &str, note: &str, bad: bool) {
        let event = Event {
            type_: if bad { EventType::Warning } else { EventType::Normal },
            reason: reason.to_owned(),
            note: Some(note.chars().take(1000).collect()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &tenant.object_ref(&())).await {
            tracing::debug!(tenant = tenant.name_any(), error = %chain(&error), "an event is lost");
        }
    }
}

fn ready(status: &TenantStatus) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == READY)
}
