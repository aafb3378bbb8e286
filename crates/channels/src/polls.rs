//! Pods that wait for updates: one poll for each tenant, wherever it came in.
//!
//! A poll that has found nothing knows the last number that was given by then. What is then written
//! down here under the next number is handed to it; of anything else it hears only that it came, and
//! asks Postgres.

use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use oc_domain::TenantId;
use oc_store::updates::Waiting;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// The polls of this replica.
#[derive(Default)]
pub(crate) struct Polls(Mutex<HashMap<TenantId, Arc<Bell>>>);

#[derive(Default)]
struct Bell {
    rung: Notify,
    /// Another poll of the tenant has come.
    superseded: AtomicBool,
    tray: Mutex<Tray>,
}

/// What is handed to a poll.
#[derive(Default)]
struct Tray {
    /// The number before the next; unknown before the poll has found nothing.
    last: Option<i64>,
    updates: Vec<Waiting>,
}

/// A poll; it is none any more when dropped.
pub(crate) struct Poll {
    polls: Arc<Polls>,
    tenant: TenantId,
    bell: Arc<Bell>,
}

/// Why a poll goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Something may have come.
    Updates,
    /// Another poll of the tenant has come.
    Superseded,
    /// The time is over.
    TimedOut,
}

impl Polls {
    /// Begins a poll; the tenant's last one ends.
    pub(crate) fn begin(self: &Arc<Self>, tenant: &TenantId) -> Poll {
        let bell = Arc::<Bell>::default();
        let before = self.0.lock().insert(tenant.clone(), Arc::clone(&bell));
        if let Some(before) = before {
            before.end();
        }
        Poll { polls: Arc::clone(self), tenant: tenant.clone(), bell }
    }

    /// Something came for a tenant; whether its pod waits here.
    pub(crate) fn wake(&self, tenant: &TenantId) -> bool {
        let polls = self.0.lock();
        let Some(bell) = polls.get(tenant) else { return false };
        bell.rung.notify_one();
        true
    }

    /// An update was written down for a tenant; whether its pod waits here.
    pub(crate) fn hand(&self, tenant: &TenantId, update: Waiting) -> bool {
        let polls = self.0.lock();
        let Some(bell) = polls.get(tenant) else { return false };
        bell.tray.lock().put(update);
        bell.rung.notify_one();
        true
    }

    /// Something may have come for anybody.
    pub(crate) fn wake_all(&self) {
        for bell in self.0.lock().values() {
            bell.rung.notify_one();
        }
    }

    /// The tenant's pod polls at another replica.
    pub(crate) fn supersede(&self, tenant: &TenantId) {
        let before = self.0.lock().remove(tenant);
        if let Some(before) = before {
            before.end();
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().len()
    }
}

impl Bell {
    fn end(&self) {
        self.superseded.store(true, Ordering::SeqCst);
        self.rung.notify_one();
    }
}

impl Tray {
    /// Takes what is next; anything else waits in Postgres.
    fn put(&mut self, update: Waiting) {
        if self.last.is_some_and(|last| update.seq == last + 1) {
            self.last = Some(update.seq);
            self.updates.push(update);
        }
    }
}

impl Poll {
    /// Nothing waits, and the last number that was given is this.
    pub(crate) fn is_empty_at(&self, last_seq: i64) {
        *self.bell.tray.lock() = Tray { last: Some(last_seq), updates: Vec::new() };
    }

    /// What was handed over since; the poll has to ask before it is handed more.
    pub(crate) fn handed(&self) -> Vec<Waiting> {
        mem::take(&mut *self.bell.tray.lock()).updates
    }

    /// Waits until something may have come, also since it was last asked, at most until then.
    pub(crate) async fn woken(&self, until: Instant) -> Woken {
        let rung = timeout_at(until, self.bell.rung.notified()).await.is_ok();
        if self.bell.superseded.load(Ordering::SeqCst) {
            return Woken::Superseded;
        }
        if rung { Woken::Updates } else { Woken::TimedOut }
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        let mut polls = self.polls.0.lock();
        if let Entry::Occupied(entry) = polls.entry(self.tenant.clone())
            && Arc::ptr_eq(entry.get(), &self.bell)
        {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[tokio::test]
    async fn a_poll_hears_what_came_before_it_waited() {
        let polls = Arc::<Polls>::default();
        let (one, two) = ("c-one".parse().unwrap(), "c-two".parse().unwrap());
        let poll = polls.begin(&one);
        assert!(polls.wake(&one) && !polls.wake(&two));
        assert_eq!(poll.woken(soon()).await, Woken::Updates);
        assert_eq!(poll.woken(soon()).await, Woken::TimedOut);
    }

    #[test]
    fn a_poll_is_handed_what_is_next_and_nothing_else() {
        let polls = Arc::<Polls>::default();
        let tenant = "c-one".parse().unwrap();
        let update =
            |seq| Waiting { seq, received_at: jiff::Timestamp::UNIX_EPOCH, body: Vec::new() };
        assert!(!polls.hand(&tenant, update(1)));
        let poll = polls.begin(&tenant);
        let handed = || poll.handed().iter().map(|one| one.seq).collect::<Vec<_>>();
        // Something may wait that came before.
        assert!(polls.hand(&tenant, update(4)));
        assert!(handed().is_empty());
        poll.is_empty_at(4);
        for seq in [6, 5, 5, 6, 8] {
            polls.hand(&tenant, update(seq));
        }
        assert_eq!(handed(), [5, 6]);
        polls.hand(&tenant, update(7));
        assert!(handed().is_empty());
    }

    #[tokio::test]
    async fn the_last_poll_of_a_tenant_is_the_one() {
        let polls = Arc::<Polls>::default();
        let one = "c-one".parse().unwrap();
        let first = polls.begin(&one);
        let second = polls.begin(&one);
        assert_eq!(first.woken(soon()).await, Woken::Superseded);
        drop(first);
        assert!(polls.wake(&one));
        assert_eq!(second.woken(soon()).await, Woken::Updates);
        polls.supersede(&one);
        assert_eq!(second.woken(soon()).await, Woken::Superseded);
        drop(second);
        assert_eq!(polls.count(), 0);
    }
}
