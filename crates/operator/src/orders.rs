//! What a rollout has decided about single tenants.

use std::collections::HashMap;

use oc_domain::TenantId;
use parking_lot::Mutex;

/// What a tenant of another revision than the fleet's does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// It joins this revision, if that is still the fleet's.
    Join(String),
    /// It goes back to this one.
    Back(String),
}

/// The orders that hold now. They follow from what is stored, so they may be lost.
#[derive(Debug, Default)]
pub(crate) struct Orders(Mutex<HashMap<TenantId, Order>>);

impl Orders {
    pub(crate) fn of(&self, id: &TenantId) -> Option<Order> {
        self.0.lock().get(id).cloned()
    }

    /// Gives these, and takes back all others; says whose is new.
    pub(crate) fn replace(&self, orders: HashMap<TenantId, Order>) -> Vec<TenantId> {
        let mut known = self.0.lock();
        let new = orders.iter().filter(|(id, order)| known.get(*id) != Some(*order));
        let new = new.map(|(id, _)| id.clone()).collect();
        *known = orders;
        new
    }
}
