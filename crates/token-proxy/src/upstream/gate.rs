use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use oc_domain::TenantId;
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout};

/// So many requests at once for each key of a provider; who waits is served in turn between tenants,
/// so that one of them never starves the others.
#[derive(Debug)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Debug)]
struct State {
    lanes: Vec<Slots>,
    queues: HashMap<TenantId, VecDeque<oneshot::Sender<usize>>>,
    /// Tenants that wait, next first.
    turns: VecDeque<TenantId>,
}

#[derive(Clone, Copy, Debug)]
struct Slots {
    taken: usize,
    limit: usize,
}

/// A request that is on its way; gives its place back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    /// The key, by its number.
    pub(crate) lane: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.release(self.lane);
    }
}

impl Gate {
    /// A gate for so many keys, without a limit.
    pub(crate) fn new(keys: usize) -> Self {
        let lanes = vec![Slots { taken: 0, limit: usize::MAX }; keys];
        Self(Mutex::new(State { lanes, queues: HashMap::new(), turns: VecDeque::new() }))
    }

    /// This process has its share of the limit of each key, which holds for `proxies` of them; none
    /// is no limit.
    pub(crate) fn share(&self, limit: Option<usize>, proxies: usize) {
        let limit = limit.map_or(usize::MAX, |limit| (limit / proxies.max(1)).max(1));
        let mut state = self.0.lock();
        for lane in 0..state.lanes.len() {
            if let Some(slots) = state.lanes.get_mut(lane) {
                slots.limit = limit;
            }
            state.hand_over(lane);
        }
    }

    /// A place with one of the keys that `usable` allows, the least busy one; none within `wait`.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        tenant: &TenantId,
        wait: Duration,
        usable: impl Fn(usize) -> bool,
    ) -> Option<Permit> {
        let receiver = {
            let mut state = self.0.lock();
            if state.turns.is_empty()
                && let Some(lane) = state.take(usable)
            {
                return Some(Permit { gate: Arc::clone(self), lane });
            }
            state.queue(tenant)
        };
        let mut waiting = Waiting { gate: self, receiver };
        let lane = timeout(wait, &mut waiting.receiver).await.ok()?.ok()?;
        Some(Permit { gate: Arc::clone(self), lane })
    }

    fn release(&self, lane: usize) {
        let mut state = self.0.lock();
        if let Some(slots) = state.lanes.get_mut(lane) {
            slots.taken -= 1;
        }
        state.hand_over(lane);
    }
}

/// Somebody in a queue. A place that it is given while it leaves goes to the next.
struct Waiting<'a> {
    gate: &'a Gate,
    receiver: oneshot::Receiver<usize>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.receiver.close();
        if let Ok(lane) = self.receiver.try_recv() {
            self.gate.release(lane);
        }
    }
}

impl State {
    fn take(&mut self, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let free = |(lane, slots): &(usize, &mut Slots)| slots.taken < slots.limit && usable(*lane);
        let (lane, slots) =
            self.lanes.iter_mut().enumerate().filter(free).min_by_key(|(_, slots)| slots.taken)?;
        slots.taken += 1;
        Some(lane)
    }

    fn queue(&mut self, tenant: &TenantId) -> oneshot::Receiver<usize> {
        let (sender, receiver) = oneshot::channel();
        let queue = self.queues.entry(tenant.clone()).or_default();
        if queue.is_empty() {
            self.turns.push_back(tenant.clone());
        }
        queue.push_back(sender);
        receiver
    }

    /// Gives a place that is free to whoever is next.
    fn hand_over(&mut self, lane: usize) {
        while self.lanes.get(lane).is_some_and(|slots| slots.taken < slots.limit) {
            let Some(tenant) = self.turns.pop_front() else { return };
            let Some(queue) = self.queues.get_mut(&tenant) else { continue };
            let sender = queue.pop_front();
            if queue.is_empty() {
                self.queues.remove(&tenant);
            } else {
                self.turns.push_back(tenant);
            }
            if sender.is_some_and(|sender| sender.send(lane).is_ok())
                && let Some(slots) = self.lanes.get_mut(lane)
            {
                slots.taken += 1;
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tasks of a test end with it")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const WAIT: Duration = Duration::from_secs(5);

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    fn gate(keys: usize, limit: usize) -> Arc<Gate> {
        let gate = Gate::new(keys);
        gate.share(Some(limit), 1);
        Arc::new(gate)
    }

    #[tokio::test(start_paused = true)]
    async fn tenants_take_turns_however_many_requests_one_has() {
        let gate = gate(1, 1);
        let first = gate.enter(&tenant("a"), WAIT, |_| true).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for name in ["a", "a", "a", "b", "c"] {
            let (gate, order) = (Arc::clone(&gate), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let _permit = gate.enter(&tenant(name), WAIT, |_| true).await.unwrap();
                order.lock().push(name);
            }));
            tokio::task::yield_now().await;
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), ["a", "b", "c", "a", "a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_the_queue_takes_no_place_along() {
        let gate = gate(1, 1);
        let first = gate.enter(&tenant("a"), WAIT, |_| true).await.unwrap();
        assert!(gate.enter(&tenant("b"), WAIT, |_| true).await.is_none(), "timed out");
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(&tenant("b"), WAIT, |_| true).await }
        });
        tokio::task::yield_now().await;
        drop(first);
        waiting.abort();
        let _ = waiting.await;
        assert!(gate.enter(&tenant("c"), WAIT, |_| true).await.is_some());
    }

    #[tokio::test]
    async fn the_least_busy_key_that_is_usable_is_taken_within_its_share() {
        let gate = gate(2, 4);
        let mut lanes = Vec::new();
        for _ in 0..4 {
            lanes.push(gate.enter(&tenant("a"), WAIT, |_| true).await.unwrap());
        }
        assert_eq!(lanes.iter().map(|permit| permit.lane).collect::<Vec<_>>(), [0, 1, 0, 1]);
        let second = gate.enter(&tenant("a"), WAIT, |lane| lane == 1).await.unwrap();
        assert_eq!(second.lane, 1);
        gate.share(Some(4), 2);
        assert!(gate.enter(&tenant("a"), Duration::ZERO, |_| true).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_gets_in_when_the_share_grows() {
        let gate = gate(1, 2);
        gate.share(Some(2), 2);
        let _first = gate.enter(&tenant("a"), WAIT, |_| true).await.unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(&tenant("a"), WAIT, |_| true).await.is_some() }
        });
        tokio::task::yield_now().await;
        gate.share(Some(2), 1);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_more_than_the_limit_are_ever_inside_and_all_get_in() {
        let gate = gate(2, 2);
        let inside = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..200)
            .map(|n| {
                let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
                tokio::spawn(async move {
                    let name = tenant(&format!("t{}", n % 7));
                    let permit = gate.enter(&name, WAIT, |_| true).await.unwrap();
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < 4);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
}
