//! From what is seen of a pod to what is wrong and what is done.

use jiff::{SignedDuration, Timestamp};

use super::{Budget, Dial, End, Phase, Placement, Pod, Problem, Waiting};

/// Before the absence of a pod is a problem.
const POD_COMES: SignedDuration = SignedDuration::from_secs(30);
/// Before a container that is not created is a problem; an image may be large.
const CREATING: SignedDuration = SignedDuration::from_mins(2);
/// What the startup probe allows a start to take.
const STARTUP: SignedDuration = SignedDuration::from_mins(6);
/// For so long after an end a container that is not ready is one that ends.
const MEMORY_OF_AN_END: SignedDuration = SignedDuration::from_mins(10);
/// So many restarts are no accident.
const CRASHES: u32 = 3;
/// Before a gateway that does not report is one that hangs; the agent restarts it sooner.
const SILENCE: SignedDuration = SignedDuration::from_secs(60);
/// After its grace a pod that is still there has no kubelet.
const FAREWELL: SignedDuration = SignedDuration::from_secs(60);

/// Before a pod is replaced that was ready: the readiness probe has taken 15 s before, the new pod
/// is to come within 60 s.
const NOT_READY: SignedDuration = SignedDuration::from_secs(40);
/// Before a pod is replaced whose volume cannot be mounted.
const MOUNT: SignedDuration = SignedDuration::from_mins(5);
/// Before a pod is replaced that waits for anything else.
const STUCK: SignedDuration = SignedDuration::from_mins(10);
/// Before a pod is replaced that never got ready: the kubelet has tried a second time by then.
const NEVER_READY: SignedDuration = SignedDuration::from_mins(13);

/// All that an assessment is made of.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Since when a pod should run: the last change of the Deployment, or the end of the last pod,
    /// whichever is later. `None`: no pod should run.
    pub expected_since: Option<Timestamp>,
    /// The tenant's pods, in any order: beside the one that counts there may be one on its way out.
    pub pods: &'a [Pod],
    /// The message of the Deployment's condition `ReplicaFailure`, while that is true.
    pub replica_failure: Option<&'a str>,
    /// The message of the newest event `FailedMount` of the pod.
    pub failed_mount: Option<&'a str>,
    /// When the gateway was heard of last. `None`: it does not report, which is no problem. Where
    /// most of the fleet falls silent at once it is whoever listens that is away: give `None`.
    pub heartbeat: Option<Timestamp>,
    /// The replacements so far.
    pub budget: &'a Budget,
}

/// How a tenant's agent is, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// What is wrong; `None` where it is ready, or where nothing should run.
    pub problem: Option<Problem>,
    /// Since when its pod has been ready or not; `None` where nothing should run.
    pub since: Option<Timestamp>,
    /// Whether the agent answers.
    pub ready: bool,
    /// What to do now.
    pub action: Action,
    /// A pod should be replaced and may not: the hour's replacements are used up.
    pub budget_spent: bool,
    /// When to ask again though nothing has been heard: after now, and before the answer changes.
    pub recheck_at: Option<Timestamp>,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// To delete this pod, with its identity as the precondition, and to note it in the budget.
    ReplacePod {
        /// Its name.
        name: String,
        /// Its identity.
        uid: String,
    },
}

/// What is wrong since when, and how long it is borne.
struct Finding {
    problem: Option<Problem>,
    since: Timestamp,
    replace_at: Option<Timestamp>,
}

/// Says how the agent is. It decides the same until `recheck_at`, if nothing else changes.
pub fn assess(input: &Input<'_>, now: Timestamp) -> Assessment {
    let mut dial = Dial::new(now);
    let pod = input.pods.iter().filter(|pod| pod.lives()).max_by_key(|pod| pod.created);
    let finding = input.expected_since.map(|expected| match pod {
        Some(pod) => of_pod(input, pod, &mut dial),
        None => of_absence(input, expected, &mut dial),
    });
    let Some(Finding { problem, since, replace_at }) = finding else { return at_rest() };
    let (action, budget_spent) = match (pod, replace_at) {
        (Some(pod), Some(at)) if dial.reached(at) => replace(pod, input.budget, &mut dial),
        _ => (Action::None, false),
    };
    Assessment {
        ready: problem.is_none(),
        problem,
        since: Some(since),
        action,
        budget_spent,
        recheck_at: dial.next(),
    }
}

fn at_rest() -> Assessment {
    Assessment {
        problem: None,
        since: None,
        ready: false,
        action: Action::None,
        budget_spent: false,
        recheck_at: None,
    }
}

fn replace(pod: &Pod, budget: &Budget, dial: &mut Dial) -> (Action, bool) {
    if budget.ready_at().is_none_or(|at| dial.reached(at)) {
        return (Action::ReplacePod { name: pod.name.clone(), uid: pod.uid.clone() }, false);
    }
    (Action::None, budget.spent_until().is_some_and(|until| !dial.reached(until)))
}

/// No pod lives.
fn of_absence(input: &Input<'_>, expected: Timestamp, dial: &mut Dial) -> Finding {
    let found = |problem, since| Finding { problem: Some(problem), since, replace_at: None };
    if let Some(message) = input.replica_failure {
        return found(Problem::PodRefused { message: message.to_owned() }, expected);
    }
    // The next one comes when the last one is gone, which may use its grace to the end.
    if let Some(gone) = input.pods.iter().filter_map(|pod| pod.terminating).max() {
        let lost = dial.reached(gone + FAREWELL);
        return found(if lost { Problem::NodeLost } else { Problem::Starting }, expected);
    }
    let late = dial.reached(expected + POD_COMES);
    found(if late { Problem::NoPod } else { Problem::Starting }, expected)
}

fn of_pod(input: &Input<'_>, pod: &Pod, dial: &mut Dial) -> Finding {
    let since = pod.since;
    let found = |problem, replace_after: Option<SignedDuration>| Finding {
        problem: Some(problem),
        since,
        replace_at: replace_after.map(|after| since + after),
    };
    let message = || pod.message.as_deref().unwrap_or_default().to_owned();
    if pod.ready {
        return of_ready_pod(input, pod, dial);
    }
    if pod.lost {
        return found(Problem::NodeLost, None);
    }
    match pod.placement {
        Placement::Pending => return found(Problem::Starting, None),
        Placement::Unschedulable => {
            return found(Problem::Unschedulable { message: message() }, None);
        }
        Placement::Assigned => {}
    }
    match pod.waiting {
        Some(Waiting::Image) => found(Problem::ImageNotPulled { message: message() }, Some(STUCK)),
        Some(Waiting::Refused) => {
            found(Problem::ContainerRefused { message: message() }, Some(STUCK))
        }
        Some(Waiting::CrashLoop) => found(of_end(pod), None),
        Some(Waiting::Creating) => of_creation(input, pod, dial),
        None if pod.phase == Phase::Pending => of_creation(input, pod, dial),
        None if was_ready_as_it_runs(pod) => found(Problem::NotReady, Some(NOT_READY)),
        None => of_start(pod, dial),
    }
}

/// Whether the container that runs now has been ready; else it is a start that takes its time.
fn was_ready_as_it_runs(pod: &Pod) -> bool {
    let first = pod.restarts == 0 && pod.was_ready;
    pod.running_since.is_some_and(|running| first || pod.since > running)
}

fn of_ready_pod(input: &Input<'_>, pod: &Pod, dial: &mut Dial) -> Finding {
    // What was heard before it was ready came from another one.
    let last = input.heartbeat.map(|heartbeat| heartbeat.max(pod.since));
    if let Some(last) = last.filter(|last| dial.reached(*last + SILENCE)) {
        let problem = Some(Problem::Silent { last });
        return Finding { problem, since: last, replace_at: Some(last + SILENCE) };
    }
    Finding { problem: None, since: pod.since, replace_at: None }
}

fn of_creation(input: &Input<'_>, pod: &Pod, dial: &mut Dial) -> Finding {
    let found =
        |problem, replace_at| Finding { problem: Some(problem), since: pod.since, replace_at };
    if let Some(message) = input.failed_mount {
        let problem = Problem::VolumeNotMounted { message: Some(message.to_owned()) };
        return found(problem, Some(pod.since + MOUNT));
    }
    if dial.reached(pod.since + CREATING) {
        let problem = Problem::VolumeNotMounted { message: None };
        return found(problem, Some(pod.since + STUCK));
    }
    found(Problem::Starting, None)
}

/// The container runs and has not been ready, or has just ended.
fn of_start(pod: &Pod, dial: &mut Dial) -> Finding {
    let found =
        |problem, replace_at| Finding { problem: Some(problem), since: pod.since, replace_at };
    let telling = |end| end == End::OutOfMemory || pod.restarts >= CRASHES;
    if let Some(ended) = pod.last_end.filter(|ended| telling(ended.end))
        && !dial.reached(ended.at + MEMORY_OF_AN_END)
    {
        return found(of_end(pod), None);
    }
    // A pod that has never been ready is not given a new start by each restart.
    let first = pod.restarts == 0 || pod.was_ready;
    let started = pod.running_since.filter(|_| first).unwrap_or(pod.since);
    if dial.reached(started + STARTUP) {
        return found(Problem::NeverReady, Some(started + NEVER_READY));
    }
    found(Problem::Starting, None)
}

fn of_end(pod: &Pod) -> Problem {
    match pod.last_end {
        Some(ended) if ended.end == End::OutOfMemory => {
            Problem::OutOfMemory { restarts: pod.restarts }
        }
        ended => Problem::CrashLoop {
            restarts: pod.restarts,
            exit_code: ended.map_or(0, |ended| ended.exit_code),
        },
    }
}
