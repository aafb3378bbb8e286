//! Pods on nodes: which find a place, and how much room is left.
//!
//! First fit, largest first. Pods of a tier are all alike, so they are placed by the batch: as many
//! as a node takes, then the next node. That is the same as one by one, and takes tiers times nodes
//! instead of tenants times nodes.

use std::{cmp::Reverse, collections::BTreeMap};

use oc_domain::{TierId, inventory::Pool};

use super::{
    amount::{Amount, Resource},
    data::{Assumptions, StorageClass},
    demand::{Demand, Load},
    subject::{Machine, Subject},
};

/// A node, what pods can have of it, and what of that nobody has.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub pool: Pool,
    /// Without what the system keeps.
    pub allocatable: Amount,
    /// Of that, what pods of the platform have.
    pub platform: Amount,
    /// What all pods have.
    used: Amount,
}

/// Every pod in its place, or without one.
#[derive(Clone, Debug)]
pub(crate) struct Packing {
    pub rooms: Vec<Room>,
    /// Pods of the platform for which there is no place, by name.
    pub homeless: Vec<(String, u64)>,
    /// Tenants for which there is no place, those without a pod too.
    pub waiting: BTreeMap<TierId, u64>,
}

/// Tenants that are alike.
#[derive(Clone, Copy, Debug)]
struct Batch {
    tier: TierId,
    pool: Pool,
    each: Amount,
    count: u64,
}

impl Room {
    /// An empty node.
    pub(crate) fn new(machine: &Machine, assumptions: &Assumptions, class: StorageClass) -> Self {
        let mut allocatable = assumptions.allocatable(machine.server, machine.role, class);
        if machine.closed {
            allocatable = Amount::default();
        } else if machine.pool == Pool::Dedicated {
            // Anti-affinity keeps a second tenant away.
            let [cpu, memory, disk, pods, volumes] = allocatable.0;
            allocatable = Amount([cpu, memory, disk, pods.min(1), volumes]);
        }
        let none = Amount::default();
        Self { pool: machine.pool, allocatable, platform: none, used: none }
    }

    /// What nobody has.
    pub(crate) fn free(&self) -> Amount {
        self.allocatable.minus(self.used)
    }
}

impl Packing {
    /// Places the platform, then tenants, the largest first.
    pub(crate) fn new(
        subject: &Subject,
        demand: &Demand,
        assumptions: &Assumptions,
        class: StorageClass,
    ) -> Self {
        let rooms = subject.machines.iter().map(|one| Room::new(one, assumptions, class)).collect();
        Self::of(rooms, subject, demand)
    }

    /// The same where nothing runs out of `resource`.
    pub(crate) fn without_limit(
        resource: Resource,
        subject: &Subject,
        demand: &Demand,
        assumptions: &Assumptions,
        class: StorageClass,
    ) -> Self {
        let room = |machine: &Machine| {
            let mut room = Room::new(machine, assumptions, class);
            if !machine.closed {
                room.allocatable = room.allocatable.without_limit(resource);
            }
            room
        };
        Self::of(subject.machines.iter().map(room).collect(), subject, demand)
    }

    fn of(rooms: Vec<Room>, subject: &Subject, demand: &Demand) -> Self {
        let mut packing = Self { rooms, homeless: Vec::new(), waiting: BTreeMap::new() };
        packing.place_platform(&demand.platform);
        for batch in packing.batches(subject, demand) {
            let pool = packing.rooms.iter_mut().filter(|room| room.pool == batch.pool);
            let left = place(pool, batch.each, batch.count);
            if left > 0 {
                *packing.waiting.entry(batch.tier).or_default() += left;
            }
        }
        packing
    }

    /// On its own nodes first, then beside tenants; never on a dedicated node.
    fn place_platform(&mut self, loads: &[Load]) {
        let mut loads: Vec<&Load> = loads.iter().collect();
        let total = self.allocatable(Pool::Platform).plus(self.allocatable(Pool::Shared));
        loads.sort_by_key(|load| (Reverse(load.each.share(total)), &load.name));
        for load in loads {
            let mut left = load.count;
            for pool in [Pool::Platform, Pool::Shared] {
                let rooms = self.rooms.iter_mut().filter(|room| room.pool == pool);
                left = place(rooms, load.each, left);
            }
            if left > 0 {
                self.homeless.push((load.name.clone(), left));
            }
        }
        for room in &mut self.rooms {
            room.platform = room.used;
        }
    }

    /// What is to be placed, the largest first.
    fn batches(&self, subject: &Subject, demand: &Demand) -> Vec<Batch> {
        let mut batches = Vec::new();
        for (tier, counts) in &subject.tiers {
            let wanted = demand.tier(*tier);
            let resting = counts.held + counts.suspended;
            for (each, count) in [(wanted.running, counts.running), (wanted.resting, resting)] {
                batches.push(Batch { tier: *tier, pool: wanted.pool, each, count });
            }
        }
        batches.sort_by_key(|batch| {
            let share = batch.each.share(self.allocatable(batch.pool));
            (Reverse(share), batch.tier)
        });
        batches
    }

    /// What the nodes of a pool can give to pods.
    pub(crate) fn allocatable(&self, pool: Pool) -> Amount {
        let rooms = self.rooms.iter().filter(|room| room.pool == pool);
        rooms.fold(Amount::default(), |sum, room| sum.plus(room.allocatable))
    }

    /// How many more of `each` the nodes of a pool take.
    pub(crate) fn fits(&self, pool: Pool, each: Amount) -> u64 {
        let rooms = self.rooms.iter().filter(|room| room.pool == pool);
        rooms.map(|room| each.fits(room.free())).fold(0, u64::saturating_add)
    }

    /// Whether a pod finds a place for a while, where the platform's pods do.
    pub(crate) fn has_place(&self, each: Amount) -> bool {
        self.fits(Pool::Platform, each) > 0 || self.fits(Pool::Shared, each) > 0
    }
}

/// Puts `count` pods into the first rooms that have a place; gives how many found none.
fn place<'a>(rooms: impl Iterator<Item = &'a mut Room>, each: Amount, count: u64) -> u64 {
    // What asks for nothing needs no node.
    let mut left = if each == Amount::default() { 0 } else { count };
    for room in rooms {
        let here = left.min(each.fits(room.free()));
        room.used = room.used.plus(each.times(here));
        left -= here;
    }
    left
}
