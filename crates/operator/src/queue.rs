//! Which tenant is looked at next.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use oc_domain::TenantId;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// Tenants to look at. One that is added while somebody looks at it is looked at once more
/// afterwards, and never by two at once.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    ready: VecDeque<TenantId>,
    /// Behind all of `ready`: ten thousand new tenants do not keep one that runs waiting.
    new: VecDeque<TenantId>,
    /// What is in `ready` or `new`.
    waiting: HashSet<TenantId>,
    /// What somebody looks at, and whether it has to be looked at again.
    running: HashMap<TenantId, bool>,
    later: BTreeSet<(Instant, TenantId)>,
    /// When those of `later` come.
    at: HashMap<TenantId, Instant>,
}

/// The right to look at a tenant; the end of it is the end of this.
#[derive(Debug)]
pub(crate) struct Turn {
    queue: Arc<Queue>,
    pub(crate) tenant: TenantId,
}

impl Queue {
    /// Looks at the tenant soon.
    pub(crate) fn add(&self, tenant: &TenantId) {
        self.inner.lock().add(tenant, false);
        self.wake.notify_one();
    }

    /// Looks at a tenant of which nothing exists yet when nothing else is to do.
    pub(crate) fn add_new(&self, tenant: &TenantId) {
        self.inner.lock().add(tenant, true);
        self.wake.notify_one();
    }

    /// Looks at the tenant after `delay`, or when it was to be looked at before that.
    pub(crate) fn add_after(&self, tenant: &TenantId, delay: Duration) {
        let at = Instant::now() + delay;
        let mut inner = self.inner.lock();
        match inner.at.get(tenant).copied() {
            Some(before) if before <= at => return,
            Some(before) => drop(inner.later.remove(&(before, tenant.clone()))),
            None => {}
        }
        inner.at.insert(tenant.clone(), at);
        inner.later.insert((at, tenant.clone()));
        drop(inner);
        self.wake.notify_one();
    }

    /// How many wait to be looked at now.
    pub(crate) fn depth(&self) -> usize {
        self.inner.lock().waiting.len()
    }

    /// Waits for the next tenant.
    pub(crate) async fn next(self: &Arc<Self>) -> Turn {
        loop {
            let (turn, next) = self.inner.lock().take(Instant::now());
            if let Some(tenant) = turn {
                // Whoever waits as well may find another one.
                self.wake.notify_one();
                return Turn { queue: Arc::clone(self), tenant };
            }
            let woken = self.wake.notified();
            match next {
                Some(at) => tokio::select! { () = woken => {}, () = sleep_until(at) => {} },
                None => woken.await,
            }
        }
    }
}

impl Inner {
    fn add(&mut self, tenant: &TenantId, new: bool) {
        if let Some(again) = self.running.get_mut(tenant) {
            *again = true;
        } else if self.waiting.insert(tenant.clone()) {
            if new { &mut self.new } else { &mut self.ready }.push_back(tenant.clone());
        } else if !new && let Some(place) = self.new.iter().position(|it| it == tenant) {
            self.new.remove(place);
            self.ready.push_back(tenant.clone());
        }
    }

    /// A tenant to look at, or when there will be one.
    fn take(&mut self, now: Instant) -> (Option<TenantId>, Option<Instant>) {
        while let Some((at, _)) = self.later.first()
            && *at <= now
            && let Some((_, tenant)) = self.later.pop_first()
        {
            self.at.remove(&tenant);
            self.add(&tenant, false);
        }
        let next = self.ready.pop_front().or_else(|| self.new.pop_front());
        if let Some(tenant) = &next {
            self.waiting.remove(tenant);
            self.running.insert(tenant.clone(), false);
        }
        (next, self.later.first().map(|(at, _)| *at))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut inner = self.queue.inner.lock();
        if inner.running.remove(&self.tenant) == Some(true) {
            inner.add(&self.tenant, false);
            self.queue.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn id(text: &str) -> TenantId {
        text.parse().unwrap()
    }

    async fn none(queue: &Arc<Queue>) -> bool {
        timeout(Duration::from_millis(20), queue.next()).await.is_err()
    }

    #[tokio::test]
    async fn a_tenant_waits_once_and_has_one_turn_at_a_time() {
        let queue = Arc::new(Queue::default());
        queue.add(&id("a"));
        queue.add(&id("a"));
        let turn = queue.next().await;
        assert!(none(&queue).await);
        queue.add(&id("a"));
        assert!(none(&queue).await, "somebody is at it");
        drop(turn);
        assert_eq!(queue.next().await.tenant, id("a"));
        assert!(none(&queue).await);
    }

    #[tokio::test]
    async fn new_tenants_wait_behind_the_others() {
        let queue = Arc::new(Queue::default());
        queue.add_new(&id("new"));
        queue.add_new(&id("changed"));
        queue.add(&id("old"));
        queue.add(&id("changed"));
        let mut order = Vec::new();
        for _ in 0..3 {
            order.push(queue.next().await.tenant.clone());
        }
        assert_eq!(order, [id("old"), id("changed"), id("new")]);
        assert_eq!(queue.depth(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_times_holds() {
        let queue = Arc::new(Queue::default());
        let began = Instant::now();
        queue.add_after(&id("a"), Duration::from_secs(9));
        queue.add_after(&id("a"), Duration::from_secs(3));
        queue.add_after(&id("a"), Duration::from_secs(6));
        assert_eq!(queue.next().await.tenant, id("a"));
        assert_eq!(began.elapsed().as_secs(), 3);
        assert!(none(&queue).await);
    }
}
